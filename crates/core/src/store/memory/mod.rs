//! A store in memory, for tests and for programs whose site does not outlive the process.

mod access_tokens;
mod accounts;
mod alarms;
mod applications;
mod audit;
mod devices;
mod enrolment;
mod peers;
mod rows;
mod settings;

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use async_trait::async_trait;

use super::{Change, ChangeSet, Committed, Effects, Observer, Store, StoreCopy, StoreError};
use crate::audit::{AuditEntry, StoredSignature};
use crate::enrolment::TicketState;
use access_tokens::AccessTokenRows;
use accounts::AccountRows;
use alarms::AlarmRows;
use applications::ApplicationRows;
use audit::AuditRows;
use devices::DeviceRows;
use enrolment::TicketRows;
use peers::PeerRows;
use settings::SettingRows;

/// A store in memory. It gives the same guarantees as a store on disk, except that it ends with the
/// process.
///
/// Every method yields once before it does anything, and [`Store::commit`] yields again before it
/// returns, so that callers are suspended where they would be with a store on disk. A commit and
/// the call of its observer happen without a yield in between, so that dropping the caller's future
/// never separates them.
///
/// ```
/// # use countersign_core::store::{AuditLog, MemoryStore};
/// # use countersign_core::audit::ChainHead;
/// # futures_util::FutureExt::now_or_never(async {
/// let store = MemoryStore::new();
/// assert_eq!(store.audit_head().await, Ok(ChainHead::EMPTY));
/// # });
/// ```
#[derive(Default)]
pub struct MemoryStore {
    stored: Arc<Stored>,
    observer: Mutex<Option<Arc<dyn Observer>>>,
}

#[derive(Default)]
struct Stored {
    /// Locked until the observer has been called, so that it sees commits in their order.
    commits: Mutex<()>,
    rows: Mutex<Rows>,
}

/// The stored rows, by aggregate.
#[derive(Default)]
struct Rows {
    access_tokens: AccessTokenRows,
    accounts: AccountRows,
    alarms: AlarmRows,
    applications: ApplicationRows,
    tickets: TicketRows,
    devices: DeviceRows,
    peers: PeerRows,
    settings: SettingRows,
    audit: AuditRows,
}

impl MemoryStore {
    /// Makes an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns another store with the same content and without an observer, like a file that is
    /// opened again.
    #[must_use]
    pub fn reopened(&self) -> Self {
        Self {
            stored: Arc::clone(&self.stored),
            observer: Mutex::default(),
        }
    }

    /// Changes the audit log without updating its chain, as an attacker with access to a file can.
    pub fn forge_audit(&self, forge: impl FnOnce(&mut Vec<AuditEntry>)) {
        forge(&mut self.rows().audit.0);
    }

    /// Changes the signatures of the site over its audit log, oldest first, as an attacker with
    /// access to a file can.
    pub fn forge_signatures(&self, forge: impl FnOnce(&mut Vec<StoredSignature>)) {
        forge(&mut self.rows().audit.1);
    }

    /// Removes a setting without an audit entry, like a setting that a site of an earlier version
    /// lacks.
    pub fn remove_setting(&self, name: &str) {
        self.rows().settings.remove(name);
    }

    async fn read<T>(&self, read: impl FnOnce(&Rows) -> T) -> Result<T, StoreError> {
        wait().await;
        Ok(read(&self.rows()))
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        lock(&self.stored.rows)
    }

    /// Writes a set and calls the observer.
    fn write(&self, set: &ChangeSet) -> Result<Committed, StoreError> {
        let _in_order = lock(&self.stored.commits);
        let observer = lock(&self.observer).clone();
        let audit_seq = {
            let mut rows = self.rows();
            let audit_seq = rows.write(set)?;
            let end = rows.audit.head();
            let sign = |observer: Arc<dyn Observer>| {
                catch_unwind(AssertUnwindSafe(|| observer.sign(set, end))).ok()?
            };
            if let Some(signed) = observer.clone().and_then(sign) {
                rows.audit.sign(signed);
            }
            audit_seq
        };
        let effects = observer.map_or_else(Effects::default, |observer| {
            // A panic of the observer is a fault of the program, and the store must continue to
            // work.
            catch_unwind(AssertUnwindSafe(|| observer.committed(set))).unwrap_or_default()
        });
        Ok(Committed { audit_seq, effects })
    }
}

impl Rows {
    /// Writes all of a set or nothing of it, and returns the number of its audit entry.
    fn write(&mut self, set: &ChangeSet) -> Result<u64, StoreError> {
        let applied = set.changes.iter().try_for_each(|change| self.apply(change));
        if applied.is_err() {
            self.access_tokens.roll_back();
            self.accounts.roll_back();
            self.alarms.roll_back();
            self.applications.roll_back();
            self.tickets.roll_back();
            self.devices.roll_back();
            self.peers.roll_back();
            self.settings.roll_back();
        } else {
            self.access_tokens.commit();
            self.accounts.commit();
            self.alarms.commit();
            self.applications.commit();
            self.tickets.commit();
            self.devices.commit();
            self.peers.commit();
            self.settings.commit();
        }
        applied.map(|()| self.audit.append(set.audit.clone()))
    }

    fn apply(&mut self, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::InsertAccount(account) => self.accounts.insert(account),
            Change::UpdateAccount(account) => self.accounts.update(account),
            Change::PutPersonData { account, data } => self.accounts.put_data(*account, data),
            Change::DeleteAccount { id, revision } => {
                self.accounts.delete(*id, *revision)?;
                self.tickets.remove(*id, |_| true);
                self.devices.delete_of(*id);
                self.peers.delete_of(*id);
                self.alarms.delete_account(*id);
                self.access_tokens.delete_of(*id);
                Ok(())
            }
            Change::DeleteDamagedAccount { name, .. } => self.accounts.delete_damaged(name),
            Change::PutPassphrase(credential) | Change::RenewPassphrase(credential) => {
                self.accounts.put_passphrase(credential)
            }
            Change::PutDeliveredKey(credential) => self.accounts.put_delivered(credential),
            Change::DeleteDeliveredKey(account) => {
                self.accounts.delete_delivered(*account);
                Ok(())
            }
            Change::InsertKey(key) => self.accounts.insert_key(key),
            Change::DeleteKey {
                account,
                thumbprint,
            } => self.accounts.delete_key(*account, thumbprint),
            Change::ExpectAccount {
                id,
                revision,
                passphrase,
            } => self.accounts.expect_as(*id, *revision, *passphrase),
            Change::InsertApplication(application) => self.applications.insert(application),
            Change::UpdateApplication(application) => self.applications.update(application),
            Change::DeleteApplication {
                id,
                instance,
                revision,
            } => self.applications.delete(id, *instance, *revision),
            Change::DeleteDamagedApplication(id) => self.applications.delete_damaged(id),
            Change::InsertTicket(ticket) => {
                self.accounts.expect(ticket.account)?;
                self.tickets.insert(ticket)
            }
            Change::BindTicket {
                id,
                account,
                thumbprint,
                device,
                at,
            } => {
                let bound = TicketState::Bound {
                    thumbprint: *thumbprint,
                    device: *device,
                    at: *at,
                };
                self.tickets.bind((*id, *account), bound)
            }
            Change::RevokeTicket {
                id,
                account,
                at,
                why,
            } => self.tickets.revoke((*id, *account), *at, *why),
            Change::DeleteTicket { id, account } => self.tickets.delete(*id, *account),
            Change::RevokeOpenTickets {
                account,
                kind,
                at,
                why,
            } => {
                self.tickets.revoke_open(*account, *kind, *at, *why);
                Ok(())
            }
            Change::ForgetTickets {
                account,
                expired_before,
            } => {
                let gone = |expires| expires < *expired_before;
                self.tickets.remove(*account, |ticket| gone(ticket.expires));
                Ok(())
            }
            Change::InsertDevice(device) => {
                self.accounts.expect(device.account)?;
                self.devices.insert(device)
            }
            Change::UpdateDevice(device) => self.devices.update(device),
            Change::SeeDevice { id, account, at } => {
                self.devices.see(*id, *account, *at);
                Ok(())
            }
            Change::DeleteDevice { id, account } => self.devices.delete(*id, *account),
            Change::Peer(change) => {
                let accounts = &self.accounts;
                self.peers.apply(change, |id| accounts.has(id))
            }
            Change::PutSetting { name, setting } => self.settings.put(name, setting),
            Change::ExpectSetting { name, revision } => self.settings.expect(name, *revision),
            Change::Alarm(change) => {
                let accounts = &self.accounts;
                self.alarms.apply(change, |id| accounts.has(id))
            }
            Change::AccessToken(change) => {
                let accounts = &self.accounts;
                self.access_tokens.apply(change, |id| accounts.has(id))
            }
            Change::CompleteRequest(request) => {
                self.accounts.expect(request.account)?;
                self.access_tokens.complete(request)
            }
            Change::PutScript(progress) => {
                self.settings.put_script(progress);
                Ok(())
            }
            // It has no data in the clear.
            Change::SealData { .. } => Ok(()),
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn commit(&self, set: ChangeSet) -> Result<Committed, StoreError> {
        wait().await;
        let written = self.write(&set);
        wait().await;
        written
    }

    fn observe(&self, observer: Arc<dyn Observer>) {
        *lock(&self.observer) = Some(observer);
    }

    /// Always [`StoreError::Unavailable`]: the content cannot be copied as a file.
    async fn copy(&self) -> Result<StoreCopy, StoreError> {
        Err(StoreError::Unavailable {
            problem: "a store in memory cannot be copied".to_owned(),
        })
    }

    async fn flaws(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Yields once and is woken at once.
async fn wait() {
    let mut waited = false;
    poll_fn(|context| {
        if waited {
            return Poll::Ready(());
        }
        waited = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
