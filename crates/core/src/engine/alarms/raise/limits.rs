//! Limits on the number of alarms: in the store, of a person and of a raiser.

use std::collections::{BTreeMap, BTreeSet};

use crate::accounts::Account;
use crate::alarms::{
    MAX_ALARMS, MAX_ALARMS_OF_PERSON, MAX_ALARMS_OF_RAISER, MAX_RECIPIENTS, RESERVED_FOR_SITE,
    RESERVED_FOR_SITE_OF_PERSON, Raiser, Recipient,
};
use crate::engine::{Refusal, Site};
use crate::id::{AccountId, AlarmId};

impl Site {
    /// Checks the limits of the store and of the raiser. When the store is full, returns the oldest
    /// alarm that is over, with its revision. The caller must delete it.
    pub(super) async fn free_place(
        &self,
        raiser: Raiser,
    ) -> Result<BTreeMap<AlarmId, u64>, Refusal> {
        let account = matches!(raiser, Raiser::Account(_)).then_some(raiser);
        let counts = self.store().alarm_counts(account).await?;
        if counts.of_raiser >= MAX_ALARMS_OF_RAISER {
            return Err(limit_reached(&format!(
                "you have {MAX_ALARMS_OF_RAISER} alarms that are not over"
            )));
        }
        let reserved = match raiser {
            Raiser::Site => 0,
            _ => RESERVED_FOR_SITE,
        };
        if counts.stored < MAX_ALARMS - reserved {
            return Ok(BTreeMap::new());
        }
        let oldest = self.store().oldest_over(None).await?;
        let oldest = oldest.map(|alarm| (alarm.id, alarm.revision));
        let oldest = oldest
            .ok_or_else(|| limit_reached("the store is full and contains no alarm that is over"))?;
        Ok(BTreeMap::from([oldest]))
    }

    /// Returns those of `accounts` that can become recipients, and the alarms to delete for that.
    /// An account is left out when it is a recipient already, or when it is at its `limit` and no
    /// alarm that is over can be deleted for it.
    pub(super) async fn joining(
        &self,
        recipients: &[Recipient],
        accounts: Vec<Account>,
        limit: u64,
    ) -> Result<(Vec<Account>, BTreeMap<AlarmId, u64>), Refusal> {
        let existing: BTreeSet<AccountId> = recipients.iter().map(|one| one.account).collect();
        let full = self.store().recipients_at_limit(limit).await?;
        let full: BTreeSet<AccountId> = full.into_iter().collect();
        let free = MAX_RECIPIENTS.saturating_sub(recipients.len());
        let mut deletions = BTreeMap::new();
        let mut joining = Vec::new();
        let new = accounts
            .into_iter()
            .filter(|account| !existing.contains(&account.id));
        for account in new.take(free) {
            if full.contains(&account.id) {
                // Only a new alarm deletes others: the recipients of a repeated alarm must not
                // depend on unrelated alarms.
                let oldest = match recipients {
                    [] => self.store().oldest_over(Some(account.id)).await?,
                    _ => None,
                };
                let Some(oldest) = oldest else {
                    continue;
                };
                deletions.insert(oldest.id, oldest.revision);
            }
            joining.push(account);
        }
        Ok((joining, deletions))
    }
}

pub(super) const fn max_alarms_of_person(raiser: Raiser) -> u64 {
    match raiser {
        Raiser::Site => MAX_ALARMS_OF_PERSON,
        _ => MAX_ALARMS_OF_PERSON - RESERVED_FOR_SITE_OF_PERSON,
    }
}

pub(super) fn limit_reached(why: &str) -> Refusal {
    let hint = "end alarms whose cause has ended with `alarm over KEY`";
    Refusal::conflict(format!("the limit on alarms is reached: {why}"), hint)
}
