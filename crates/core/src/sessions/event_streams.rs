//! Event streams: the responses over HTTP that receive events, with the rights of the credential of
//! their request, until that ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use countersign_proto::operation::Event;

use super::CloseReason;
use super::events::{Audience, Viewer};
use super::kept_events::{EventId, IdentifiedEvent};
use crate::access::{HttpCredential, HttpGrant};
use crate::counts::Counts;
use crate::id::AccountId;

/// Where the events of a stream go. The functions are called under a lock, and must not block.
pub trait EventStreamSink: Send + Sync {
    /// Queues an event. A sink without room tells the client later that it missed events.
    fn put(&self, event: IdentifiedEvent);

    /// The client missed events before those that follow.
    fn missed(&self);

    /// Ends the stream.
    fn end(&self, reason: CloseReason);
}

/// The limits of event streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventStreamLimits {
    /// For all accounts together.
    pub total: usize,
    /// For one account. One credential may have half of them.
    pub per_account: usize,
}

/// There are as many event streams as the limits permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooManyEventStreams {
    /// Of all accounts.
    #[error("the site has as many event streams as it may have")]
    InTotal,
    /// Of the account.
    #[error("the account has as many event streams as it may have")]
    OfAccount,
    /// Of the credential: the other half is for the other credentials of its account.
    #[error("the credential has half of the event streams that its account may have")]
    OfCredential,
}

/// A stream that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenedStream {
    /// Its number.
    pub id: EventStreamId,
    /// The event before all that the sink gets.
    pub before: EventId,
    /// The site does not know the event that the reader named. The sink was told so.
    pub missed: bool,
}

/// The number of a stream, which no other stream of the process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventStreamId(u64);

/// The open streams.
#[derive(Default)]
pub(super) struct EventStreams {
    open: BTreeMap<EventStreamId, EventStream>,
    of_accounts: Counts<AccountId>,
    of_credentials: Counts<HttpCredential>,
    opened: u64,
}

struct EventStream {
    grant: Arc<HttpGrant>,
    sink: Arc<dyn EventStreamSink>,
}

impl EventStreams {
    pub(super) fn expect_room(
        &self,
        grant: &HttpGrant,
        limits: EventStreamLimits,
    ) -> Result<(), TooManyEventStreams> {
        if self.of_accounts.of(&grant.account) >= limits.per_account {
            return Err(TooManyEventStreams::OfAccount);
        }
        let of_credential = self.of_credentials.of(&grant.credential);
        if of_credential >= HttpCredential::share_of(limits.per_account) {
            return Err(TooManyEventStreams::OfCredential);
        }
        match self.open.len() < limits.total {
            true => Ok(()),
            false => Err(TooManyEventStreams::InTotal),
        }
    }

    pub(super) fn open(
        &mut self,
        grant: Arc<HttpGrant>,
        sink: Arc<dyn EventStreamSink>,
    ) -> EventStreamId {
        self.opened += 1;
        let id = EventStreamId(self.opened);
        self.of_accounts.add(grant.account);
        self.of_credentials.add(grant.credential);
        self.open.insert(id, EventStream { grant, sink });
        id
    }

    /// Removes a stream. It may have ended before.
    pub(super) fn close(&mut self, id: EventStreamId) {
        let Some(stream) = self.open.remove(&id) else {
            return;
        };
        self.of_accounts.remove(&stream.grant.account);
        self.of_credentials.remove(&stream.grant.credential);
    }

    pub(super) fn publish(&self, to: &Audience, (id, event): (EventId, &Arc<Event>)) -> usize {
        let recipients = self.open.values();
        let recipients = recipients.filter(|stream| to.has(&Viewer::of_grant(&stream.grant)));
        recipients
            .map(|stream| stream.sink.put((id, Arc::clone(event))))
            .count()
    }

    /// Ends streams. Each stays counted until it is closed, so that a client cannot have more of
    /// them by not reading.
    pub(super) fn end(&self, reason: CloseReason, wanted: impl Fn(&HttpGrant) -> bool) -> usize {
        let ending = self.open.values().filter(|stream| wanted(&stream.grant));
        ending.map(|stream| stream.sink.end(reason)).count()
    }

    pub(super) fn count(&self) -> usize {
        self.open.len()
    }
}
