//! Events: what the site tells sessions that nobody asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_core::id::{AccountId, SessionId};
use countersign_core::policy::Role;
use countersign_core::session::SessionInfo;
use countersign_proto::operation::Event;
use tokio::sync::mpsc;

/// Who is to learn of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Every open session.
    Everybody,
    /// The sessions of one account.
    Account(AccountId),
    /// The sessions of those who have a role.
    Role(Role),
    /// One session.
    Session(SessionId),
}

/// Events that wait for a session that does not read; then it misses the newest.
const WAITING: usize = 256;

struct Subscriber {
    /// Which of the session's connections it is.
    connection: u32,
    account: AccountId,
    role: Role,
    events: mpsc::Sender<Arc<Event>>,
}

/// The way from anywhere in the program to the open sessions. Clones lead to the same sessions.
#[derive(Clone, Default)]
pub struct Events(Arc<Mutex<BTreeMap<SessionId, Subscriber>>>);

impl Events {
    /// Sends an event; returns how many sessions will get it. Never waits: a session whose client has
    /// not read its last 256 events misses this one.
    pub fn publish(&self, to: Audience, event: &Event) -> usize {
        let event = Arc::new(event.clone());
        self.subscribers()
            .iter()
            .filter(|(id, subscriber)| match to {
                Audience::Everybody => true,
                Audience::Account(account) => subscriber.account == account,
                Audience::Role(role) => subscriber.role == role,
                Audience::Session(session) => **id == session,
            })
            .filter(|(_, subscriber)| subscriber.events.try_send(event.clone()).is_ok())
            .count()
    }

    /// A new session's end of the way.
    pub(crate) fn channel() -> (mpsc::Sender<Arc<Event>>, mpsc::Receiver<Arc<Event>>) {
        mpsc::channel(WAITING)
    }

    /// A session's connection gets events from now on, unless a later one does already.
    pub(crate) fn subscribe(&self, info: &SessionInfo, events: mpsc::Sender<Arc<Event>>) {
        let subscriber = Subscriber {
            connection: info.connection,
            account: info.account,
            role: info.role,
            events,
        };
        let mut subscribers = self.subscribers();
        let now = subscribers.get(&info.id);
        if now.is_none_or(|now| now.connection <= info.connection) {
            subscribers.insert(info.id, subscriber);
        }
    }

    /// The connection of that number ended; a later one of the session stays subscribed.
    pub(crate) fn unsubscribe(&self, session: SessionId, connection: u32) {
        let mut subscribers = self.subscribers();
        let subscribed = subscribers.get(&session);
        if subscribed.is_some_and(|subscriber| subscriber.connection == connection) {
            subscribers.remove(&session);
        }
    }

    fn subscribers(&self) -> MutexGuard<'_, BTreeMap<SessionId, Subscriber>> {
        // An entry goes in or out whole: a panic elsewhere leaves nothing half-done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
