//! Results of several operations, and events.

use countersign_proto::operation::{Event, Outcome};
use serde_json::value::{RawValue, to_raw_value};
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
    /// loses the oldest ones, and first gets the event `missed` of the group `events`, as a client does
    /// that reads too slowly for the site: ask for the current state, or take the worst for true.
    pub async fn next(&mut self) -> Option<Event> {
        match self.events.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(missed()),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// The event that tells of a gap.
fn missed() -> Event {
    Event {
        group: "events".to_owned(),
        event: "missed".to_owned(),
        data: to_raw_value(&serde_json::Map::new()).unwrap_or_else(|_| RawValue::NULL.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The oldest events were lost without a sign, so that a provider accepted void tickets.
    // ALM-49
    #[tokio::test]
    async fn a_subscriber_that_is_behind_learns_that_it_missed_events() {
        let (sender, events) = broadcast::channel(2);
        let mut events = Events { events };
        for number in 0..3 {
            let event = number.to_string();
            sender.send(Event { event, ..missed() }).unwrap();
        }
        drop(sender);
        let mut names = Vec::new();
        while let Some(event) = events.next().await {
            names.push((event.group, event.event));
        }
        let names: Vec<_> = names
            .iter()
            .map(|(group, name)| (&**group, &**name))
            .collect();
        assert_eq!(
            names,
            [("events", "missed"), ("events", "1"), ("events", "2")]
        );
    }
}
