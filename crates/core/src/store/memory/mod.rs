//! A store that keeps everything in memory: for tests, and for programs whose site need not outlive them.

mod accounts;
mod alarms;
mod applications;
mod audit;
mod rows;
mod settings;

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use async_trait::async_trait;

use super::{Change, ChangeSet, Committed, Effects, Observer, Store, StoreCopy, StoreError};
use crate::audit::AuditEntry;
use accounts::AccountRows;
use alarms::AlarmRows;
use applications::ApplicationRows;
use audit::AuditRows;
use settings::SettingRows;

/// A site's store in memory, with the promises of one on a disk except that it ends with the process.
///
/// Every method waits once before it does anything, and [`Store::commit`] once more before it answers, so that callers
/// meet the waits of a store on a disk. A commit and what its observer does of it happen between two waits: dropping
/// the caller's future never parts them.
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
    /// Held until the observer was told, so that commits reach it in their order.
    commits: Mutex<()>,
    rows: Mutex<Rows>,
}

/// What is stored, by aggregate.
#[derive(Default)]
struct Rows {
    accounts: AccountRows,
    alarms: AlarmRows,
    applications: ApplicationRows,
    settings: SettingRows,
    audit: AuditRows,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same content behind another store without an observer, as if a file were opened a second time.
    #[must_use]
    pub fn reopened(&self) -> Self {
        Self {
            stored: Arc::clone(&self.stored),
            observer: Mutex::default(),
        }
    }

    /// Changes the audit log without regard to its chain, as an attacker with access to a file can.
    pub fn forge_audit(&self, forge: impl FnOnce(&mut Vec<AuditEntry>)) {
        forge(&mut self.rows().audit.0);
    }

    /// Removes a setting without an audit entry, as it is missing from a site that an earlier version made.
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

    /// Writes a set and tells the observer.
    fn write(&self, set: &ChangeSet) -> Result<Committed, StoreError> {
        let _in_order = lock(&self.stored.commits);
        let audit_seq = self.rows().write(set)?;
        let observer = lock(&self.observer).clone();
        let effects = observer.map_or_else(Effects::default, |observer| {
            // A panic is a fault of the program, and no reason to write nothing any more.
            catch_unwind(AssertUnwindSafe(|| observer.committed(set))).unwrap_or_default()
        });
        Ok(Committed { audit_seq, effects })
    }
}

impl Rows {
    /// Writes all of a set or nothing of it; the number of its audit entry.
    fn write(&mut self, set: &ChangeSet) -> Result<u64, StoreError> {
        let applied = set.changes.iter().try_for_each(|change| self.apply(change));
        if applied.is_err() {
            self.accounts.undo();
            self.alarms.undo();
            self.applications.undo();
            self.settings.undo();
        } else {
            self.accounts.keep();
            self.alarms.keep();
            self.applications.keep();
            self.settings.keep();
        }
        applied.map(|()| self.audit.append(set.audit.clone()))
    }

    fn apply(&mut self, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::InsertAccount(account) => self.accounts.insert(account),
            Change::UpdateAccount(account) => self.accounts.update(account),
            Change::DeleteAccount { id, revision } => {
                self.accounts.delete(*id, *revision)?;
                self.alarms.delete_account(*id);
                Ok(())
            }
            Change::DeleteDamagedAccount { name, .. } => self.accounts.delete_damaged(name),
            Change::PutPassphrase(credential) => self.accounts.put_passphrase(credential),
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
            Change::InsertApplication(application) => self.applications.insert(application),
            Change::UpdateApplication(application) => self.applications.update(application),
            Change::DeleteApplication { id, revision } => self.applications.delete(id, *revision),
            Change::DeleteDamagedApplication(id) => self.applications.delete_damaged(id),
            Change::PutSetting { name, setting } => self.settings.put(name, setting),
            Change::Alarm(change) => {
                let accounts = &self.accounts;
                self.alarms.apply(change, |id| accounts.has(id))
            }
            Change::PutScript(progress) => {
                self.settings.put_script(progress);
                Ok(())
            }
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

    /// Always [`StoreError::Unavailable`]: there is no file that a copy could be opened from.
    async fn copy(&self) -> Result<StoreCopy, StoreError> {
        Err(StoreError::Unavailable {
            problem: "it is kept in memory alone, of which there are no copies".to_owned(),
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

/// Waits once, and is woken at once.
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
