//! Which change sets are written together.
//!
//! A batch's changes are written kind by kind instead of set by set. That is only the same as one
//! after the other when no two sets touch the same account and each set names its changes in the order
//! of kinds. A set that breaks this rule waits for the next batch, or is written set by set.

use std::collections::{HashSet, VecDeque};

use countersign_core::id::AccountId;
use countersign_core::store::{AlarmChange, Change, ChangeSet};
use sqlx::sqlite::SqliteConnection;

use super::applications::{self, ApplicationChange};
use super::failure::Failure;
use super::{accounts, alarms, settings};

/// The most change sets in one batch: what the last one waits for the others stays around a
/// millisecond.
pub(super) const LARGEST_BATCH: usize = 256;

/// Takes the sets that may be written together from the front of the queue.
pub(super) fn take<T>(queue: &mut VecDeque<T>, set_of: impl Fn(&T) -> &ChangeSet) -> Vec<T> {
    let mut touched = HashSet::new();
    let mut count = 0;
    for waiting in queue.iter().take(LARGEST_BATCH) {
        let set = set_of(waiting);
        let accounts: HashSet<AccountId> = set.changes.iter().filter_map(account_of).collect();
        if count > 0 && !touched.is_disjoint(&accounts) {
            break;
        }
        touched.extend(accounts);
        count += 1;
    }
    queue.drain(..count).collect()
}

fn account_of(change: &Change) -> Option<AccountId> {
    match change {
        Change::InsertAccount(account) | Change::UpdateAccount(account) => Some(account.id),
        Change::DeleteAccount { id, .. } => Some(*id),
        Change::DeleteDamagedAccount { id, .. } => *id,
        Change::PutPassphrase(credential) => Some(credential.account),
        Change::PutDeliveredKey(credential) => Some(credential.account),
        Change::DeleteDeliveredKey(account) => Some(*account),
        Change::InsertKey(key) => Some(key.account),
        Change::DeleteKey { account, .. } => Some(*account),
        Change::InsertApplication(_)
        | Change::UpdateApplication(_)
        | Change::DeleteApplication { .. }
        | Change::DeleteDamagedApplication(_)
        | Change::PutSetting { .. }
        | Change::PutScript(_)
        | Change::Alarm(_) => None,
    }
}

/// Changes of several sets by aggregate, and within each kind by kind.
#[derive(Default)]
pub(super) struct ByKind<'a> {
    accounts: accounts::Changes<'a>,
    applications: Vec<ApplicationChange<'a>>,
    settings: settings::Changes<'a>,
    /// Last, so that they meet the accounts as they are from now on.
    alarms: Vec<&'a AlarmChange>,
}

impl<'a> ByKind<'a> {
    /// Sorts the changes of `sets`; `None` when a set names them in another order.
    pub(super) fn sort(sets: impl Iterator<Item = &'a ChangeSet>) -> Option<Self> {
        let mut sorted = Self::default();
        for set in sets {
            if !set.changes.is_sorted_by_key(rank) {
                return None;
            }
            for change in &set.changes {
                sorted.put(change);
            }
        }
        Some(sorted)
    }

    /// One change by itself.
    pub(super) fn one(change: &'a Change) -> Self {
        let mut sorted = Self::default();
        sorted.put(change);
        sorted
    }

    /// Writes the changes of each aggregate.
    pub(super) async fn write(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        self.accounts.write(connection).await?;
        for change in &self.applications {
            applications::apply(connection, change).await?;
        }
        self.settings.write(connection).await?;
        for change in &self.alarms {
            alarms::apply(connection, change).await?;
        }
        Ok(())
    }

    fn put(&mut self, change: &'a Change) {
        match change {
            Change::InsertAccount(account) => self.accounts.inserted.push(account),
            Change::UpdateAccount(account) => self.accounts.updated.push(account),
            Change::PutPassphrase(credential) => self.accounts.passphrases.push(credential),
            Change::DeleteDeliveredKey(account) => self.accounts.withdrawn.push(*account),
            Change::PutDeliveredKey(credential) => self.accounts.delivered.push(credential),
            Change::InsertKey(key) => self.accounts.keys.push(key),
            Change::DeleteKey {
                account,
                thumbprint,
            } => self.accounts.revoked.push((*account, *thumbprint)),
            Change::DeleteAccount { id, revision } => self.accounts.deleted.push((*id, *revision)),
            Change::DeleteDamagedAccount { name, .. } => self.accounts.damaged.push(name),
            Change::InsertApplication(application) => {
                let change = ApplicationChange::Insert(application);
                self.applications.push(change);
            }
            Change::UpdateApplication(application) => {
                let change = ApplicationChange::Update(application);
                self.applications.push(change);
            }
            Change::DeleteApplication { id, revision } => {
                let change = ApplicationChange::Delete(id, *revision);
                self.applications.push(change);
            }
            Change::DeleteDamagedApplication(id) => {
                let change = ApplicationChange::DeleteDamaged(id);
                self.applications.push(change);
            }
            Change::PutSetting { name, setting } => self.settings.settings.push((name, setting)),
            Change::PutScript(progress) => self.settings.scripts.push(progress),
            Change::Alarm(change) => self.alarms.push(change),
        }
    }
}

const fn rank(change: &Change) -> u8 {
    match change {
        Change::InsertAccount(_) => 0,
        Change::UpdateAccount(_) => 1,
        Change::PutPassphrase(_) => 2,
        Change::DeleteDeliveredKey(_) => 3,
        Change::PutDeliveredKey(_) => 4,
        Change::InsertKey(_) => 5,
        Change::DeleteKey { .. } => 6,
        Change::DeleteAccount { .. } | Change::DeleteDamagedAccount { .. } => 7,
        Change::InsertApplication(_)
        | Change::UpdateApplication(_)
        | Change::DeleteApplication { .. }
        | Change::DeleteDamagedApplication(_) => 8,
        Change::PutSetting { .. } => 9,
        Change::PutScript(_) => 10,
        Change::Alarm(_) => 11,
    }
}
