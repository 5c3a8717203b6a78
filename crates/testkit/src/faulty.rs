//! A store that fails when a test says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use countersign_core::accounts::{
    Account, DeliveredKeyCredential, KeyCredential, Kind, PassphraseCredential,
};
use countersign_core::alarms::{
    Alarm, AlarmKey, Delivery, DeliveryChannel, Raiser, Recipient, Target,
};
use countersign_core::applications::{Application, ApplicationId};
use countersign_core::audit::{AuditEntry, AuditSearch, ChainHead};
use countersign_core::id::{AccountId, AlarmId, DeliveryId};
use countersign_core::page::Page;
use countersign_core::store::{
    Accounts, AlarmCounts, AlarmSearch, Alarms, Applications, AuditLog, ChangeSet, Committed,
    DamagedAccount, DamagedApplication, DeliverySearch, Effects, Observer, ScriptProgress, Setting,
    Settings, Store, StoreCopy, StoreError, StoredPreferences,
};
use countersign_core::timestamp::Timestamp;
use countersign_crypto::certificate::Thumbprint;
use countersign_proto::name::AccountName;

/// What goes wrong in a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is written, and the caller gets an error.
    Fails,
    /// The set is written and the observer told, and the caller gets an error all the same.
    AnswerLost,
    /// Nothing is written, and the caller is told that it was.
    NotWritten,
}

impl Fault {
    /// The faults that the caller of a commit learns of.
    pub const REPORTED: [Self; 2] = [Self::Fails, Self::AnswerLost];
}

/// Another store, some of whose commits go wrong. Reads do not.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    fault: Fault,
    /// Commits before the first that goes wrong.
    before: AtomicUsize,
    /// Commits that go wrong after those.
    faults: AtomicUsize,
}

impl FaultyStore {
    /// Commits go well for now.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, fault: Fault) -> Self {
        Self {
            inner,
            fault,
            before: AtomicUsize::new(usize::MAX),
            faults: AtomicUsize::new(0),
        }
    }

    /// Every commit goes wrong.
    #[must_use]
    pub fn always(inner: Arc<dyn Store>, fault: Fault) -> Self {
        let store = Self::new(inner, fault);
        store.break_after(0, usize::MAX);
        store
    }

    /// From now on `faults` commits go wrong after the next `before`.
    pub fn break_after(&self, before: usize, faults: usize) {
        self.before.store(before, Ordering::SeqCst);
        self.faults.store(faults, Ordering::SeqCst);
    }

    /// Whether a commit is still to go wrong.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.faults.load(Ordering::SeqCst) > 0
    }

    fn goes_wrong(&self) -> bool {
        let one_less = |count: usize| count.checked_sub(1);
        let counted = |counter: &AtomicUsize| {
            let (set, fetch) = (Ordering::SeqCst, Ordering::SeqCst);
            counter.fetch_update(set, fetch, one_less).is_ok()
        };
        !counted(&self.before) && counted(&self.faults)
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn commit(&self, set: ChangeSet) -> Result<Committed, StoreError> {
        if !self.goes_wrong() {
            return self.inner.commit(set).await;
        }
        let lost = Err(StoreError::Unavailable {
            problem: "a fault that a test asked for".to_owned(),
        });
        match self.fault {
            Fault::Fails => lost,
            Fault::AnswerLost => {
                self.inner.commit(set).await?;
                lost
            }
            Fault::NotWritten => Ok(Committed {
                audit_seq: 1,
                effects: Effects::default(),
            }),
        }
    }

    fn observe(&self, observer: Arc<dyn Observer>) {
        self.inner.observe(observer);
    }

    async fn copy(&self) -> Result<StoreCopy, StoreError> {
        self.inner.copy().await
    }

    async fn flaws(&self) -> Result<Vec<String>, StoreError> {
        self.inner.flaws().await
    }
}

/// Implements a trait whose methods ask the store inside.
macro_rules! inside {
    ($name:ident { $($method:ident($($argument:ident: $type:ty),*) -> $read:ty;)* }) => {
        #[async_trait]
        impl $name for FaultyStore {
            $(
                async fn $method(&self, $($argument: $type),*) -> Result<$read, StoreError> {
                    self.inner.$method($($argument),*).await
                }
            )*
        }
    };
}

inside! { Accounts {
    account(id: AccountId) -> Option<Account>;
    account_by_name(name: &AccountName) -> Option<Account>;
    accounts(kind: Kind, page: &Page<String>) -> Vec<Result<Account, DamagedAccount>>;
    damaged_account(kind: Kind, name: &str) -> Option<DamagedAccount>;
    passphrase(account: AccountId) -> Option<PassphraseCredential>;
    passphrase_login(name: &AccountName) -> Option<(Account, PassphraseCredential)>;
    delivered_key(account: AccountId) -> Option<DeliveredKeyCredential>;
    delivered_login(name: &AccountName) -> Option<(Account, DeliveredKeyCredential)>;
    key_login(thumbprint: &Thumbprint) -> Option<(Account, KeyCredential)>;
    keys_of(account: AccountId) -> Vec<KeyCredential>;
} }

inside! { Alarms {
    alarm(id: AlarmId) -> Option<Alarm>;
    current_alarm(raiser: Raiser, to: Target, key: &AlarmKey) -> Option<Alarm>;
    alarms(search: &AlarmSearch) -> Vec<Alarm>;
    recipients(alarm: AlarmId) -> Vec<Recipient>;
    alarm_counts(raiser: Option<Raiser>) -> AlarmCounts;
    crowded_recipients(alarms: u64) -> Vec<AccountId>;
    oldest_over(account: Option<AccountId>) -> Option<Alarm>;
    due_escalations(now: Timestamp, limit: u32) -> Vec<Alarm>;
    active_admins(limit: u32) -> Vec<Account>;
    delivery(id: DeliveryId) -> Option<Delivery>;
    deliveries(search: &DeliverySearch) -> Vec<Delivery>;
    deliveries_of(alarm: AlarmId, account: Option<AccountId>) -> Vec<Delivery>;
    due_deliveries(now: Timestamp, limit: u32) -> Vec<Delivery>;
    next_due() -> Option<Timestamp>;
    waiting_deliveries(account: AccountId, channel: DeliveryChannel, limit: u32) -> Vec<Delivery>;
    leased_deliveries(message: DeliveryId) -> Vec<Delivery>;
    recent_messages(account: AccountId, since: Timestamp, now: Timestamp, limit: u32) -> Vec<(DeliveryChannel, Timestamp)>;
    preferences(account: AccountId) -> Option<StoredPreferences>;
} }

inside! { Applications {
    application(id: &ApplicationId) -> Option<Application>;
    applications(page: &Page<String>) -> Vec<Result<Application, DamagedApplication>>;
    damaged_application(id: &ApplicationId) -> Option<DamagedApplication>;
} }

inside! { Settings {
    setting(name: &str) -> Option<Setting>;
    script(name: &str) -> Option<ScriptProgress>;
} }

inside! { AuditLog {
    audit(page: &Page<u64>) -> Vec<AuditEntry>;
    audit_search(search: &AuditSearch) -> Vec<AuditEntry>;
    audit_head() -> ChainHead;
} }
