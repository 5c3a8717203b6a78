//! The engine: a site and the one door through which every operation passes, the table of operations, and what follows
//! from the changes that they make.
//!
//! ```text
//! operation ─▶ find in the table ─▶ sealed? ─▶ may the caller? ─▶ read params ─▶ handle ─▶ outcome
//!                    │                 │              │                │            │
//!               unknown, with      `sealed`     `not_permitted`,   the field    changes and
//!             the nearest name                 counted and audited  named    audit entry at once
//! ```
//!
//! ```text
//! handler ──▶ change set ──▶ store: one transaction ──▶ projection ──▶ the caller is answered
//!             changes                                   ends sessions, renews caches and settings,
//!             notices                                   raises events
//!             audit entry
//! ```
//!
//! A handler never acts on what it committed: what must follow travels with the change set and is applied on the
//! store's own task, in the order of commits. A caller that disconnects meanwhile changes nothing about it.
//!
//! The folders beside this one (accounts, sessions, tickets and so on) know nothing of it; it puts them together.

mod context;
mod counted;
mod delay;
mod endpoints;
mod login;
mod new_site;
mod outbox;
pub(crate) mod params;
mod projection;
mod raise;
mod record;
pub mod reference;
mod refusal;
mod script;
mod table;
mod ticket;
mod unseal;

use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use countersign_crypto::entropy::Entropy;
use countersign_crypto::site_key::SitePublicKey;
use countersign_proto::name::{AccountName, Zone};
use countersign_proto::operation::{Code, Operation, Outcome};
use countersign_proto::session::{EncryptionOption, OptionList, Strength};

use crate::access::{Caller, Channel};
use crate::audit::coalesced::{Coalesced, Occurrence};
use crate::content::Content;
use crate::offer::Offer;
use crate::sessions::{Events, SessionRegistry};
use crate::site_key::Opened;
use crate::store::Store;
use crate::throttle::{Rate, Throttle};
use crate::tickets::Broker;
use crate::timestamp::Timestamp;

pub use context::{Changes, Context};
pub use delay::RefusalDelay;
pub use endpoints::Endpoints;
pub use login::{Decision, NewSession, PersonLogin, ServiceLogin};
pub use new_site::{NewSite, SiteError};
pub use outbox::{DeliveryResult, DeliverySettings, DueDelivery, OutboxHook};
pub use raise::{NewAlarm, Raised};
pub use record::{LAST_BACKUP, OFFER, SiteConfig};
pub use refusal::Refusal;
pub use script::{ScriptError, ScriptOutcome};
pub use table::{Answer, Entry, EntryBuilder, Table, TableError};
pub use unseal::UnsealError;

use context::{Along, ContentSlot};
use projection::Projection;
use record::SiteRecord;
use table::Reply;

/// What a site is made of.
pub struct Parts {
    /// Where its decisions are kept.
    pub store: Arc<dyn Store>,
    /// What it can be asked to do.
    pub table: Table,
    /// Where its ids and secrets come from.
    pub entropy: Box<dyn Entropy>,
    /// The encryption options that a new site offers; a site that is opened offers what it kept.
    pub offer: Offer,
    /// No option weaker than this is offered, whatever is kept: the configuration's floor.
    pub floor: Strength,
}

/// A site. Clones are the same site.
#[derive(Clone)]
pub struct Site(Arc<Inner>);

/// A site for as long as another part of the program uses it.
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
    opened: RwLock<Option<Arc<Opened>>>,
    endpoints: RwLock<Endpoints>,
    broker: Broker,
    counted: Mutex<Coalesced>,
    /// Held while entries of counted events are written, so that a stop can wait for that.
    writing_counted: futures_util::lock::Mutex<counted::Writing>,
    /// Held while the whole audit log is verified.
    verifying: futures_util::lock::Mutex<()>,
    delay: RwLock<Option<RefusalDelay>>,
    outbox: outbox::Outbox,
}

impl Site {
    fn assemble(parts: Parts, record: SiteRecord, opened: Option<Opened>) -> Self {
        let site = Self(Arc::new(Inner {
            store: parts.store,
            table: parts.table,
            entropy: Mutex::new(parts.entropy),
            floor: parts.floor,
            sessions: SessionRegistry::default(),
            events: Events::default(),
            throttle: Arc::default(),
            record: RwLock::new(record),
            opened: RwLock::new(opened.map(Arc::new)),
            endpoints: RwLock::default(),
            broker: Broker::default(),
            counted: Mutex::default(),
            writing_counted: futures_util::lock::Mutex::default(),
            verifying: futures_util::lock::Mutex::default(),
            delay: RwLock::default(),
            outbox: outbox::Outbox::default(),
        }));
        site.store().observe(Arc::new(Projection::of(&site)));
        site
    }

    pub(crate) fn downgrade(&self) -> WeakSite {
        WeakSite(Arc::downgrade(&self.0))
    }

    /// Does what an operation says, if the caller may have it done. Every failure is an outcome too.
    /// Operations that take or give content are refused here: see [`Site::run_with_content`].
    pub async fn run(&self, caller: &Caller, operation: &Operation, now: Timestamp) -> Outcome {
        let run = self.run_along(caller, operation, now, Along::default());
        run.await
    }

    /// As [`Site::run`], with the content that came with the operation, and with that of its answer.
    pub async fn run_with_content(
        &self,
        caller: &Caller,
        operation: &Operation,
        content: Option<Content>,
        now: Timestamp,
    ) -> (Outcome, Option<Content>) {
        let entry = self.table().find(&operation.group, &operation.command);
        let entry = entry.map(|entry| &**entry);
        self.run_entry(entry, caller, operation, content, now).await
    }

    /// As [`Site::run_with_content`], for a caller of this function that has looked the operation up already.
    pub async fn run_entry(
        &self,
        entry: Option<&Entry>,
        caller: &Caller,
        operation: &Operation,
        content: Option<Content>,
        now: Timestamp,
    ) -> (Outcome, Option<Content>) {
        let carried = Carried {
            along: Along::default(),
            content,
            answers: true,
        };
        let attempt = self.audited(entry, caller, operation, now, carried).await;
        outcome(operation, attempt)
    }

    async fn run_along(
        &self,
        caller: &Caller,
        operation: &Operation,
        now: Timestamp,
        along: Along,
    ) -> Outcome {
        let carried = Carried {
            along,
            content: None,
            answers: false,
        };
        let entry = self.table().find(&operation.group, &operation.command);
        let entry = entry.map(|entry| &**entry);
        let attempt = self.audited(entry, caller, operation, now, carried).await;
        outcome(operation, attempt).0
    }

    /// As [`Site::attempt`]; a refusal because of who calls, or of what they showed, is counted and audited.
    async fn audited(
        &self,
        entry: Option<&Entry>,
        caller: &Caller,
        operation: &Operation,
        now: Timestamp,
        carried: Carried,
    ) -> Result<Reply, Refusal> {
        let attempt = self.attempt(entry, caller, operation, now, carried).await;
        let refused = attempt.as_ref().err().and_then(Refusal::audited_as);
        if let Some(outcome) = refused {
            let name = format!("{}.{}", operation.group, operation.command);
            self.count(Occurrence::of_caller(caller, name, outcome), now);
            // What cannot be written now waits for the next time.
            let _ = self.write_counted(now).await;
        }
        attempt
    }

    async fn attempt(
        &self,
        entry: Option<&Entry>,
        caller: &Caller,
        operation: &Operation,
        now: Timestamp,
        carried: Carried,
    ) -> Result<Reply, Refusal> {
        let (group, command) = (&operation.group, &operation.command);
        let entry = entry.ok_or_else(|| self.table().unknown(group, command))?;
        if self.is_sealed() && !entry.works_while_sealed() {
            return Err(Refusal::sealed());
        }
        let caller = self.current(caller, now)?;
        let Some(scope) = entry.access().scope(&caller) else {
            return Err(refusal(entry));
        };
        carried.fits(entry)?;
        if let Some(account) = caller.account.filter(|_| entry.is_costly()) {
            let counted = self.throttle().rates().take(Rate::PublicKey(account), now);
            counted.map_err(|wait| {
                Refusal::busy_for("too many operations with public-key work lately", wait)
            })?;
        }
        let context = Context {
            site: self.clone(),
            caller,
            scope,
            now,
            operation: entry.shared_name(),
            along: carried.along,
            content: ContentSlot::of(carried.content),
        };
        entry.start(context, operation.params.get())?.await
    }

    /// The caller as things are now: a session that was cut or is over may do nothing any more, even
    /// when its connection has not noticed yet.
    fn current(&self, caller: &Caller, now: Timestamp) -> Result<Caller, Refusal> {
        match caller.channel {
            Channel::AdminSocket | Channel::Init | Channel::Site => Ok(caller.clone()),
            Channel::Session => {
                let role = caller
                    .session
                    .and_then(|session| self.sessions().role(session, now))
                    .ok_or_else(|| Refusal::not_permitted("the session is over", "log in again"))?;
                Ok(Caller {
                    role,
                    ..caller.clone()
                })
            }
            // No caller of the table comes this way yet.
            Channel::Http => Err(Refusal::not_permitted(
                "operations are not called over HTTP",
                "open a session, or use the site's local admin socket",
            )),
        }
    }

    /// What the site can be asked to do.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.0.table
    }

    /// The sessions that are open now.
    #[must_use]
    pub fn sessions(&self) -> &SessionRegistry {
        &self.0.sessions
    }

    /// The way to the open sessions for events.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.0.events
    }

    /// What is remembered of those who misbehave.
    #[must_use]
    pub fn throttle(&self) -> &Arc<Throttle> {
        &self.0.throttle
    }

    /// The encryption options that new sessions may use now, ranked.
    #[must_use]
    pub fn options(&self) -> OptionList {
        self.record().offer.options(self.0.floor)
    }

    /// The options that an admin enabled and that are not offered all the same, because the
    /// configuration's floor is above them.
    #[must_use]
    pub fn options_held_back(&self) -> Vec<EncryptionOption> {
        let (offered, record) = (self.options(), self.record());
        let enabled = record.offer.enabled().iter().copied();
        enabled
            .filter(|option| !offered.ranked().contains(option))
            .collect()
    }

    /// The configuration's floor: no operation goes below it.
    #[must_use]
    pub fn configured_floor(&self) -> Strength {
        self.0.floor
    }

    /// The site's public key: known while the site is sealed too.
    #[must_use]
    pub fn public_key(&self) -> SitePublicKey {
        self.record().wrapped_key.public()
    }

    /// What the admin may set.
    #[must_use]
    pub fn config(&self) -> SiteConfig {
        self.record().config.clone()
    }

    /// The zone of names that were given without one.
    #[must_use]
    pub fn zone(&self) -> Zone {
        self.record().config.zone.clone()
    }

    /// The name with its zone.
    #[must_use]
    pub fn whole_name(&self, name: AccountName) -> AccountName {
        match name.zone() {
            Some(_) => name,
            None => name.with_default_zone(&self.zone()),
        }
    }

    /// Where the site's decisions are kept.
    pub(crate) fn store(&self) -> &dyn Store {
        &*self.0.store
    }

    /// The turn to verify the whole audit log: one caller has it at a time.
    pub(crate) fn verifying(&self) -> Option<futures_util::lock::MutexGuard<'_, ()>> {
        self.0.verifying.try_lock()
    }

    /// Where the site's ids and secrets come from. Nothing is held between two draws, so that slow work
    /// with it makes nobody wait.
    pub(crate) fn entropy(&self) -> SiteEntropy<'_> {
        SiteEntropy(self)
    }
}

/// The refusal of a caller who may not call that operation.
fn refusal(entry: &Entry) -> Refusal {
    Refusal::not_permitted(
        format!("{} may not be called by you here", entry.name()),
        match entry.access().channels() {
            [Channel::AdminSocket] => "it is answered at the site's local admin socket only",
            [Channel::Session] => "it is answered over a session only",
            _ => "ask an admin of the site",
        },
    )
}

/// What comes with an operation besides its parameters, and what its door can carry back.
struct Carried {
    along: Along,
    content: Option<Content>,
    /// Whether an answer's content has a way to the caller.
    answers: bool,
}

impl Carried {
    fn fits(&self, entry: &Entry) -> Result<(), Refusal> {
        if entry.gives_content() && !self.answers {
            return Err(Refusal::stray_content(format!(
                "{} answers with content, which cannot be taken here",
                entry.name()
            )));
        }
        match (entry.takes_content(), self.content.is_some()) {
            (true, false) => Err(Refusal::no_content()),
            (false, true) => Err(Refusal::stray_content(format!(
                "{} takes no content",
                entry.name()
            ))),
            _ => Ok(()),
        }
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

/// Draws from the entropy that the site was given.
pub(crate) struct SiteEntropy<'a>(&'a Site);

impl Entropy for SiteEntropy<'_> {
    fn fill(&mut self, out: &mut [u8]) {
        let entropy = &self.0.0.entropy;
        entropy
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fill(out);
    }
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Site({})", self.public_key())
    }
}
