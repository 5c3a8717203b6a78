//! Results of many operations as they come, and events.

use countersign_proto::operation::{Event, Outcome};
use tokio::sync::{broadcast, mpsc};

use crate::error::CallError;

/// The results of operations that were sent together, in the order in which they arrive.
pub struct Results {
    pub(crate) left: usize,
    pub(crate) results: mpsc::UnboundedReceiver<Result<Outcome, CallError>>,
}

impl Results {
    /// The next result; `None` when all have come. A failed operation is a result like any other: its
    /// code says so.
    ///
    /// # Errors
    /// [`CallError::Ended`] or [`CallError::Lost`] when the session is over.
    pub async fn next(&mut self) -> Option<Result<Outcome, CallError>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        Some(self.results.recv().await.unwrap_or(Err(CallError::Lost)))
    }
}

/// The events of a session, from the subscription on.
pub struct Events {
    pub(crate) events: broadcast::Receiver<Event>,
}

impl Events {
    /// The next event; `None` when the session is over. A subscriber that falls far behind misses the
    /// oldest ones.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.events.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
