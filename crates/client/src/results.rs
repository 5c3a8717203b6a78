//! Results of several operations, and events.

use countersign_proto::operation::{Event, Outcome};
use tokio::sync::{broadcast, mpsc};

use crate::error::CallError;

/// The results of operations that were sent together, in order of arrival.
pub struct Results {
    pub(crate) left: usize,
    pub(crate) results: mpsc::UnboundedReceiver<Result<Outcome, CallError>>,
}

impl Results {
    /// The next result; `None` when all have arrived. A failed operation is a result with an error
    /// code.
    ///
    /// # Errors
    /// [`CallError::Ended`] or [`CallError::Lost`] if the session has ended.
    pub async fn next(&mut self) -> Option<Result<Outcome, CallError>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        Some(self.results.recv().await.unwrap_or(Err(CallError::Lost)))
    }
}

/// The events of a session from the time of the subscription.
pub struct Events {
    pub(crate) events: broadcast::Receiver<Event>,
}

impl Events {
    /// The next event; `None` when the session has ended. A subscriber that is 256 events behind
    /// loses the oldest ones.
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
