//! Events: what the site tells sessions that nobody asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_proto::operation::Event;

use super::SessionInfo;
use crate::access::Role;
use crate::id::{AccountId, SessionId};

/// The open sessions that get an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Every open session.
    All,
    /// The sessions of one account.
    Account(AccountId),
    /// The sessions of accounts with a role.
    Role(Role),
    /// One session.
    Session(SessionId),
}

/// Takes an event for a session's connection; whether there was room for it. Must not wait.
pub type EventSink = Box<dyn Fn(&Arc<Event>) -> bool + Send + Sync>;

struct Subscriber {
    /// Which of the session's connections it is.
    connection: u32,
    account: AccountId,
    role: Role,
    sink: EventSink,
}

/// The way from anywhere in the program to the open sessions. What an operation tells goes with its change, in
/// a notice.
#[derive(Default)]
pub struct Events(Mutex<BTreeMap<SessionId, Subscriber>>);

impl Events {
    /// Sends an event; returns the number of sessions that will get it. Never waits: a session whose client does not
    /// read misses it.
    pub fn publish(&self, to: Audience, event: &Arc<Event>) -> usize {
        self.subscribers()
            .iter()
            .filter(|(id, subscriber)| match to {
                Audience::All => true,
                Audience::Account(account) => subscriber.account == account,
                Audience::Role(role) => subscriber.role == role,
                Audience::Session(session) => **id == session,
            })
            .filter(|(_, subscriber)| (subscriber.sink)(event))
            .count()
    }

    /// How many open connections of each of these accounts get events; an account without one is left out.
    #[must_use]
    pub fn listening(&self, accounts: &BTreeSet<AccountId>) -> BTreeMap<AccountId, usize> {
        let mut listening = BTreeMap::new();
        for subscriber in self.subscribers().values() {
            if accounts.contains(&subscriber.account) {
                *listening.entry(subscriber.account).or_default() += 1;
            }
        }
        listening
    }

    /// A session's connection gets events from now on, unless a later one does already.
    pub fn subscribe(&self, info: &SessionInfo, sink: EventSink) {
        let subscriber = Subscriber {
            connection: info.connection,
            account: info.account,
            role: info.role,
            sink,
        };
        let mut subscribers = self.subscribers();
        let now = subscribers.get(&info.id);
        if now.is_none_or(|now| now.connection <= info.connection) {
            subscribers.insert(info.id, subscriber);
        }
    }

    /// The connection of that number ended; a later one of the session stays subscribed.
    pub fn unsubscribe(&self, session: SessionId, connection: u32) {
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
