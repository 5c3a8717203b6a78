//! What all connections of a server share: the site, the limits, and the way to the open sessions.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::Poll;
use std::time::Duration;

use countersign_core::caller::{Caller, Door};
use countersign_core::content::Content;
use countersign_core::id::{AccountId, SessionId};
use countersign_core::policy::Scope;
use countersign_core::refusal::Refusal;
use countersign_core::session::{
    CloseReason, CutHook, Proof, Resume, Room, SessionInfo, Suspension,
};
use countersign_core::site::{Decision, NewSession, Opened, Site};
use countersign_core::store::StoreError;
use countersign_core::table::Entry;
use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::machine::KnownKeys;
use countersign_proto::name::AccountName;
use countersign_proto::operation::{Code, Event, Operation, Outcome};
use countersign_proto::session::Refusal as ProtocolRefusal;
use countersign_proto::session::server::{
    AccountTag, Authenticated, DeliveredCredential, FindSession, HowProved, PersonCredential,
    ServiceCredential, Settings,
};
use futures_util::FutureExt;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tracing::error;

use crate::clock;
use crate::counting;
use crate::events::Events;
use crate::limits::Limits;
use crate::queue::{FairQueue, QueueLimits, Turn};
use crate::resumptions::Resumptions;
use crate::server::Proxies;

/// How often suspended sessions that have expired are looked for: it bounds how late they are closed.
const EXPIRED_EVERY: Duration = Duration::from_secs(5);

/// The turn of an operation that does costly work; none for others.
type OperationTurn = Option<Turn<Option<AccountId>>>;

pub(crate) struct Shared {
    pub(crate) site: Site,
    limits: RwLock<Arc<Limits>>,
    pub(crate) events: Events,
    /// Whose requests over HTTP are others'.
    proxies: RwLock<Arc<Proxies>>,
    /// Becomes true when the server stops.
    pub(crate) stopping: watch::Receiver<bool>,
    known: Arc<KnownKeys>,
    resumptions: Resumptions,
    settings: Mutex<Option<(Arc<Opened>, Arc<Settings>)>>,
    /// Where logins wait for their public-key work.
    pub(crate) logins: Arc<FairQueue>,
    /// Where operations wait that do public-key work or compute for long, fair between accounts; those of
    /// the admin socket are of none.
    operations: Arc<FairQueue<Option<AccountId>>>,
    /// An event was counted.
    pub(crate) noted: Notify,
}

impl Shared {
    pub(crate) fn new(
        site: Site,
        limits: Limits,
        events: Events,
        stopping: watch::Receiver<bool>,
        proxies: Proxies,
    ) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let logins = FairQueue::new(processors, QueueLimits::of_logins(&limits));
        let operations =
            FairQueue::new((processors / 2).max(1), QueueLimits::of_operations(&limits));
        site.guard().keep_to(limits.penalties, limits.guesses);
        delay_refusals(&site, limits.refusal_time);
        Self {
            site,
            events,
            proxies: RwLock::new(Arc::new(proxies)),
            stopping,
            known: Arc::new(KnownKeys::default()),
            resumptions: Resumptions::default(),
            settings: Mutex::default(),
            logins,
            operations,
            noted: Notify::new(),
            limits: RwLock::new(Arc::new(limits)),
        }
    }

    /// The limits of now.
    pub(crate) fn limits(&self) -> Arc<Limits> {
        let limits = self.limits.read();
        limits.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The proxies that are trusted now.
    pub(crate) fn proxies(&self) -> Arc<Proxies> {
        let proxies = self.proxies.read();
        proxies.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps to other limits, and trusts other proxies.
    pub(crate) fn reload(&self, limits: Limits, proxies: Proxies) {
        self.site.guard().keep_to(limits.penalties, limits.guesses);
        delay_refusals(&self.site, limits.refusal_time);
        self.logins.keep_to(QueueLimits::of_logins(&limits));
        self.operations.keep_to(QueueLimits::of_operations(&limits));
        replace(&self.limits, limits);
        replace(&self.proxies, proxies);
    }

    /// What logins need; `None` while the site is sealed.
    pub(crate) fn login_settings(&self) -> Option<Arc<Settings>> {
        let opened = self.site.opened()?;
        let options = self.site.options();
        let max_packet = self.limits().max_packet;
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        match &*settings {
            Some((of, settings))
                if Arc::ptr_eq(of, &opened)
                    && settings.options == options
                    && settings.max_packet == max_packet =>
            {
                Some(settings.clone())
            }
            _ => {
                let made = Arc::new(Settings {
                    key: opened.key.clone(),
                    setup: opened.setup.clone(),
                    made_up: opened.made_up.clone(),
                    zone: self.site.zone(),
                    options,
                    max_packet,
                    known: self.known.clone(),
                });
                *settings = Some((opened, made.clone()));
                Some(made)
            }
        }
    }

    /// What a person logs in with, for the login machine.
    pub(crate) async fn person(
        &self,
        name: &AccountName,
    ) -> Result<Option<PersonCredential>, StoreError> {
        let found = log_trouble(self.site.person_for_login(name).await)?;
        Ok(found.map(|login| PersonCredential {
            account: AccountTag(*login.account.as_bytes()),
            setup: login.setup,
            credential_id: login.credential_id.0.to_vec(),
            record: login.record,
            sealed_identity: login.sealed_identity,
        }))
    }

    /// What is delivered of a person, for the login machine.
    pub(crate) async fn delivered(
        &self,
        name: &AccountName,
    ) -> Result<Option<DeliveredCredential>, StoreError> {
        let found = log_trouble(self.site.delivered_for_login(name).await)?;
        Ok(found.map(|(account, key)| DeliveredCredential {
            account: AccountTag(*account.as_bytes()),
            key,
        }))
    }

    /// What a service logs in with, for the login machine.
    pub(crate) async fn service(
        &self,
        thumbprint: &Thumbprint,
    ) -> Result<Option<ServiceCredential>, StoreError> {
        let found = log_trouble(self.site.service_for_login(thumbprint).await)?;
        Ok(found.map(|login| ServiceCredential {
            account: AccountTag(*login.account.as_bytes()),
            agreement: login.agreement,
        }))
    }

    /// Verifies that a client may resume its session, and answers it; the session as it is now, and the
    /// number of the attempt.
    pub(crate) fn resuming(
        &self,
        find: FindSession,
        out: &mut Vec<u8>,
    ) -> Result<(Authenticated, SessionInfo, u64), ProtocolRefusal> {
        let (id, option) = (SessionId::from_bytes(find.session().0), find.option());
        let secret = self.resumptions.secret(id);
        let mut resumes = None;
        let claim = |attempt| {
            let session = self.site.may_resume(id, option, clock::now());
            let session = session.filter(|_| self.resumptions.claim(id, attempt))?;
            let account = AccountTag(*session.account.as_bytes());
            resumes = Some((session, attempt));
            Some(account)
        };
        let authenticated = find.answer(secret.as_ref(), claim, &mut SystemEntropy, out)?;
        let (session, attempt) = resumes.ok_or(ProtocolRefusal::NotAuthenticated)?;
        Ok((authenticated, session, attempt))
    }

    /// A client that resumes its session has shown its keys: the session goes on over this connection. `None`
    /// when it may not any more.
    pub(crate) async fn resume_session(
        &self,
        id: SessionId,
        resume: Resume,
        events: mpsc::Sender<Arc<Event>>,
    ) -> Result<Option<SessionInfo>, StoreError> {
        let resumed = self.site.resume_session(id, resume, clock::now()).await;
        if let Ok(Some(info)) = &resumed {
            self.events.subscribe(info, events);
        } else if self.site.sessions().find(id).is_none() {
            // One that is there still may be resumed, with an option that is on offer.
            self.resumptions.forget(id);
        }
        log_trouble(resumed)
    }

    /// Opens the session of an authenticated account, and subscribes it to events.
    pub(crate) async fn open_session(
        &self,
        authenticated: &Authenticated,
        peer: SocketAddr,
        events: mpsc::Sender<Arc<Event>>,
        cut: oneshot::Sender<CloseReason>,
    ) -> Result<Decision, StoreError> {
        let cut = hook(cut);
        let (option, peer, now) = (authenticated.option(), peer.to_string(), clock::now());
        let account = AccountId::from_bytes(authenticated.account().0);
        let proof = match authenticated.how() {
            HowProved::Passphrase(_) => Proof::Passphrase,
            HowProved::Key(thumbprint, _) => Proof::Key(*thumbprint),
            HowProved::DeliveredKey(thumbprint, _) => Proof::DeliveredKey(*thumbprint),
            // A client that resumes has a session.
            HowProved::Session(..) => return Ok(Decision::Refused),
        };
        let new = NewSession {
            account,
            proof,
            option,
            peer,
            cut,
            most: self.limits().sessions_per_account,
        };
        let opened = log_trouble(self.site.open_session(new, now).await)?;
        if let Decision::Opened(info) = &opened {
            self.events.subscribe(info, events);
            self.resumptions
                .keep(info.id, authenticated.resumption().clone());
        }
        Ok(opened)
    }

    /// Closes a session that ended with its connection.
    pub(crate) async fn close_session(&self, info: &SessionInfo, reason: CloseReason) {
        self.events.unsubscribe(info.id, info.connection);
        let closed = self.site.close_session(info, reason, clock::now()).await;
        let _ = log_trouble(closed);
        if self.site.sessions().find(info.id).is_none() {
            self.resumptions.forget(info.id);
        }
    }

    /// Suspends a session whose connection was lost, so that its client can resume it; closes it when there is
    /// no room, or nothing to suspend.
    pub(crate) async fn suspend_session(self: &Arc<Self>, info: SessionInfo, reason: CloseReason) {
        if *self.stopping.borrow() {
            return self.close_session(&info, reason).await;
        }
        self.events.unsubscribe(info.id, info.connection);
        let (shared, suspended) = (self.clone(), info.clone());
        let runtime = tokio::runtime::Handle::current();
        let cut: CutHook = Box::new(move |reason| {
            runtime.spawn(async move { shared.close_session(&suspended, reason).await });
        });
        let room = Room {
            in_all: self.limits().suspended_sessions,
            of_account: self.limits().suspended_sessions_per_account,
        };
        match self.site.suspend_session(&info, cut, room) {
            Suspension::Suspended => {}
            Suspension::NoRoom | Suspension::Over => self.close_session(&info, reason).await,
        }
    }

    /// Closes the suspended sessions that expire, for as long as the server runs.
    pub(crate) async fn close_expired(self: Arc<Self>) -> io::Result<Infallible> {
        loop {
            tokio::time::sleep(EXPIRED_EVERY).await;
            for info in self.site.expired_sessions(clock::now()) {
                self.close_session(&info, CloseReason::Expired).await;
            }
        }
    }

    /// Closes the suspended sessions: the server stops.
    pub(crate) async fn close_suspended(&self) {
        let suspended = self
            .site
            .sessions()
            .list(Scope::All, None, usize::MAX, |info| !info.connected);
        for info in suspended {
            self.close_session(&info, CloseReason::SiteStopping).await;
        }
    }

    /// A session uses another encryption option.
    pub(crate) async fn switched(&self, info: &SessionInfo) {
        let _ = log_trouble(self.site.session_switched(info, clock::now()).await);
    }

    /// Runs an operation through the one door, with the content that comes with it; its result, and the
    /// content that comes with that. A change is carried to its end even when nobody waits for its
    /// result any more: what follows once it is on the disk, such as cutting sessions or offering other
    /// encryption options, must not be left out because a connection ended.
    pub(crate) async fn run_with_content(
        &self,
        caller: &Caller,
        operation: &Operation,
        content: Option<Content>,
    ) -> (Outcome, Option<Content>) {
        let entry = self.site.table().find(&operation.group, &operation.command);
        // Costly work takes turns, and leaves processors to logins. The turn goes with the work, which may
        // outlast its caller.
        let turn = match entry.is_some_and(Entry::is_costly) {
            false => None,
            true => match self.operations.turn(caller.account).await {
                Some(turn) => Some(turn),
                None => return (Self::too_much_waits(operation.id), None),
            },
        };
        let (outcome, content) = if entry.is_some_and(Entry::computes) {
            self.run_aside(caller, operation, content, turn).await
        } else if entry.is_some_and(Entry::is_audited) {
            self.carry_through(caller, operation, content, turn).await
        } else {
            let run = self
                .site
                .run_with_content(caller, operation, content, clock::now());
            // A fault in a handler is the end of its operation and of nothing else.
            let run = AssertUnwindSafe(run).catch_unwind().await;
            run.unwrap_or_else(|_| interrupted(operation))
        };
        if outcome.code != Code::SUCCESS && caller.door == Door::AdminSocket {
            let name = (operation.group.as_str(), operation.command.as_str());
            if name == ("site", "unseal") {
                counting::unseal_failed(&caller.name);
            }
        }
        if outcome.code == Code::INTERNAL {
            error!(
                group = %operation.group,
                command = %operation.command,
                problem = outcome.data.get(),
                "an operation failed through no fault of its caller"
            );
        }
        (outcome, content)
    }

    /// Runs an operation whose future may be dropped before it is done, and is done all the same.
    async fn carry_through(
        &self,
        caller: &Caller,
        operation: &Operation,
        content: Option<Content>,
        turn: OperationTurn,
    ) -> (Outcome, Option<Content>) {
        let (site, caller, change) = (self.site.clone(), caller.clone(), operation.clone());
        let run = async move {
            let _turn = turn;
            site.run_with_content(&caller, &change, content, clock::now())
                .await
        };
        let mut running = Box::pin(AssertUnwindSafe(run).catch_unwind());
        // It begins here and now, while its caller's session is open.
        if let Poll::Ready(answered) =
            poll_fn(|context| Poll::Ready(running.as_mut().poll(context))).await
        {
            return answered.unwrap_or_else(|_| interrupted(operation));
        }
        let carried = tokio::spawn(running).await;
        match carried {
            Ok(Ok(answered)) => answered,
            Ok(Err(_)) | Err(_) => interrupted(operation),
        }
    }

    /// Runs an operation that computes for long on a thread that nobody else waits for.
    async fn run_aside(
        &self,
        caller: &Caller,
        operation: &Operation,
        content: Option<Content>,
        turn: OperationTurn,
    ) -> (Outcome, Option<Content>) {
        let (site, caller, ran) = (self.site.clone(), caller.clone(), operation.clone());
        let runtime = tokio::runtime::Handle::current();
        let aside = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            runtime.block_on(site.run_with_content(&caller, &ran, content, clock::now()))
        });
        aside.await.unwrap_or_else(|_| interrupted(operation))
    }

    /// The answer to an operation whose content is one stream too many.
    pub(crate) fn too_many_streams(id: u64) -> Outcome {
        Refusal::busy("too many operations with content at a time").outcome(id)
    }

    /// The answer to an operation that finds no place to wait for its turn.
    fn too_much_waits(id: u64) -> Outcome {
        Refusal::busy("too many operations with public-key work wait").outcome(id)
    }

    /// The answer to what is no operation.
    pub(crate) fn malformed(id: u64, problem: &str) -> Outcome {
        Refusal::malformed(problem).outcome(id)
    }
}

fn delay_refusals(site: &Site, time: Duration) {
    site.delay_refusals(Arc::new(move || Box::pin(tokio::time::sleep(time))));
}

fn replace<T>(shared: &RwLock<Arc<T>>, new: T) {
    *shared.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
}

/// Ends a connection.
pub(crate) fn hook(cut: oneshot::Sender<CloseReason>) -> CutHook {
    Box::new(move |reason| {
        let _ = cut.send(reason);
    })
}

/// The answer to an operation that the server could not bring to its end.
fn interrupted(operation: &Operation) -> (Outcome, Option<Content>) {
    let refusal = Refusal::internal("it was interrupted");
    (refusal.outcome(operation.id), None)
}

pub(crate) fn log_trouble<T>(result: Result<T, StoreError>) -> Result<T, StoreError> {
    if let Err(trouble) = &result {
        error!(%trouble, "the store is in trouble");
    }
    result
}
