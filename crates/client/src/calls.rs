//! What the handles of sessions and device connections share: they send operations to the task that owns
//! the connection, and wait for results and events.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use countersign_proto::operation::{Code, Event, Operation, Outcome};
use countersign_proto::session::Goodbye;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::{broadcast, mpsc};

use crate::error::CallError;
use crate::requests::CallRequest;
use crate::results::{Events, Results};

/// Requests that may wait for the task.
const QUEUE_LENGTH: usize = 1_024;
/// Events that are queued for a slow subscriber.
const EVENT_QUEUE_LENGTH: usize = 256;

/// The handles' end of the queues to the task, which takes requests `R`.
pub(crate) struct Calls<R> {
    requests: mpsc::Sender<R>,
    events: broadcast::WeakSender<Event>,
    next_id: AtomicU64,
    ended: Arc<OnceLock<Goodbye>>,
}

/// The task's end.
pub(crate) struct Callers<R> {
    pub(crate) requests: mpsc::Receiver<R>,
    pub(crate) events: broadcast::Sender<Event>,
    /// Set when the site has ended the session.
    pub(crate) ended: Arc<OnceLock<Goodbye>>,
}

impl<R: From<CallRequest>> Calls<R> {
    pub(crate) fn new() -> (Self, Callers<R>) {
        let (requests, asked) = mpsc::channel(QUEUE_LENGTH);
        let (events, _) = broadcast::channel(EVENT_QUEUE_LENGTH);
        let ended = Arc::new(OnceLock::new());
        let calls = Self {
            requests,
            events: events.downgrade(),
            next_id: AtomicU64::new(1),
            ended: ended.clone(),
        };
        let callers = Callers {
            requests: asked,
            events,
            ended,
        };
        (calls, callers)
    }

    pub(crate) async fn call<P: Serialize + ?Sized, D: DeserializeOwned>(
        &self,
        group: &str,
        command: &str,
        params: &P,
    ) -> Result<D, CallError> {
        let params = serde_json::value::to_raw_value(params).map_err(CallError::Params)?;
        let outcome = self.outcome(group, command, params).await?;
        if outcome.code != Code::SUCCESS {
            return Err(CallError::failed(&outcome));
        }
        serde_json::from_str(outcome.data.get()).map_err(CallError::Unexpected)
    }

    pub(crate) async fn outcome(
        &self,
        group: &str,
        command: &str,
        params: Box<RawValue>,
    ) -> Result<Outcome, CallError> {
        let mut results = self.send([(group, command, params)]).await?;
        results.next().await.unwrap_or_else(|| Err(self.end()))
    }

    pub(crate) async fn send<'a>(
        &self,
        operations: impl IntoIterator<Item = (&'a str, &'a str, Box<RawValue>)>,
    ) -> Result<Results, CallError> {
        let (reply, results) = mpsc::unbounded_channel();
        let mut left = 0;
        for (group, command, params) in operations {
            let operation = Operation::new(self.next_id(), group, command, params);
            let request = CallRequest::Call(operation, reply.clone());
            self.request(request.into()).await?;
            left += 1;
        }
        Ok(Results { left, results })
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) async fn request(&self, request: R) -> Result<(), CallError> {
        self.requests.send(request).await.map_err(|_| self.end())
    }

    /// Waits until the task has ended.
    pub(crate) async fn closed(&self) {
        self.requests.closed().await;
    }

    pub(crate) fn events(&self) -> Events {
        let events = match self.events.upgrade() {
            Some(events) => events.subscribe(),
            // The session has ended: return a closed channel.
            None => broadcast::channel(1).1,
        };
        Events { events }
    }

    /// Why the site ended the session, if it has.
    pub(crate) fn ended(&self) -> Option<Goodbye> {
        self.ended.get().copied()
    }

    /// The error for calls after the end of the session.
    pub(crate) fn end(&self) -> CallError {
        self.ended().map_or(CallError::Lost, CallError::Ended)
    }
}
