//! Sessions as they are opened, suspended, resumed and closed, together with their events and resumption secrets.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::id::{AccountId, SessionId};
use countersign_core::policy::Scope;
use countersign_core::session::{
    CloseReason, CutHook, EventSink, Parked, Proof, Returning, Room, SessionInfo,
};
use countersign_core::site::{Decision, Opening};
use countersign_core::store::StoreError;
use countersign_proto::operation::Event;
use countersign_proto::session::server::{HowProved, Proved};
use tokio::sync::{mpsc, oneshot};

use crate::clock;
use crate::shared::{Shared, hook, log_trouble};

/// How often sessions whose clients stay away are looked for: it bounds how late they are closed.
const FORSAKEN_EVERY: Duration = Duration::from_secs(5);

impl Shared {
    /// A client that returned has shown its keys: its session goes on over this connection. `None` when it
    /// may not any more.
    pub(crate) async fn reopen_session(
        &self,
        id: SessionId,
        returning: Returning,
        events: EventSink,
    ) -> Result<Option<SessionInfo>, StoreError> {
        let resumed = self.site.resume_session(id, returning, clock::now()).await;
        if let Ok(Some(info)) = &resumed {
            self.site.events().subscribe(info, events);
        } else if self.site.sessions().find(id).is_none() {
            // One that is there still may be returned to, with an option that is on offer.
            self.resumptions.forget(id);
        }
        log_trouble(resumed)
    }

    /// Opens the session of a proved account, and subscribes it to events.
    pub(crate) async fn open_session(
        &self,
        proved: &Proved,
        peer: SocketAddr,
        events: EventSink,
        cut: oneshot::Sender<CloseReason>,
    ) -> Result<Decision, StoreError> {
        let cut = hook(cut);
        let (option, peer, now) = (proved.option(), peer.to_string(), clock::now());
        let account = AccountId::from_bytes(proved.account().0);
        let proof = match proved.how() {
            HowProved::Passphrase(_) => Proof::Passphrase,
            HowProved::Key(thumbprint, _) => Proof::Key(*thumbprint),
            HowProved::DeliveredKey(thumbprint, _) => Proof::DeliveredKey(*thumbprint),
            // Whoever returns has a session.
            HowProved::Session(..) => return Ok(Decision::Refused),
        };
        let opening = Opening {
            account,
            proof,
            option,
            peer,
            cut,
            most: self.limits().sessions_per_account,
        };
        let opened = log_trouble(self.site.open_session(opening, now).await)?;
        if let Decision::Opened(info) = &opened {
            self.site.events().subscribe(info, events);
            self.resumptions
                .keep(info.id, info.account, proved.resumption().clone());
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

    /// Keeps a session whose connection was lost for its client to return to; closes it when there is no
    /// room, or nothing to keep.
    pub(crate) async fn park_session(self: &Arc<Self>, info: SessionInfo, reason: CloseReason) {
        if *self.stopping.borrow() {
            return self.close_session(&info, reason).await;
        }
        self.site.events().unsubscribe(info.id, info.connection);
        let (shared, parked) = (self.clone(), info.clone());
        let runtime = tokio::runtime::Handle::current();
        let cut: CutHook = Box::new(move |reason| {
            runtime.spawn(async move { shared.close_session(&parked, reason).await });
        });
        let room = Room {
            in_all: self.limits().parked_sessions,
            of_account: self.limits().parked_sessions_per_account,
        };
        match self.site.park_session(&info, cut, room) {
            Parked::Kept => {}
            Parked::Full | Parked::Gone => self.close_session(&info, reason).await,
        }
    }

    /// Closes the sessions whose clients did not return in time, for as long as the server runs.
    pub(crate) async fn close_forsaken(self: Arc<Self>) -> io::Result<Infallible> {
        loop {
            tokio::time::sleep(FORSAKEN_EVERY).await;
            for info in self.site.forsaken_sessions(clock::now()) {
                self.close_session(&info, CloseReason::Expired).await;
            }
        }
    }

    /// Closes the sessions that wait for their clients: the server stops.
    pub(crate) async fn close_parked(&self) {
        let parked = self
            .site
            .sessions()
            .list(Scope::All, None, usize::MAX, |info| !info.connected);
        for info in parked {
            self.close_session(&info, CloseReason::SiteStopping).await;
        }
    }

    /// A session uses another encryption option.
    pub(crate) async fn switched(&self, info: &SessionInfo) {
        let _ = log_trouble(self.site.session_switched(info, clock::now()).await);
    }
}

/// Events that wait for a session that does not read; then it misses the newest.
const EVENTS_WAITING: usize = 256;

/// The way of events to a session's connection.
pub(crate) fn event_channel() -> (EventSink, mpsc::Receiver<Arc<Event>>) {
    let (sender, receiver) = mpsc::channel(EVENTS_WAITING);
    let sink = move |event: &Arc<Event>| sender.try_send(Arc::clone(event)).is_ok();
    (Box::new(sink), receiver)
}
