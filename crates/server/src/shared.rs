//! What all connections of a server share: the site, the limits, and the way to the open sessions.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use countersign_core::caller::Caller;
use countersign_core::id::AccountId;
use countersign_core::refusal::Refusal;
use countersign_core::session::{CloseReason, Proof, SessionInfo};
use countersign_core::site::{Opened, Opening, Site};
use countersign_core::store::StoreError;
use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::machine::KnownKeys;
use countersign_proto::name::AccountName;
use countersign_proto::operation::{Code, Event, Operation, Outcome};
use countersign_proto::session::server::{
    AccountTag, HowProved, PersonCredential, Proved, ServiceCredential, Settings,
};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot, watch};
use tracing::error;

use crate::clock;
use crate::events::Events;
use crate::limits::Limits;

pub(crate) struct Shared {
    pub(crate) site: Site,
    pub(crate) limits: Limits,
    pub(crate) events: Events,
    /// Becomes true when the server stops.
    pub(crate) stopping: watch::Receiver<bool>,
    known: Arc<KnownKeys>,
    settings: Mutex<Option<(Arc<Opened>, Arc<Settings>)>>,
    logins: Semaphore,
    waiting: Semaphore,
}

impl Shared {
    pub(crate) fn new(
        site: Site,
        limits: Limits,
        events: Events,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            site,
            events,
            stopping,
            known: Arc::new(KnownKeys::default()),
            settings: Mutex::default(),
            logins: Semaphore::new(processors),
            waiting: Semaphore::new(limits.waiting_logins),
            limits,
        }
    }

    /// What logins need; `None` while the site is sealed.
    pub(crate) fn login_settings(&self) -> Option<Arc<Settings>> {
        let opened = self.site.opened()?;
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        match &*settings {
            Some((of, settings)) if Arc::ptr_eq(of, &opened) => Some(settings.clone()),
            _ => {
                let made = Arc::new(Settings {
                    key: opened.key.clone(),
                    setup: opened.setup.clone(),
                    made_up: opened.made_up.clone(),
                    zone: self.site.zone(),
                    options: self.site.options().clone(),
                    max_packet: self.limits.max_packet,
                    known: self.known.clone(),
                });
                *settings = Some((opened, made.clone()));
                Some(made)
            }
        }
    }

    /// Leave to do public-key work; `None` when too many wait for it already.
    pub(crate) async fn login_permit(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(permit) = self.logins.try_acquire() {
            return Some(permit);
        }
        let _place = self.waiting.try_acquire().ok()?;
        self.logins.acquire().await.ok()
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

    /// Opens the session of a proved account and subscribes it to events.
    pub(crate) async fn open_session(
        &self,
        proved: &Proved,
        peer: SocketAddr,
        events: mpsc::Sender<Event>,
        cut: oneshot::Sender<CloseReason>,
    ) -> Result<Option<SessionInfo>, StoreError> {
        let opening = Opening {
            account: AccountId::from_bytes(proved.account().0),
            proof: match proved.how() {
                HowProved::Passphrase(_) => Proof::Passphrase,
                HowProved::Key(thumbprint, _) => Proof::Key(*thumbprint),
            },
            option: proved.option(),
            peer: peer.to_string(),
            cut: Box::new(move |reason| {
                let _ = cut.send(reason);
            }),
        };
        let opened = log_trouble(self.site.open_session(opening, clock::now()).await)?;
        if let Some(info) = &opened {
            self.events.subscribe(info, events);
        }
        Ok(opened)
    }

    /// Closes a session whose connection ended.
    pub(crate) async fn close_session(&self, info: &SessionInfo, reason: CloseReason) {
        self.events.unsubscribe(info.id);
        let _ = log_trouble(self.site.close_session(info.id, reason, clock::now()).await);
    }

    /// Runs an operation through the one door.
    pub(crate) async fn run(&self, caller: &Caller, operation: &Operation) -> Outcome {
        let outcome = self.site.run(caller, operation, clock::now()).await;
        if outcome.code == Code::INTERNAL {
            error!(
                group = %operation.group,
                command = %operation.command,
                problem = outcome.data.get(),
                "an operation failed through no fault of its caller"
            );
        }
        outcome
    }

    /// The answer to what is no operation.
    pub(crate) fn malformed(id: u64, problem: &str) -> Outcome {
        Refusal::malformed(problem).outcome(id)
    }
}

fn log_trouble<T>(result: Result<T, StoreError>) -> Result<T, StoreError> {
    if let Err(trouble) = &result {
        error!(%trouble, "the store is in trouble");
    }
    result
}
