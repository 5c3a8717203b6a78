//! Events as the body of a response: `GET /events` with `Accept: text/event-stream` (WHATWG HTML,
//! section 9.2).
//!
//! ```text
//! retry: 2000
//! id: 91c2a5d3f0b64e17                      where to continue, if nothing comes before the end
//!
//! id: 3e0c7b5a9d214f68
//! event: alarm.raised
//! data: {"key":"queue"}
//!
//! :                                         a heartbeat, with a new id if the last event is too old
//! event: gap                                events are missing here
//! event: end                                data has the reason; the response ends
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use countersign_core::access::HttpGrant;
use countersign_core::engine::rest::{self, Given};
use countersign_core::engine::{Entry, Site};
use countersign_core::sessions::{
    CloseReason, EventId, EventStreamId, EventStreamLimits, EventStreamSink, IdentifiedEvent,
    OpenedStream, TooManyEventStreams,
};
use countersign_core::timestamp::Timestamp;
use countersign_proto::operation::Operation;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use serde::Deserialize;
use tokio::time::{Sleep, sleep};

use super::super::RequestOrigin;
use super::super::body::ReplyBody;
use super::super::problem::{AccountLimit, GivenCredential, Problem};
use super::super::reply::Reply;
use super::credential::Sender;
use super::request::single;
use crate::admission::{Held, NoPlace};
use crate::clock;
use crate::runtime::events::{Next, Reader, Writer};
use crate::runtime::shared::Shared;

const MEDIA_TYPE: &str = "text/event-stream";
static LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How often a stream without events sends a comment: proxies close a connection that is silent for
/// a minute.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// How long a client waits before it connects again, in milliseconds.
const RETRY: u32 = 2_000;

/// Whether a request asks for a stream.
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT).iter();
    let mut lines = lines.filter_map(|line| line.to_str().ok());
    lines.any(|line| rest::accepts(line, MEDIA_TYPE))
}

/// The parameters of a stream.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    after: Option<EventId>,
}

/// Opens a stream for a sender that may read events.
pub(super) async fn open(
    head: &Parts,
    entry: &Entry,
    sender: &Sender,
    origin: &RequestOrigin,
    query: &[(String, String)],
    shared: &Shared,
) -> Result<Reply, Problem> {
    let (site, caller) = (&shared.site, &sender.caller);
    let given = Given {
        query,
        ..Given::default()
    };
    let params = rest::params(entry, given).map_err(|refusal| Problem::of_refusal(&refusal))?;
    let operation = Operation::new(1, entry.group(), entry.command(), params);
    let authorised = site.expect_authorised(entry, caller, clock::now()).await;
    authorised.map_err(|refusal| Problem::of_refusal(&refusal))?;
    let asked = serde_json::from_str::<Parameters>(operation.params.get());
    let asked = asked.map_err(|error| {
        let problem = format!("an event stream has the parameter `after` alone: {error}");
        Problem::bad_request(problem, "after")
    })?;
    let after = last_event_id(&head.headers)?.or(asked.after);
    let grant = caller.grant.as_ref();
    let grant = grant.ok_or_else(|| Problem::not_authenticated(GivenCredential::None))?;
    let place = match origin.is_proxied(shared) {
        true => Some(
            shared
                .proxied_streams
                .hold_for(grant)
                .map_err(|full| match full {
                    NoPlace::OfAccount => Problem::over(AccountLimit::ProxiedEventStreams),
                    NoPlace::OfCredential => {
                        Problem::over(AccountLimit::CredentialProxiedEventStreams)
                    }
                })?,
        ),
        false => None,
    };
    let limits = shared.limits();
    let limits = EventStreamLimits {
        total: limits.event_streams,
        per_account: limits.event_streams_per_account,
    };
    let queue = Reader::default();
    let sink = Arc::new(Sink(queue.writer()));
    let opened = site.events().open_stream(grant, after, limits, sink);
    let opened = opened.map_err(|limit| match limit {
        TooManyEventStreams::OfAccount => Problem::over(AccountLimit::EventStreams),
        TooManyEventStreams::OfCredential => Problem::over(AccountLimit::CredentialEventStreams),
        TooManyEventStreams::InTotal => Problem::all_event_streams(),
    })?;
    let stream = EventStream::new(site.clone(), opened, place, queue, Arc::clone(grant), after);
    // What takes the right away from now on ends the stream; what did before is seen here.
    let still = site.expect_authorised(entry, caller, clock::now()).await;
    still.map_err(|refusal| Problem::of_refusal(&refusal))?;
    if *shared.stopping.borrow() {
        return Err(Problem::busy());
    }
    let mut reply = Reply::new(ReplyBody::Events(Box::new(stream)));
    let fields = reply.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A proxy must not wait for more of the response.
    let name = HeaderName::from_static("x-accel-buffering");
    fields.insert(name, HeaderValue::from_static("no"));
    Ok(reply)
}

/// The last event that the client received.
pub(super) fn last_event_id(headers: &HeaderMap) -> Result<Option<EventId>, Problem> {
    let given = single(headers, &LAST_EVENT_ID)?;
    // A client that received none sends an empty one.
    let given = given.filter(|id| !id.is_empty());
    let read = given.map(str::parse).transpose();
    read.map_err(|error: countersign_core::sessions::BadEventId| {
        Problem::bad_request(error.to_string(), "last-event-id")
    })
}

/// The queue of a stream.
struct Sink(Writer<IdentifiedEvent>);

impl EventStreamSink for Sink {
    fn put(&self, event: IdentifiedEvent) {
        self.0.put(event);
    }

    fn missed(&self) {
        self.0.begin_with_gap();
    }

    fn end(&self, reason: CloseReason) {
        self.0.end(reason);
    }
}

/// The body of the response. The stream is closed when it is dropped.
pub(in super::super) struct EventStream {
    site: Site,
    id: EventStreamId,
    queue: Reader<IdentifiedEvent>,
    /// The place of its account among the streams through trusted proxies.
    _place: Option<Held>,
    grant: Arc<HttpGrant>,
    /// Fires at the next heartbeat, or when the credential expires.
    timer: Pin<Box<Sleep>>,
    /// Whether the first part was sent.
    has_begun: bool,
    /// The id that the client knows.
    known: EventId,
    /// The id to continue with after the gap at the beginning.
    after_gap: Option<EventId>,
    has_ended: bool,
}

impl EventStream {
    fn new(
        site: Site,
        opened: OpenedStream,
        place: Option<Held>,
        queue: Reader<IdentifiedEvent>,
        grant: Arc<HttpGrant>,
        after: Option<EventId>,
    ) -> Self {
        Self {
            site,
            id: opened.id,
            _place: place,
            queue,
            timer: Box::pin(sleep(until_next(grant.expires()))),
            grant,
            has_begun: false,
            known: after.unwrap_or(opened.before),
            after_gap: opened.missed.then_some(opened.before),
            has_ended: false,
        }
    }

    /// The next part of the text; `None` after the end.
    pub(in super::super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<String>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        if !std::mem::replace(&mut self.has_begun, true) {
            let text = format!("retry: {RETRY}\nid: {}\n\n", self.known);
            return Poll::Ready(Some(text));
        }
        if self.is_expired() {
            return Poll::Ready(Some(self.end(CloseReason::Expired)));
        }
        if let Some(text) = self.waiting(context) {
            return Poll::Ready(Some(text));
        }
        if self.timer.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        if self.is_expired() {
            return Poll::Ready(Some(self.end(CloseReason::Expired)));
        }
        let newest = self.site.events().newest(&self.grant);
        // All events up to this one were in the queue before: what came since the last look is sent first.
        if let Some(text) = self.waiting(context) {
            return Poll::Ready(Some(text));
        }
        self.timer = Box::pin(sleep(until_next(self.grant.expires())));
        // Registers the new timer.
        context.waker().wake_by_ref();
        if std::mem::replace(&mut self.known, newest) == newest {
            return Poll::Ready(Some(":\n".to_owned()));
        }
        Poll::Ready(Some(format!(":\nid: {newest}\n\n")))
    }

    /// What waits in the queue.
    fn waiting(&mut self, context: &mut Context<'_>) -> Option<String> {
        match self.queue.poll_next(context) {
            Poll::Ready(Next::Event((id, event))) => {
                self.known = id;
                let name = format!("{}.{}", event.group, event.event);
                Some(block(Some(id), &name, event.data.get()))
            }
            Poll::Ready(Next::Missed) => {
                // At the beginning with an id, or the client gets the same gap each time. Later without: a
                // client that connects again soon gets what is kept of the missed ones.
                let id = self.after_gap.take();
                self.known = id.unwrap_or(self.known);
                Some(block(id, "gap", "{}"))
            }
            Poll::Ready(Next::Ended(reason)) => Some(self.end(reason)),
            Poll::Pending => None,
        }
    }

    fn end(&mut self, reason: CloseReason) -> String {
        self.has_ended = true;
        let data = format!("{{\"reason\":\"{reason}\"}}");
        block(None, "end", &data)
    }

    fn is_expired(&self) -> bool {
        let expires = self.grant.expires();
        expires.is_some_and(|expires| clock::now() >= expires)
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        self.site.events().close_stream(self.id);
    }
}

/// The time to the next heartbeat, or to the end of the credential if that comes first.
fn until_next(expires: Option<Timestamp>) -> Duration {
    let now = clock::now().millis();
    let left = expires.map(|expires| expires.millis().saturating_sub(now));
    let left = left.and_then(|left| u64::try_from(left).ok());
    left.map_or(HEARTBEAT, |left| HEARTBEAT.min(Duration::from_millis(left)))
}

/// An event as the stream has it.
fn block(id: Option<EventId>, name: &str, data: &str) -> String {
    let mut text = String::with_capacity(name.len() + data.len() + 48);
    if let Some(id) = id {
        text += &format!("id: {id}\n");
    }
    text += &format!("event: {name}\n");
    // JSON as this site writes it is one line; an embedding program may have made another.
    for line in data.split(['\n', '\r']) {
        text += &format!("data: {line}\n");
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_asked_for_by_its_media_type() {
        let asked = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
            is_asked_for(&headers)
        };
        assert!(asked("text/event-stream") && asked("application/json, Text/Event-Stream;q=0.5"));
        for other in [
            "*/*",
            "application/json",
            "text/event-stream;q=0",
            "text/*",
            "",
        ] {
            assert!(!asked(other), "{other}");
        }
    }

    #[test]
    fn each_line_of_the_data_is_a_line_of_the_event() {
        assert_eq!(
            block(None, "test.lines", "{\n\"id\":\r1}"),
            "event: test.lines\ndata: {\ndata: \"id\":\ndata: 1}\n\n"
        );
    }
}
