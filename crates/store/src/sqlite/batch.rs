//! Selects the change sets that are written together.
//!
//! The changes of a batch are written kind by kind instead of set by set. This has the same effect only if
//! no two sets change the same account and each set lists its changes in the order of kinds. A set that
//! changes an account of another set waits for the next batch; with a set in another order, the batch is
//! written set by set.

use std::collections::{HashSet, VecDeque};

use countersign_core::id::AccountId;
use countersign_core::store::{AlarmChange, Change, ChangeSet};
use sqlx::sqlite::SqliteConnection;

use super::applications::{self, ApplicationChange};
use super::devices::{self, DeviceChange};
use super::enrolment::{self, TicketChange};
use super::failure::Failure;
use super::{accounts, alarms, settings};

/// The greatest number of change sets in a batch. The last one waits about a millisecond for the others.
pub(super) const LARGEST_BATCH: usize = 256;

/// Removes the sets that may be written together from the front of the queue.
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
        Change::PutPersonData { account, .. } => Some(*account),
        Change::PutPassphrase(credential) => Some(credential.account),
        Change::PutDeliveredKey(credential) => Some(credential.account),
        Change::DeleteDeliveredKey(account) => Some(*account),
        Change::InsertKey(key) => Some(key.account),
        Change::DeleteKey { account, .. } => Some(*account),
        Change::InsertTicket(ticket) => Some(ticket.account),
        Change::InsertDevice(device) | Change::UpdateDevice(device) => Some(device.account),
        Change::BindTicket { account, .. }
        | Change::RevokeTicket { account, .. }
        | Change::RevokeOpenTickets { account, .. }
        | Change::ForgetTickets { account, .. }
        | Change::SeeDevice { account, .. }
        | Change::DeleteDevice { account, .. } => Some(*account),
        Change::InsertApplication(_)
        | Change::UpdateApplication(_)
        | Change::DeleteApplication { .. }
        | Change::DeleteDamagedApplication(_)
        | Change::PutSetting { .. }
        | Change::PutScript(_)
        | Change::Alarm(_) => None,
    }
}

/// The changes of several sets, sorted by aggregate and kind.
#[derive(Default)]
pub(super) struct ByKind<'a> {
    accounts: accounts::Changes<'a>,
    applications: Vec<ApplicationChange<'a>>,
    tickets: Vec<TicketChange<'a>>,
    devices: Vec<DeviceChange<'a>>,
    settings: settings::Changes<'a>,
    /// Last, so that they meet the accounts as they are from now on.
    alarms: Vec<&'a AlarmChange>,
}

impl<'a> ByKind<'a> {
    /// Sorts the changes of `sets`; `None` if a set does not list them in the order of kinds.
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

    /// A single change.
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
        for change in &self.tickets {
            enrolment::apply(connection, change).await?;
        }
        for change in &self.devices {
            devices::apply(connection, change).await?;
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
            Change::PutPersonData { account, data } => self.accounts.data.push((*account, data)),
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
            Change::InsertTicket(ticket) => self.tickets.push(TicketChange::Insert(ticket)),
            Change::BindTicket {
                id,
                account,
                thumbprint,
                device,
                at,
            } => self.tickets.push(TicketChange::Bind {
                id: *id,
                account: *account,
                thumbprint: *thumbprint,
                device: *device,
                at: *at,
            }),
            Change::RevokeTicket {
                id,
                account,
                at,
                why,
            } => self.tickets.push(TicketChange::Revoke {
                id: *id,
                account: *account,
                at: *at,
                why: *why,
            }),
            Change::RevokeOpenTickets {
                account,
                kind,
                at,
                why,
            } => self.tickets.push(TicketChange::RevokeOpen {
                account: *account,
                kind: *kind,
                at: *at,
                why: *why,
            }),
            Change::ForgetTickets {
                account,
                expired_before,
            } => self.tickets.push(TicketChange::Forget {
                account: *account,
                expired_before: *expired_before,
            }),
            Change::InsertDevice(device) => self.devices.push(DeviceChange::Insert(device)),
            Change::UpdateDevice(device) => self.devices.push(DeviceChange::Update(device)),
            Change::SeeDevice { id, account, at } => {
                self.devices.push(DeviceChange::See(*id, *account, *at));
            }
            Change::DeleteDevice { id, account } => {
                self.devices.push(DeviceChange::Delete(*id, *account));
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
        Change::PutPersonData { .. } => 2,
        Change::PutPassphrase(_) => 3,
        Change::DeleteDeliveredKey(_) => 4,
        Change::PutDeliveredKey(_) => 5,
        Change::InsertKey(_) => 6,
        Change::DeleteKey { .. } => 7,
        Change::DeleteAccount { .. } | Change::DeleteDamagedAccount { .. } => 8,
        Change::InsertApplication(_)
        | Change::UpdateApplication(_)
        | Change::DeleteApplication { .. }
        | Change::DeleteDamagedApplication(_) => 9,
        Change::InsertTicket(_)
        | Change::BindTicket { .. }
        | Change::RevokeTicket { .. }
        | Change::RevokeOpenTickets { .. }
        | Change::ForgetTickets { .. } => 10,
        Change::InsertDevice(_)
        | Change::UpdateDevice(_)
        | Change::SeeDevice { .. }
        | Change::DeleteDevice { .. } => 11,
        Change::PutSetting { .. } => 12,
        Change::PutScript(_) => 13,
        Change::Alarm(_) => 14,
    }
}
