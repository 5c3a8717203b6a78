//! Room for alarms: there are so many in all, of a person and of a service.

use std::collections::{BTreeMap, BTreeSet};

use crate::accounts::Account;
use crate::alarms::{
    MOST_ALARMS, MOST_ALARMS_OF_PERSON, MOST_OF_RAISER, MOST_RECIPIENTS, RESERVED_FOR_SITE,
    RESERVED_OF_PERSON, Raiser, Recipient,
};
use crate::engine::{Refusal, Site};
use crate::id::{AccountId, AlarmId};

impl Site {
    /// The alarm that has to go so that there is room for another one, with its revision.
    pub(super) async fn make_room(
        &self,
        raiser: Raiser,
    ) -> Result<BTreeMap<AlarmId, u64>, Refusal> {
        let account = matches!(raiser, Raiser::Account(_)).then_some(raiser);
        let counts = self.store().alarm_counts(account).await?;
        if counts.of_raiser >= MOST_OF_RAISER {
            return Err(no_room(
                "you have as many alarms as there may be that are not over",
            ));
        }
        let reserved = match raiser {
            Raiser::Site => 0,
            _ => RESERVED_FOR_SITE,
        };
        if counts.stored < MOST_ALARMS - reserved {
            return Ok(BTreeMap::new());
        }
        let oldest = self.store().oldest_over(None).await?;
        let oldest = oldest.map(|alarm| (alarm.id, alarm.revision));
        let oldest = oldest.ok_or_else(|| no_room("there are as many alarms as there may be"))?;
        Ok(BTreeMap::from([oldest]))
    }

    /// Those of `accounts` that are no recipients yet and have room for an alarm, and the alarms that have to go for
    /// that. An account whose alarms are all needed is left out.
    pub(super) async fn joining(
        &self,
        recipients: &[Recipient],
        accounts: Vec<Account>,
        most: u64,
    ) -> Result<(Vec<Account>, BTreeMap<AlarmId, u64>), Refusal> {
        let known: BTreeSet<AccountId> = recipients.iter().map(|one| one.account).collect();
        let crowded = self.store().crowded_recipients(most).await?;
        let crowded: BTreeSet<AccountId> = crowded.into_iter().collect();
        let room = MOST_RECIPIENTS.saturating_sub(recipients.len());
        let mut room_for = BTreeMap::new();
        let mut joining = Vec::new();
        let new = accounts
            .into_iter()
            .filter(|account| !known.contains(&account.id));
        for account in new.take(room) {
            if crowded.contains(&account.id) {
                // Only a new alarm makes room: what is known of this one must not depend on others.
                let oldest = match recipients {
                    [] => self.store().oldest_over(Some(account.id)).await?,
                    _ => None,
                };
                let Some(oldest) = oldest else {
                    continue;
                };
                room_for.insert(oldest.id, oldest.revision);
            }
            joining.push(account);
        }
        Ok((joining, room_for))
    }
}

pub(super) const fn most_of_person(raiser: Raiser) -> u64 {
    match raiser {
        Raiser::Site => MOST_ALARMS_OF_PERSON,
        _ => MOST_ALARMS_OF_PERSON - RESERVED_OF_PERSON,
    }
}

pub(super) fn no_room(why: &str) -> Refusal {
    let hint = "end alarms whose cause is gone with `alarm over`";
    Refusal::conflict(format!("there is no room for another alarm: {why}"), hint)
}
