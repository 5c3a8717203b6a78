//! Opens, suspends, resumes and closes sessions, with their events and resumption secrets.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::access::Scope;
use countersign_core::accounts::CredentialId;
use countersign_core::engine::{Decision, NewSession};
use countersign_core::id::{AccountId, SessionId};
use countersign_core::sessions::{
    CloseReason, CutHook, EventSink, Proof, Resume, SessionInfo, Suspension, SuspensionLimits,
};
use countersign_core::store::StoreError;
use countersign_proto::session::server::{Authenticated, AuthenticatedBy};
use tokio::sync::oneshot;

use crate::clock;
use crate::runtime::shared::{Shared, hook, log_trouble};

/// How often expired suspended sessions are closed: an upper bound of the delay.
const EXPIRED_EVERY: Duration = Duration::from_secs(5);

impl Shared {
    /// Resumes a session over a new connection, after the client proved that it has the keys. `None` if
    /// the session may no longer be resumed.
    pub(crate) async fn resume_session(
        &self,
        id: SessionId,
        resume: Resume,
        events: EventSink,
    ) -> Result<Option<SessionInfo>, StoreError> {
        let resumed = self.site.resume_session(id, resume, clock::now()).await;
        if let Ok(Some(info)) = &resumed {
            self.site.events().subscribe(info, events);
        } else if self.site.sessions().find(id).is_none() {
            // A session that still exists may be resumed later with an enabled encryption option.
            self.resumptions.forget(id);
        }
        log_trouble(resumed)
    }

    /// Opens the session of an authenticated account and subscribes it to events. `credential` is the
    /// credential with which a pass phrase was verified.
    pub(crate) async fn open_session(
        &self,
        authenticated: &Authenticated,
        credential: Option<CredentialId>,
        peer: SocketAddr,
        events: EventSink,
        cut: oneshot::Sender<CloseReason>,
    ) -> Result<Decision, StoreError> {
        let cut = hook(cut);
        let (option, peer, now) = (authenticated.option(), peer.to_string(), clock::now());
        let account = AccountId::from_bytes(authenticated.account().0);
        let proof = match authenticated.how() {
            AuthenticatedBy::Passphrase(_) if credential.is_none() => return Ok(Decision::Refused),
            AuthenticatedBy::Passphrase(_) => Proof::Passphrase,
            AuthenticatedBy::Key(thumbprint, _) => Proof::Key(*thumbprint),
            AuthenticatedBy::DeliveredKey(thumbprint, _) => Proof::DeliveredKey(*thumbprint),
            // A client that resumes has a session already.
            AuthenticatedBy::Session(..) => return Ok(Decision::Refused),
        };
        let new = NewSession {
            account,
            proof,
            credential,
            option,
            peer,
            cut,
            max_sessions: self.limits().sessions_per_account,
        };
        let opened = log_trouble(self.site.open_session(new, now).await)?;
        if let Decision::Opened(info) = &opened {
            self.site.events().subscribe(info, events);
            self.resumptions
                .keep(info.id, authenticated.resumption().clone());
        }
        Ok(opened)
    }

    /// Closes a session that ended with its connection.
    pub(crate) async fn close_session(&self, info: &SessionInfo, reason: CloseReason) {
        self.site.events().unsubscribe(info.id, info.connection);
        let closed = self.site.close_session(info, reason, clock::now()).await;
        let _ = log_trouble(closed);
        if self.site.sessions().find(info.id).is_none() {
            self.resumptions.forget(info.id);
        }
    }

    /// Suspends a session whose connection was lost, so that its client can resume it. Closes it if a limit
    /// is reached or the session is over.
    pub(crate) async fn suspend_session(self: &Arc<Self>, info: SessionInfo, reason: CloseReason) {
        if *self.stopping.borrow() {
            return self.close_session(&info, reason).await;
        }
        self.site.events().unsubscribe(info.id, info.connection);
        let (shared, suspended) = (self.clone(), info.clone());
        let runtime = tokio::runtime::Handle::current();
        let cut: CutHook = Box::new(move |reason| {
            runtime.spawn(async move { shared.close_session(&suspended, reason).await });
        });
        let limits = self.limits();
        let limits = SuspensionLimits {
            total: limits.suspended_sessions,
            per_account: limits.suspended_sessions_per_account,
            until: clock::now()
                .plus_millis(u64::try_from(limits.suspension_time.as_millis()).unwrap_or(u64::MAX)),
        };
        match self.site.suspend_session(&info, cut, limits) {
            Suspension::Suspended => {}
            Suspension::LimitReached | Suspension::Over => self.close_session(&info, reason).await,
        }
    }

    /// Closes expired suspended sessions for as long as the server runs.
    pub(crate) async fn close_expired(self: Arc<Self>) -> io::Result<Infallible> {
        loop {
            tokio::time::sleep(EXPIRED_EVERY).await;
            for info in self.site.expired_sessions(clock::now()) {
                self.close_session(&info, CloseReason::Expired).await;
            }
        }
    }

    /// Closes all suspended sessions when the server stops.
    pub(crate) async fn close_suspended(&self) {
        let suspended = self
            .site
            .sessions()
            .list(Scope::All, None, usize::MAX, |info| !info.connected);
        for info in suspended {
            self.close_session(&info, CloseReason::SiteStopping).await;
        }
    }

    /// Records that a session uses another encryption option.
    pub(crate) async fn switched(&self, info: &SessionInfo) {
        let _ = log_trouble(self.site.session_switched(info, clock::now()).await);
    }
}
