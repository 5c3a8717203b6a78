//! Which change sets are written together.
//!
//! A batch's changes are written kind by kind instead of set by set. That is only the same as one
//! after the other when no two sets touch the same account and each set names its changes in the order
//! of kinds. A set that breaks this rule waits for the next batch, or is written set by set.

use std::collections::{HashSet, VecDeque};

use countersign_core::account::Account;
use countersign_core::application::{Application, ApplicationId};
use countersign_core::credential::{DeliveredKeyCredential, KeyCredential, PassphraseCredential};
use countersign_core::id::AccountId;
use countersign_core::store::{Change, ChangeSet, ScriptProgress, Setting};
use countersign_crypto::certificate::Thumbprint;

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
        | Change::PutScript(_) => None,
    }
}

/// Changes of applications, which are few: they are written one by one, in their order.
pub(super) enum ApplicationChange<'a> {
    Insert(&'a Application),
    Update(&'a Application),
    Delete(&'a ApplicationId, u64),
    DeleteDamaged(&'a ApplicationId),
}

/// Changes of several sets, kind by kind in the order in which they are written.
#[derive(Default)]
pub(super) struct ByKind<'a> {
    pub(super) inserted: Vec<&'a Account>,
    pub(super) updated: Vec<&'a Account>,
    pub(super) passphrases: Vec<&'a PassphraseCredential>,
    pub(super) withdrawn: Vec<AccountId>,
    pub(super) delivered: Vec<&'a DeliveredKeyCredential>,
    pub(super) keys: Vec<&'a KeyCredential>,
    pub(super) revoked: Vec<(AccountId, Thumbprint)>,
    pub(super) deleted: Vec<(AccountId, u64)>,
    /// The names of accounts that cannot be read.
    pub(super) damaged: Vec<&'a str>,
    pub(super) applications: Vec<ApplicationChange<'a>>,
    pub(super) settings: Vec<(&'static str, &'a Setting)>,
    pub(super) scripts: Vec<&'a ScriptProgress>,
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

    fn put(&mut self, change: &'a Change) {
        match change {
            Change::InsertAccount(account) => self.inserted.push(account),
            Change::UpdateAccount(account) => self.updated.push(account),
            Change::PutPassphrase(credential) => self.passphrases.push(credential),
            Change::DeleteDeliveredKey(account) => self.withdrawn.push(*account),
            Change::PutDeliveredKey(credential) => self.delivered.push(credential),
            Change::InsertKey(key) => self.keys.push(key),
            Change::DeleteKey {
                account,
                thumbprint,
            } => self.revoked.push((*account, *thumbprint)),
            Change::DeleteAccount { id, revision } => self.deleted.push((*id, *revision)),
            Change::DeleteDamagedAccount { name, .. } => self.damaged.push(name),
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
            Change::PutSetting { name, setting } => self.settings.push((name, setting)),
            Change::PutScript(progress) => self.scripts.push(progress),
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
    }
}
