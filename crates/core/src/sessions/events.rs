//! Events: messages that the site sends to sessions without a request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_proto::operation::Event;

use super::{Proof, SessionInfo};
use crate::access::Role;
use crate::id::{AccountId, SessionId};

/// The open sessions that receive an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// Every open session.
    All,
    /// The sessions of these accounts.
    Accounts(Arc<BTreeSet<AccountId>>),
    /// The sessions of accounts with a role, except connections of devices: a device has no rights of
    /// a role.
    Role(Role),
    /// One session.
    Session(SessionId),
}

/// Queues an event for a session's connection. Returns whether there was room. Must not block.
pub type EventSink = Box<dyn Fn(&Arc<Event>) -> bool + Send + Sync>;

struct Subscriber {
    /// The number of the session's connection.
    connection: u32,
    account: AccountId,
    /// The role; `None` for a connection of a device.
    role: Option<Role>,
    sink: EventSink,
}

/// The event streams of the open sessions. An operation does not publish here; its events are
/// notices of its change set.
#[derive(Default)]
pub struct Events(Mutex<BTreeMap<SessionId, Subscriber>>);

impl Events {
    /// Publishes an event and returns the number of sessions that will receive it. Never blocks: a
    /// session whose client does not read misses the event.
    pub fn publish(&self, to: &Audience, event: &Arc<Event>) -> usize {
        self.subscribers()
            .iter()
            .filter(|(id, subscriber)| match to {
                Audience::All => true,
                Audience::Accounts(accounts) => accounts.contains(&subscriber.account),
                Audience::Role(role) => subscriber.role == Some(*role),
                Audience::Session(session) => *id == session,
            })
            .filter(|(_, subscriber)| (subscriber.sink)(event))
            .count()
    }

    /// Returns how many open connections of each of these accounts receive events. An account without one
    /// is not in the map.
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

    /// Subscribes a session's connection, unless a later connection of the session is already
    /// subscribed.
    pub fn subscribe(&self, info: &SessionInfo, sink: EventSink) {
        let subscriber = Subscriber {
            connection: info.connection,
            account: info.account,
            role: (!matches!(info.proof, Proof::Device(_))).then_some(info.role),
            sink,
        };
        let mut subscribers = self.subscribers();
        let now = subscribers.get(&info.id);
        if now.is_none_or(|now| now.connection <= info.connection) {
            subscribers.insert(info.id, subscriber);
        }
    }

    /// Removes the subscription of this connection. That of a later connection stays.
    pub fn unsubscribe(&self, session: SessionId, connection: u32) {
        let mut subscribers = self.subscribers();
        let subscribed = subscribers.get(&session);
        if subscribed.is_some_and(|subscriber| subscriber.connection == connection) {
            subscribers.remove(&session);
        }
    }

    fn subscribers(&self) -> MutexGuard<'_, BTreeMap<SessionId, Subscriber>> {
        // The map is consistent whenever the lock is free, so a poisoned lock can be used.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
