//! Divides the change sets of a transaction into runs.
//!
//! The changes of a run are written kind by kind instead of set by set. This has the same effect only if no
//! two sets of the run change the same account and each set lists its changes in the order of kinds. A set
//! that changes an account of another set begins the next run; a set in another order is a run for each of
//! its changes. All runs of a batch share one transaction and one sync.

use std::collections::HashSet;

use countersign_core::id::AccountId;
use countersign_core::store::{
    AccessTokenChange, AlarmChange, Change, ChangeSet, CompletedRequest, PeerChange,
};
use sqlx::sqlite::SqliteConnection;

use super::applications::{self, ApplicationChange};
use super::devices::{self, DeviceChange};
use super::enrolment::{self, TicketChange};
use super::failure::Failure;
use super::settings::SettingChange;
use super::{access_tokens, accounts, alarms, clear_data, peers, settings};

/// The greatest number of change sets in a batch. The last one waits about a millisecond for the others.
pub(super) const LARGEST_BATCH: usize = 256;

/// Divides the sets into runs, which have to be written one after the other.
pub(super) fn runs<'a>(sets: impl IntoIterator<Item = &'a ChangeSet>) -> Vec<ByKind<'a>> {
    let mut runs = Vec::new();
    let mut run = ByKind::default();
    let mut touched = HashSet::new();
    for set in sets {
        let accounts: HashSet<AccountId> = set.changes.iter().filter_map(account_of).collect();
        let is_sorted = set.changes.is_sorted_by_key(rank);
        if !is_sorted || !touched.is_disjoint(&accounts) {
            runs.push(std::mem::take(&mut run));
            touched.clear();
        }
        if is_sorted {
            touched.extend(accounts);
            set.changes.iter().for_each(|change| run.put(change));
        } else {
            runs.extend(set.changes.iter().map(ByKind::one));
        }
    }
    runs.push(run);
    runs
}

fn account_of(change: &Change) -> Option<AccountId> {
    match change {
        Change::InsertAccount(account) | Change::UpdateAccount(account) => Some(account.id),
        Change::DeleteAccount { id, .. } | Change::ExpectAccount { id, .. } => Some(*id),
        Change::DeleteDamagedAccount { id, .. } => *id,
        Change::PutPersonData { account, .. } => Some(*account),
        Change::PutPassphrase(credential) | Change::RenewPassphrase(credential) => {
            Some(credential.account)
        }
        Change::PutDeliveredKey(credential) => Some(credential.account),
        Change::DeleteDeliveredKey(account) => Some(*account),
        Change::InsertKey(key) => Some(key.account),
        Change::DeleteKey { account, .. } => Some(*account),
        Change::InsertTicket(ticket) => Some(ticket.account),
        Change::InsertDevice(device) | Change::UpdateDevice(device) => Some(device.account),
        Change::BindTicket { account, .. }
        | Change::RevokeTicket { account, .. }
        | Change::DeleteTicket { account, .. }
        | Change::RevokeOpenTickets { account, .. }
        | Change::ForgetTickets { account, .. }
        | Change::SeeDevice { account, .. }
        | Change::DeleteDevice { account, .. } => Some(*account),
        Change::Peer(change) => change.account(),
        Change::AccessToken(change) => change.account(),
        Change::CompleteRequest(request) => Some(request.account),
        Change::InsertApplication(_)
        | Change::UpdateApplication(_)
        | Change::DeleteApplication { .. }
        | Change::DeleteDamagedApplication(_)
        | Change::PutSetting { .. }
        | Change::ExpectSetting { .. }
        | Change::PutScript(_)
        | Change::Alarm(_)
        | Change::SealData { .. } => None,
    }
}

/// The changes of several sets, sorted by aggregate and kind.
#[derive(Default)]
pub(super) struct ByKind<'a> {
    accounts: accounts::Changes<'a>,
    applications: Vec<ApplicationChange<'a>>,
    tickets: Vec<TicketChange<'a>>,
    devices: Vec<DeviceChange<'a>>,
    peers: Vec<&'a PeerChange>,
    settings: settings::Changes<'a>,
    /// Last, so that they meet the accounts as they are from now on.
    alarms: Vec<&'a AlarmChange>,
    sealed: Vec<(u64, &'a [u8])>,
    access_tokens: Vec<&'a AccessTokenChange>,
    completed: Vec<&'a CompletedRequest>,
}

impl<'a> ByKind<'a> {
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
        for change in &self.peers {
            peers::apply(connection, change).await?;
        }
        self.settings.write(connection).await?;
        for change in &self.alarms {
            alarms::apply(connection, change).await?;
        }
        for (number, sealed) in &self.sealed {
            clear_data::seal(connection, *number, sealed).await?;
        }
        for change in &self.access_tokens {
            access_tokens::apply(connection, change).await?;
        }
        for request in &self.completed {
            access_tokens::complete(connection, request).await?;
        }
        Ok(())
    }

    fn put(&mut self, change: &'a Change) {
        match change {
            Change::InsertAccount(account) => self.accounts.inserted.push(account),
            Change::UpdateAccount(account) => self.accounts.updated.push(account),
            Change::PutPersonData { account, data } => self.accounts.data.push((*account, data)),
            Change::PutPassphrase(credential) | Change::RenewPassphrase(credential) => {
                self.accounts.passphrases.push(credential);
            }
            Change::DeleteDeliveredKey(account) => self.accounts.withdrawn.push(*account),
            Change::PutDeliveredKey(credential) => self.accounts.delivered.push(credential),
            Change::InsertKey(key) => self.accounts.keys.push(key),
            Change::DeleteKey {
                account,
                thumbprint,
            } => self.accounts.revoked.push((*account, *thumbprint)),
            Change::DeleteAccount { id, revision } => self.accounts.deleted.push((*id, *revision)),
            Change::DeleteDamagedAccount { name, .. } => self.accounts.damaged.push(name),
            Change::ExpectAccount {
                id,
                revision,
                passphrase,
            } => self.accounts.expected.push((*id, *revision, *passphrase)),
            Change::InsertApplication(application) => {
                let change = ApplicationChange::Insert(application);
                self.applications.push(change);
            }
            Change::UpdateApplication(application) => {
                let change = ApplicationChange::Update(application);
                self.applications.push(change);
            }
            Change::DeleteApplication {
                id,
                instance,
                revision,
            } => {
                let change = ApplicationChange::Delete(id, *instance, *revision);
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
            Change::DeleteTicket { id, account } => {
                self.tickets.push(TicketChange::Delete(*id, *account));
            }
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
            Change::Peer(change) => self.peers.push(change),
            Change::PutSetting { name, setting } => {
                self.settings.put(name, SettingChange::Put(setting));
            }
            Change::ExpectSetting { name, revision } => {
                self.settings.put(name, SettingChange::Expect(*revision));
            }
            Change::PutScript(progress) => self.settings.scripts.push(progress),
            Change::Alarm(change) => self.alarms.push(change),
            Change::SealData { number, sealed } => self.sealed.push((*number, sealed)),
            Change::AccessToken(change) => self.access_tokens.push(change),
            Change::CompleteRequest(request) => self.completed.push(request),
        }
    }
}

const fn rank(change: &Change) -> u8 {
    match change {
        Change::InsertAccount(_) => 0,
        Change::UpdateAccount(_) => 1,
        Change::PutPersonData { .. } => 2,
        Change::PutPassphrase(_) | Change::RenewPassphrase(_) => 3,
        Change::DeleteDeliveredKey(_) => 4,
        Change::PutDeliveredKey(_) => 5,
        Change::InsertKey(_) => 6,
        Change::DeleteKey { .. } => 7,
        Change::DeleteAccount { .. } | Change::DeleteDamagedAccount { .. } => 8,
        Change::ExpectAccount { .. } => 9,
        Change::InsertApplication(_)
        | Change::UpdateApplication(_)
        | Change::DeleteApplication { .. }
        | Change::DeleteDamagedApplication(_) => 10,
        Change::InsertTicket(_)
        | Change::BindTicket { .. }
        | Change::RevokeTicket { .. }
        | Change::DeleteTicket { .. }
        | Change::RevokeOpenTickets { .. }
        | Change::ForgetTickets { .. } => 11,
        Change::InsertDevice(_)
        | Change::UpdateDevice(_)
        | Change::SeeDevice { .. }
        | Change::DeleteDevice { .. } => 12,
        Change::Peer(_) => 13,
        Change::PutSetting { .. } | Change::ExpectSetting { .. } => 14,
        Change::PutScript(_) => 15,
        Change::Alarm(_) => 16,
        Change::SealData { .. } => 17,
        Change::AccessToken(_) => 18,
        Change::CompleteRequest(_) => 19,
    }
}

#[cfg(test)]
mod tests {
    use countersign_core::access::Channel;
    use countersign_core::audit::{Actor, AuditDraft, AuditOutcome};
    use countersign_core::id::{DeviceId, TicketId};
    use countersign_core::timestamp::Timestamp;
    use countersign_crypto::certificate::Thumbprint;

    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_000);

    fn set(changes: Vec<Change>) -> ChangeSet {
        let audit = AuditDraft {
            time: AT,
            actor: Actor {
                account: None,
                name: String::new(),
            },
            channel: Channel::Site,
            operation: "test.changed".to_owned(),
            target: None,
            outcome: AuditOutcome::Done,
            details: "{}".to_owned(),
        };
        ChangeSet::new(changes, audit)
    }

    fn bind(account: u8) -> Change {
        Change::BindTicket {
            id: TicketId::from_bytes([1; 16]),
            account: AccountId::from_bytes([account; 16]),
            thumbprint: Thumbprint([1; 32]),
            device: None,
            at: AT,
        }
    }

    fn see(account: u8) -> Change {
        Change::SeeDevice {
            id: DeviceId::from_bytes([1; 16]),
            account: AccountId::from_bytes([account; 16]),
            at: AT,
        }
    }

    /// The numbers of tickets and devices that each run changes.
    fn sizes(sets: &[ChangeSet]) -> Vec<(usize, usize)> {
        let runs = runs(sets).into_iter();
        let sizes = runs.map(|run| (run.tickets.len(), run.devices.len()));
        sizes.filter(|size| *size != (0, 0)).collect()
    }

    #[test]
    fn sets_of_different_accounts_are_one_run() {
        let sets = [set(vec![bind(1), see(1)]), set(vec![bind(2), see(2)])];
        assert_eq!(sizes(&sets), [(2, 2)]);
    }

    #[test]
    fn a_set_that_changes_an_account_again_begins_a_run() {
        let sets = [1, 2, 1, 3].map(|account| set(vec![bind(account)]));
        assert_eq!(sizes(&sets), [(2, 0), (2, 0)]);
    }

    #[test]
    fn a_set_in_another_order_is_written_change_by_change() {
        let sets = [
            set(vec![see(1)]),
            set(vec![see(2), bind(2)]),
            set(vec![bind(3)]),
        ];
        assert_eq!(sizes(&sets), [(0, 1), (0, 1), (1, 0), (1, 0)]);
    }
}
