//! Events: messages that the site sends to sessions and event streams without a request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_proto::operation::Event;

use super::event_streams::{
    EventStreamId, EventStreamLimits, EventStreamSink, EventStreams, OpenedStream,
    TooManyEventStreams,
};
use super::kept_events::{EventId, KeptEvents, RecentEvents};
use super::{CloseReason, Proof, SessionInfo};
use crate::access::{Caller, HttpGrant, Role};
use crate::id::{AccountId, SessionId};

/// The open sessions and event streams that receive an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// Every open session and every event stream.
    All,
    /// The sessions and event streams of these accounts.
    Accounts(Arc<BTreeSet<AccountId>>),
    /// The sessions and event streams of accounts with a role, except those of devices: a device has
    /// no rights of a role.
    Role(Role),
    /// One session.
    Session(SessionId),
}

impl Audience {
    /// Whether the events are for this reader. Those for one session are not: they go to its
    /// connection alone.
    pub(super) fn has(&self, viewer: &Viewer) -> bool {
        match self {
            Self::All => true,
            Self::Accounts(accounts) => accounts.contains(&viewer.account),
            Self::Role(role) => viewer.role == Some(*role),
            Self::Session(_) => false,
        }
    }
}

/// A reader of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Viewer {
    /// The account.
    pub account: AccountId,
    /// The role; `None` for a device, which has no rights of a role.
    pub role: Option<Role>,
}

impl Viewer {
    /// The reader that a caller is; `None` for one without an account.
    #[must_use]
    pub fn of_caller(caller: &Caller) -> Option<Self> {
        match &caller.grant {
            Some(grant) => Some(Self::of_grant(grant)),
            None => caller.account.map(|account| Self {
                account,
                role: (!caller.is_device()).then_some(caller.role),
            }),
        }
    }

    pub(super) fn of_grant(grant: &HttpGrant) -> Self {
        Self {
            account: grant.account,
            role: grant.role_for_everyone(),
        }
    }
}

/// Queues an event for a session's connection. Returns whether there was room. Must not block.
pub type EventSink = Box<dyn Fn(&Arc<Event>) -> bool + Send + Sync>;

struct Subscriber {
    /// The number of the session's connection.
    connection: u32,
    viewer: Viewer,
    sink: EventSink,
}

/// The events of a site: who receives them now, and the newest ones. An operation does not publish
/// here; its events are notices of its change set.
pub struct Events(Mutex<State>);

struct State {
    subscribers: BTreeMap<SessionId, Subscriber>,
    streams: EventStreams,
    kept: KeptEvents,
}

impl Events {
    /// Makes the events of a site. `key` is random.
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self(Mutex::new(State {
            subscribers: BTreeMap::new(),
            streams: EventStreams::default(),
            kept: KeptEvents::new(key),
        }))
    }

    /// Publishes an event and returns the number of sessions and streams that will receive it. Never
    /// blocks: a session whose client does not read misses the event.
    pub fn publish(&self, to: &Audience, event: &Arc<Event>) -> usize {
        let mut state = self.state();
        let sessions = state
            .subscribers
            .iter()
            .filter(|(id, subscriber)| match to {
                Audience::Session(session) => *id == session,
                _ => to.has(&subscriber.viewer),
            })
            .filter(|(_, subscriber)| (subscriber.sink)(event))
            .count();
        if let Audience::Session(_) = to {
            return sessions;
        }
        let id = state.kept.keep(to, event);
        sessions + state.streams.publish(to, (id, event))
    }

    /// Returns how many open connections of each of these accounts receive events. An account without one
    /// is not in the map. Event streams do not count: a program may hold one, and the person's other
    /// channels must get the alarm all the same.
    #[must_use]
    pub fn listening(&self, accounts: &BTreeSet<AccountId>) -> BTreeMap<AccountId, usize> {
        let mut listening = BTreeMap::new();
        for subscriber in self.state().subscribers.values() {
            if accounts.contains(&subscriber.viewer.account) {
                *listening.entry(subscriber.viewer.account).or_default() += 1;
            }
        }
        listening
    }

    /// Subscribes a session's connection, unless a later connection of the session is already
    /// subscribed.
    pub fn subscribe(&self, info: &SessionInfo, sink: EventSink) {
        let subscriber = Subscriber {
            connection: info.connection,
            viewer: Viewer {
                account: info.account,
                role: (!matches!(info.proof, Proof::Device(_))).then_some(info.role),
            },
            sink,
        };
        let subscribers = &mut self.state().subscribers;
        let now = subscribers.get(&info.id);
        if now.is_none_or(|now| now.connection <= info.connection) {
            subscribers.insert(info.id, subscriber);
        }
    }

    /// Removes the subscription of this connection. That of a later connection stays.
    pub fn unsubscribe(&self, session: SessionId, connection: u32) {
        let subscribers = &mut self.state().subscribers;
        let subscribed = subscribers.get(&session);
        if subscribed.is_some_and(|subscriber| subscriber.connection == connection) {
            subscribers.remove(&session);
        }
    }

    /// Opens a stream with the rights of a grant. The sink first gets the events after `after`, if
    /// there is one. Check afterwards whether the grant is still valid; close every stream that was
    /// opened, those that were ended too.
    ///
    /// # Errors
    /// [`TooManyEventStreams`].
    pub fn open_stream(
        &self,
        grant: &Arc<HttpGrant>,
        after: Option<EventId>,
        limits: EventStreamLimits,
        sink: Arc<dyn EventStreamSink>,
    ) -> Result<OpenedStream, TooManyEventStreams> {
        let mut state = self.state();
        state.streams.expect_room(grant, limits)?;
        let viewer = Viewer::of_grant(grant);
        let (before, missed) = match after {
            Some(_) => {
                let recent = state.kept.after(after, &viewer);
                if recent.missed {
                    sink.missed();
                }
                recent.events.into_iter().for_each(|event| sink.put(event));
                (recent.before, recent.missed)
            }
            None => (state.kept.newest(&viewer), false),
        };
        let id = state.streams.open(Arc::clone(grant), sink);
        Ok(OpenedStream { id, before, missed })
    }

    /// Returns the id of the newest event for the reader with this grant. All events up to it were put
    /// into the sinks of its streams.
    #[must_use]
    pub fn newest(&self, grant: &HttpGrant) -> EventId {
        self.state().kept.newest(&Viewer::of_grant(grant))
    }

    /// Removes a stream whose response ended.
    pub fn close_stream(&self, id: EventStreamId) {
        self.state().streams.close(id);
    }

    /// Ends the streams that `wanted` selects, and returns their number.
    pub fn end_streams(&self, reason: CloseReason, wanted: impl Fn(&HttpGrant) -> bool) -> usize {
        self.state().streams.end(reason, wanted)
    }

    /// Returns how many streams there are, including those that have ended and were not closed yet.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.state().streams.count()
    }

    /// Returns the newest events for a reader after one that it knows.
    #[must_use]
    pub fn recent(&self, after: Option<EventId>, viewer: &Viewer) -> RecentEvents {
        self.state().kept.after(after, viewer)
    }

    /// Discards the events that are kept.
    pub(crate) fn forget(&self) {
        self.state().kept.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent whenever the lock is free, so a poisoned lock can be used.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
