//! A store whose commits fail on request, and whose reads are steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use countersign_core::access_tokens::{AccessToken, AccessTokenHash};
use countersign_core::accounts::{
    Account, AccountSearch, DeliveredKeyCredential, KeyCredential, Kind, PassphraseCredential,
    PersonData,
};
use countersign_core::alarms::{
    Alarm, AlarmKey, Delivery, DeliveryChannel, Raiser, Recipient, Target,
};
use countersign_core::applications::{Application, ApplicationId};
use countersign_core::audit::{AuditEntry, AuditSearch, ChainHead, StoredSignature};
use countersign_core::devices::Device;
use countersign_core::enrolment::EnrolmentTicket;
use countersign_core::id::{
    AccessTokenId, AccountId, AlarmId, DeliveryId, DeviceId, MessageId, TicketId,
};
use countersign_core::page::Page;
use countersign_core::peers::{InboxMessage, LogSide, OutboxMessage, Peer, VoidAtPeer};
use countersign_core::store::{
    AccessTokens, Accounts, AlarmCounts, AlarmSearch, Alarms, Applications, AuditLog, ChangeSet,
    ClearData, ClearDatum, Committed, CompletedRequest, DamagedAccount, DamagedApplication,
    DamagedDevice, DamagedPeer, DeliverySearch, Devices, Effects, EnrolmentTickets, LastReceived,
    Observer, OutboxState, Peers, RemovedDevice, ScriptProgress, Setting, Settings, Store,
    StoreCopy, StoreError, StoredPreferences, Thing, WholeAccount, Withheld,
};
use countersign_core::timestamp::Timestamp;
use countersign_crypto::certificate::Thumbprint;
use countersign_proto::enrolment::TokenHash;
use countersign_proto::name::{AccountName, Zone};
use countersign_proto::peer::WitnessedHead;
use countersign_proto::site_identity::SiteId;

/// A fault of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The store writes nothing and returns an error.
    Fails,
    /// The store writes the set and informs the observer, but returns an error.
    AnswerLost,
    /// The store writes nothing and reports success.
    NotWritten,
    /// The store writes nothing: an alarm was changed at the same time.
    Stale,
}

impl Fault {
    /// The faults that return an error to the caller.
    pub const REPORTED: [Self; 2] = [Self::Fails, Self::AnswerLost];
}

/// Passes all calls on to another store, except for the commits that have to fail. Each read and each commit is a
/// step: it is pending once, before it begins, so that a test can give up a caller there.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    fault: Fault,
    /// The number of commits that succeed before the first fault.
    before: AtomicUsize,
    /// The number of commits that fail after those.
    faults: AtomicUsize,
}

impl FaultyStore {
    /// A store whose commits succeed until [`Self::break_after`].
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, fault: Fault) -> Self {
        Self {
            inner,
            fault,
            before: AtomicUsize::new(usize::MAX),
            faults: AtomicUsize::new(0),
        }
    }

    /// A store whose every commit fails.
    #[must_use]
    pub fn always(inner: Arc<dyn Store>, fault: Fault) -> Self {
        let store = Self::new(inner, fault);
        store.break_after(0, usize::MAX);
        store
    }

    /// The next `before` commits succeed, then `faults` commits fail.
    pub fn break_after(&self, before: usize, faults: usize) {
        self.before.store(before, Ordering::SeqCst);
        self.faults.store(faults, Ordering::SeqCst);
    }

    /// Whether there are faults left.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.faults.load(Ordering::SeqCst) > 0
    }

    fn next_fails(&self) -> bool {
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
        tokio::task::yield_now().await;
        if !self.next_fails() {
            return self.inner.commit(set).await;
        }
        let lost = Err(StoreError::Unavailable {
            problem: "a fault that the test injected".to_owned(),
        });
        match self.fault {
            Fault::Fails => lost,
            Fault::AnswerLost => {
                self.inner.commit(set).await?;
                lost
            }
            Fault::Stale => Err(StoreError::Stale { what: Thing::Alarm }),
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

/// Implements a trait of a store by calls to the inner store.
macro_rules! delegate {
    ($name:ident { $($method:ident($($argument:ident: $type:ty),*) -> $read:ty;)* }) => {
        #[async_trait]
        impl $name for FaultyStore {
            $(
                async fn $method(&self, $($argument: $type),*) -> Result<$read, StoreError> {
                    tokio::task::yield_now().await;
                    self.inner.$method($($argument),*).await
                }
            )*
        }
    };
}

delegate! { Accounts {
    account(id: AccountId) -> Option<Account>;
    account_by_name(name: &AccountName) -> Option<Account>;
    with_data(id: AccountId) -> Option<(Account, PersonData)>;
    accounts(kind: Kind, page: &Page<String>, search: Option<&AccountSearch>) -> Vec<Result<Account, DamagedAccount>>;
    damaged_account(kind: Kind, name: &str) -> Option<DamagedAccount>;
    whole_account(id: AccountId) -> Option<WholeAccount>;
    passphrase(account: AccountId) -> Option<PassphraseCredential>;
    passphrase_login(name: &AccountName) -> Option<(Account, PassphraseCredential)>;
    delivered_key(account: AccountId) -> Option<DeliveredKeyCredential>;
    delivered_login(name: &AccountName) -> Option<(Account, DeliveredKeyCredential)>;
    key_login(thumbprint: &Thumbprint) -> Option<(Account, KeyCredential)>;
    keys_of(account: AccountId) -> Vec<KeyCredential>;
} }

delegate! { Alarms {
    alarm(id: AlarmId) -> Option<Alarm>;
    current_alarm(raiser: Raiser, to: Target, key: &AlarmKey) -> Option<Alarm>;
    alarms(search: &AlarmSearch) -> Vec<Alarm>;
    recipients(alarm: AlarmId) -> Vec<Recipient>;
    alarm_counts(raiser: Option<Raiser>) -> AlarmCounts;
    recipients_at_limit(alarms: u64) -> Vec<AccountId>;
    oldest_over(account: Option<AccountId>) -> Option<Alarm>;
    due_escalations(now: Timestamp, limit: u32) -> Vec<Alarm>;
    active_admins(limit: u32) -> Vec<Account>;
    delivery(id: DeliveryId) -> Option<Delivery>;
    deliveries(search: &DeliverySearch) -> Vec<Delivery>;
    deliveries_of(alarm: AlarmId, account: Option<AccountId>) -> Vec<Delivery>;
    due_deliveries(now: Timestamp, limit: u32) -> Vec<Delivery>;
    next_due() -> Option<Timestamp>;
    outbox_state() -> OutboxState;
    waiting_deliveries(account: AccountId, channel: DeliveryChannel, limit: u32) -> Vec<Delivery>;
    leased_deliveries(message: DeliveryId) -> Vec<Delivery>;
    recent_messages(account: AccountId, since: Timestamp, now: Timestamp, limit: u32) -> Vec<(DeliveryChannel, Timestamp)>;
    preferences(account: AccountId) -> Option<StoredPreferences>;
} }

delegate! { Applications {
    application(id: &ApplicationId) -> Option<Application>;
    applications(page: &Page<String>) -> Vec<Result<Application, DamagedApplication>>;
    damaged_application(id: &ApplicationId) -> Option<DamagedApplication>;
} }

delegate! { EnrolmentTickets {
    ticket_by_token(token_hash: &TokenHash) -> Option<EnrolmentTicket>;
    enrolment_ticket(id: TicketId) -> Option<EnrolmentTicket>;
    open_tickets(account: AccountId, now: Timestamp) -> u64;
    enrolment_tickets(account: Option<AccountId>, page: &Page<TicketId>) -> Vec<EnrolmentTicket>;
} }

delegate! { AccessTokens {
    access_token_login(hash: &AccessTokenHash) -> Option<(Account, AccessToken)>;
    access_token(id: AccessTokenId) -> Option<AccessToken>;
    access_tokens(account: Option<AccountId>, page: &Page<AccessTokenId>) -> Vec<AccessToken>;
    completed_request(account: AccountId, key: &[u8; 32]) -> Option<CompletedRequest>;
} }

delegate! { Devices {
    device(id: DeviceId) -> Option<Device>;
    device_login(thumbprint: &Thumbprint) -> Option<(Account, Device)>;
    removed_device(thumbprint: &Thumbprint) -> Option<RemovedDevice>;
    device_owner(account: AccountId) -> Option<(Account, u64)>;
    devices(account: Option<AccountId>, page: &Page<DeviceId>) -> Vec<Result<Device, DamagedDevice>>;
    damaged_device(id: DeviceId) -> Option<DamagedDevice>;
} }

delegate! { Peers {
    peer(site: SiteId) -> Option<Peer>;
    peer_of_zone(zone: &Zone) -> Option<Peer>;
    peers(page: &Page<SiteId>) -> Vec<Result<Peer, DamagedPeer>>;
    damaged_peer(site: SiteId) -> Option<DamagedPeer>;
    peer_count() -> u64;
    peers_awaited(withheld: &Withheld) -> Vec<SiteId>;
    waiting_messages(peer: SiteId, withheld: &Withheld, limit: u32) -> Vec<OutboxMessage>;
    new_recipients(peer: SiteId, own: AccountId) -> Vec<AccountName>;
    has_accepted(peer: SiteId, other: &AccountName, own: AccountId) -> bool;
    outbox(account: AccountId, page: &Page<MessageId>) -> Vec<OutboxMessage>;
    outbox_count(account: AccountId) -> u64;
    outbox_peers(account: AccountId) -> Vec<SiteId>;
    inbox(account: AccountId, page: &Page<u64>) -> Vec<(u64, InboxMessage)>;
    inbox_count(account: AccountId) -> u64;
    last_received(peer: SiteId, other: &AccountName, own: AccountId) -> LastReceived;
    void_at_peers() -> Vec<VoidAtPeer>;
    audit_heads(peer: SiteId, side: LogSide, limit: u32) -> Vec<WitnessedHead>;
} }

delegate! { Settings {
    setting(name: &str) -> Option<Setting>;
    script(name: &str) -> Option<ScriptProgress>;
} }

delegate! { ClearData {
    clear_data(limit: u32) -> Vec<ClearDatum>;
} }

delegate! { AuditLog {
    audit(page: &Page<u64>) -> Vec<AuditEntry>;
    audit_search(search: &AuditSearch) -> Vec<AuditEntry>;
    audit_head() -> ChainHead;
    audit_signatures(limit: u32) -> Vec<StoredSignature>;
} }
