//! The engine: the site, the table of operations, and the projection of committed changes. Every
//! operation on every channel passes through it.
//!
//! ```text
//! operation ─▶ find in the table ─▶ sealed? ─▶ may the caller? ─▶ read params ─▶ handle ─▶ outcome
//!                    │                 │              │                │            │
//!               unknown, with      `sealed`     `not_permitted`,   the field    changes and
//!             the nearest name                 counted and audited  named    audit entry at once
//! ```
//!
//! ```text
//! handler ──▶ change set ──▶ store: one transaction ──▶ projection ──▶ result to the caller
//!             changes                                   ends sessions, renews caches and settings,
//!             notices                                   raises events
//!             audit entry
//! ```
//!
//! A handler never acts on what it committed. The consequences travel with the change set and are
//! applied on the store's own task, in commit order. So a caller that disconnects changes nothing
//! about them.
//!
//! The sibling modules (accounts, sessions, tickets and so on) do not depend on this one.

mod alarms;
mod applications;
mod audit;
mod devices;
mod enrolment;
mod http_access;
mod lockdown;
mod login;
mod operation;
pub(crate) mod peers;
mod precondition;
mod projection;
pub mod rest;
mod site;
mod tickets;
mod whole_accounts;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use countersign_crypto::entropy::{Entropy, fresh};
use countersign_crypto::site_key::SitePublicKey;
use countersign_proto::name::{AccountName, Zone};
use countersign_proto::operation::{Code, Operation, Outcome};
use countersign_proto::session::{EncryptionOption, OptionList, Strength};
use countersign_proto::site_identity::{SignedKeyEvent, SiteId};

use crate::access::{Caller, Channel};
use crate::audit::coalesced::Coalesced;
use crate::content::Content;
use crate::sessions::{Events, SessionRegistry};
use crate::site_key::UnsealedKeys;
use crate::store::Store;
use crate::throttle::{Rate, Throttle};
use crate::tickets::Broker;
use crate::timestamp::Timestamp;

pub use alarms::{
    DeliveryResult, DeliverySettings, DueDelivery, NewAlarm, Observed, OutboxHook, Raised,
};
pub(crate) use audit::SignedLog;
pub use devices::NewDeviceSession;
pub(crate) use enrolment::FirstAdminView;
pub use enrolment::{Begun, Enrolled, NotEnrolled, RegistrationOrigin, StartedRegistration};
pub(crate) use lockdown::LockdownTurn;
pub use login::{Decision, NewSession, PersonLogin, ServiceLogin};
pub(crate) use operation::params;
pub use operation::{
    Answer, Carried, Changes, Completion, Context, DisruptiveWhen, Entry, EntryBuilder,
    MAX_PAGE_BYTES, ParameterIs, Refusal, RefusalDelay, Table, TableError, reference,
};
pub use peers::{
    AskError, DeliveryReport, FollowedEvents, HeadOffer, HeadReply, HeadState, Incoming,
    IncomingState, LONGEST_PEER_BACKOFF, MAX_BATCH, MAX_JOINS, NewPeerConnection, OfferedHead,
    OperationName, Outgoing, OwnSide, PeerAddressNotice, PeerBackoff, PeerBreach, PeerConnection,
    PeerDirection, PeerPlan, PeerProblem, PeerServerState, PeerStatus, PeerTransport,
    TransportError, delay_of_answer,
};
pub(crate) use peers::{HeadRefused, PEER_TRIES, PeerTold, Witness};
pub use site::{
    ClientAddress, Endpoints, Gauges, HttpProtection, LAST_BACKUP, LoweredSetting, NewSite, OFFER,
    Parts, RuntimeConfig, RuntimeSetting, ScriptError, ScriptOutcome, SecretError, SettingSource,
    SiteConfig, SiteError, SlotList, StoredGauges, StoredSettings, UnsealError,
};
pub(crate) use tickets::MAX_VOID_NAMES;
pub use tickets::TicketWork;
pub(crate) use whole_accounts::{CachedAccount, Shown};

use operation::{ContentSlot, Reply, Rider, RunningTime};
use projection::Projection;
use rest::IfMatch;
use site::SiteRecord;

/// A site. Clones refer to the same site.
#[derive(Clone)]
pub struct Site(Arc<Inner>);

/// A weak reference to a site.
pub(crate) struct WeakSite(Weak<Inner>);

impl WeakSite {
    pub(crate) fn upgrade(&self) -> Option<Site> {
        self.0.upgrade().map(Site)
    }
}

struct Inner {
    store: Arc<dyn Store>,
    table: Table,
    entropy: Mutex<Box<dyn Entropy>>,
    floor: Strength,
    sessions: SessionRegistry,
    events: Events,
    throttle: Arc<Throttle>,
    record: RwLock<SiteRecord>,
    unsealed_keys: RwLock<Option<Arc<UnsealedKeys>>>,
    endpoints: RwLock<Endpoints>,
    broker: Broker,
    counted: Mutex<Coalesced>,
    /// Locked while entries of counted events are written, so that a shutdown can wait for them.
    writing_counted: futures_util::lock::Mutex<audit::Writing>,
    /// Locked while the whole audit log is verified.
    verifying: futures_util::lock::Mutex<()>,
    delay: RwLock<Option<RefusalDelay>>,
    outbox: alarms::Outbox,
    /// The settings of the program that runs the site.
    runtime: RwLock<Option<Arc<dyn RuntimeConfig>>>,
    /// Alarms that wait to be raised.
    reported: Mutex<alarms::Reported>,
    observed: Mutex<Observed>,
    misused: Mutex<enrolment::MisusedTickets>,
    unplaced: Mutex<std::collections::BTreeSet<crate::alarms::AlarmKey>>,
    peering: peers::Peering,
    http_access: http_access::HttpAccess,
    whole_accounts: whole_accounts::WholeAccounts,
    /// The text of the public key that was written last.
    key_text: Mutex<Option<(SitePublicKey, Arc<str>)>>,
    device_requests: devices::DeviceRequests,
    lockdown_turns: lockdown::LockdownTurns,
}

impl Site {
    fn assemble(mut parts: Parts, record: SiteRecord, unsealed_keys: Option<UnsealedKeys>) -> Self {
        let events = Events::new(fresh(&mut *parts.entropy));
        let site = Self(Arc::new(Inner {
            store: parts.store,
            table: parts.table,
            entropy: Mutex::new(parts.entropy),
            floor: parts.floor,
            sessions: SessionRegistry::default(),
            events,
            throttle: Arc::default(),
            record: RwLock::new(record),
            unsealed_keys: RwLock::new(unsealed_keys.map(Arc::new)),
            endpoints: RwLock::default(),
            broker: Broker::default(),
            counted: Mutex::default(),
            writing_counted: futures_util::lock::Mutex::default(),
            verifying: futures_util::lock::Mutex::default(),
            delay: RwLock::default(),
            outbox: alarms::Outbox::default(),
            runtime: RwLock::default(),
            reported: Mutex::default(),
            observed: Mutex::default(),
            misused: Mutex::default(),
            unplaced: Mutex::default(),
            peering: peers::Peering::default(),
            http_access: http_access::HttpAccess::default(),
            whole_accounts: whole_accounts::WholeAccounts::default(),
            key_text: Mutex::default(),
            device_requests: devices::DeviceRequests::default(),
            lockdown_turns: lockdown::LockdownTurns::default(),
        }));
        site.store().observe(Arc::new(Projection::of(&site)));
        site
    }

    pub(crate) fn downgrade(&self) -> WeakSite {
        WeakSite(Arc::downgrade(&self.0))
    }

    /// Runs an operation if the caller is permitted to. Every failure is an outcome too. Operations
    /// that take or return content are refused: see [`Site::run_with_content`].
    pub async fn run(&self, caller: &Caller, operation: &Operation, now: Timestamp) -> Outcome {
        let run = self.run_with_rider(caller, operation, now, Rider::default());
        run.await
    }

    /// Like [`Site::run`], with the content of the operation and of its result.
    pub async fn run_with_content(
        &self,
        caller: &Caller,
        operation: &Operation,
        content: Option<Content>,
        now: Timestamp,
    ) -> (Outcome, Option<Content>) {
        let entry = self.table().find(&operation.group, &operation.command);
        self.run_entry(entry, caller, operation, content, now).await
    }

    /// Like [`Site::run_with_content`], for code that has already looked up the entry.
    pub async fn run_entry(
        &self,
        entry: Option<&Arc<Entry>>,
        caller: &Caller,
        operation: &Operation,
        content: Option<Content>,
        now: Timestamp,
    ) -> (Outcome, Option<Content>) {
        let carried = Carried::content(content);
        self.run_carried(entry, caller, operation, carried, now)
            .await
    }

    /// Like [`Site::run_entry`], with the conditions of the channel.
    pub async fn run_carried(
        &self,
        entry: Option<&Arc<Entry>>,
        caller: &Caller,
        operation: &Operation,
        carried: Carried,
        now: Timestamp,
    ) -> (Outcome, Option<Content>) {
        let attempt = self.audited(entry, caller, operation, now, carried).await;
        outcome(operation, attempt)
    }

    async fn run_with_rider(
        &self,
        caller: &Caller,
        operation: &Operation,
        now: Timestamp,
        rider: Rider,
    ) -> Outcome {
        let carried = Carried::rider(rider);
        let entry = self.table().find(&operation.group, &operation.command);
        let attempt = self.audited(entry, caller, operation, now, carried).await;
        outcome(operation, attempt).0
    }

    /// Like [`Site::attempt`]. A refusal for lack of permission, or for a wrong secret, is counted
    /// and audited.
    async fn audited(
        &self,
        entry: Option<&Arc<Entry>>,
        caller: &Caller,
        operation: &Operation,
        now: Timestamp,
        carried: Carried,
    ) -> Result<Reply, Refusal> {
        let time = carried.time(now);
        let attempt = self.attempt(entry, caller, operation, time, carried);
        let attempt = attempt.await;
        if let Err(refusal) = &attempt {
            let name = format!("{}.{}", operation.group, operation.command);
            Box::pin(self.count_refusal(refusal, caller, &name, time.now())).await;
        }
        attempt
    }

    async fn attempt(
        &self,
        entry: Option<&Arc<Entry>>,
        caller: &Caller,
        operation: &Operation,
        time: RunningTime,
        carried: Carried,
    ) -> Result<Reply, Refusal> {
        let now = time.begun;
        if caller.channel == Channel::Peer {
            let entry = entry.map(|entry| &**entry);
            Box::pin(self.count_peer_operation(entry, caller, now)).await?;
        }
        let (group, command) = (&operation.group, &operation.command);
        let entry = entry.ok_or_else(|| self.table().unknown(group, command))?;
        let (current, scope) = self.authorised(entry, caller, now)?;
        carried.fits(entry)?;
        if let Some(account) = current.account.filter(|_| entry.is_costly()) {
            let rate = Rate::PublicKey(account);
            let holder = self.holder(&current, rate);
            let counted = self.throttle().rates().take_all(rate, holder, 1, now);
            counted.map_err(|wait| {
                Refusal::busy_for("you used too many operations with public-key work", wait)
            })?;
        }
        let (params, tag) = precondition::taken(entry, operation.params.get())?;
        let expected = match (carried.if_match, tag) {
            (Some(_), Some(_)) => return Err(precondition::twice()),
            (Some(IfMatch::Tags(tags)), None) => Some(tags),
            (Some(IfMatch::Any), None) => None,
            (None, tag) => tag.map(|tag| vec![tag]),
        };
        let mut context = Context {
            site: self.clone(),
            caller: current.into_owned(),
            scope,
            time,
            entry: Arc::clone(entry),
            rider: carried.rider,
            content: ContentSlot::default(),
            if_match: expected.map(Into::into),
            has_committed: Arc::default(),
        };
        let content = carried.content;
        let content = content.map(|content| context.while_authorised(content));
        context.content = ContentSlot::of(content);
        let giving = entry.gives_content().then(|| context.clone());
        let has_committed = Arc::clone(&context.has_committed);
        let mut reply = entry.start(context, &params)?.await?;
        // A handler that commits is asked with each commit, the last of which may end its caller's access.
        if !has_committed.load(Ordering::Relaxed) {
            self.still_authorised(entry, caller, scope, time.now())
                .await?;
        }
        if let Some(context) = giving {
            let content = reply.content.take();
            reply.content = content.map(|content| context.while_authorised(content));
        }
        Ok(reply)
    }

    /// Returns the operations that the site offers.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.0.table
    }

    /// Returns the registry of open sessions.
    #[must_use]
    pub fn sessions(&self) -> &SessionRegistry {
        &self.0.sessions
    }

    /// Returns the event streams of the open sessions.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.0.events
    }

    /// Returns the site's throttle.
    #[must_use]
    pub fn throttle(&self) -> &Arc<Throttle> {
        &self.0.throttle
    }

    /// Returns the encryption options on offer to new sessions, in order of rank.
    #[must_use]
    pub fn options(&self) -> OptionList {
        self.record().offer.options(self.0.floor)
    }

    /// Returns the options that an admin enabled but that are not on offer, because they are weaker
    /// than the floor in the configuration.
    #[must_use]
    pub fn options_below_floor(&self) -> Vec<EncryptionOption> {
        let (offered, record) = (self.options(), self.record());
        let enabled = record.offer.enabled().iter().copied();
        enabled
            .filter(|option| !offered.ranked().contains(option))
            .collect()
    }

    /// Returns the floor in the configuration. No operation can offer a weaker option.
    #[must_use]
    pub fn configured_floor(&self) -> Strength {
        self.0.floor
    }

    /// Returns the site's public key. It is available while the site is sealed too.
    #[must_use]
    pub fn public_key(&self) -> SitePublicKey {
        self.record().key.current.public()
    }

    /// Returns the text of [`Self::public_key`]. Its checksum is computed once for each key.
    pub(crate) fn public_key_text(&self) -> Arc<str> {
        let key = self.public_key();
        let text = self.0.key_text.lock();
        let mut text = text.unwrap_or_else(PoisonError::into_inner);
        match &*text {
            Some((of, text)) if *of == key => Arc::clone(text),
            _ => {
                let new: Arc<str> = key.to_string().into();
                *text = Some((key, Arc::clone(&new)));
                new
            }
        }
    }

    /// Returns the site's id, which a new site key does not change. It is available while the site
    /// is sealed too.
    #[must_use]
    pub fn id(&self) -> SiteId {
        self.record().key.known.id()
    }

    /// Returns the key events of the site, from event 0 on. They are available while the site is
    /// sealed too. [`UnsealedKeys::events`] are those that belong to the unsealed key.
    #[must_use]
    pub fn key_events(&self) -> Arc<[SignedKeyEvent]> {
        self.record().key.events.clone()
    }

    /// Returns the settings that an admin can change.
    #[must_use]
    pub fn config(&self) -> SiteConfig {
        self.record().config.clone()
    }

    /// Returns the zone of account names that are given without one.
    #[must_use]
    pub fn zone(&self) -> Zone {
        self.record().config.zone.clone()
    }

    /// Returns the name with its zone: its own, or the site's.
    #[must_use]
    pub fn qualified_name(&self, name: AccountName) -> AccountName {
        match name.zone() {
            Some(_) => name,
            None => name.with_default_zone(&self.zone()),
        }
    }

    /// Returns the storage of the site.
    pub(crate) fn store(&self) -> &dyn Store {
        &*self.0.store
    }

    /// Takes the lock for verifying the whole audit log; `None` while another caller has it.
    pub(crate) fn verifying(&self) -> Option<futures_util::lock::MutexGuard<'_, ()>> {
        self.0.verifying.try_lock()
    }
}

fn outcome(operation: &Operation, attempt: Result<Reply, Refusal>) -> (Outcome, Option<Content>) {
    match attempt {
        Ok(reply) => {
            let outcome = Outcome {
                id: operation.id,
                code: Code::SUCCESS,
                data: reply.data,
                output: reply.output,
            };
            (outcome, reply.content)
        }
        Err(refusal) => (refusal.outcome(operation.id), None),
    }
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Site({})", self.public_key())
    }
}
