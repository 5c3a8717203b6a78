//! Events that wait for the connection of a session.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use countersign_core::sessions::EventSink;
use countersign_proto::operation::Event;
use serde_json::value::to_raw_value;
use tokio::sync::mpsc;

/// Events that may wait for a session. When there are more, the session misses the newest ones.
const MAX_WAITING: usize = 256;

/// The events that wait for a connection. After the ones before a gap it gets the event `missed` of
/// the group `events`, so that the client asks for the state again.
pub(crate) struct WaitingEvents {
    receiver: mpsc::Receiver<Arc<Event>>,
    missed: Arc<AtomicBool>,
}

/// A channel for events to the connection of a session.
pub(crate) fn event_channel() -> (EventSink, WaitingEvents) {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    let missed = Arc::new(AtomicBool::new(false));
    let flag = missed.clone();
    let sink = move |event: &Arc<Event>| {
        let has_room = sender.try_send(Arc::clone(event)).is_ok();
        if !has_room {
            flag.store(true, Ordering::SeqCst);
        }
        has_room
    };
    (Box::new(sink), WaitingEvents { receiver, missed })
}

impl WaitingEvents {
    /// The next event. No event is lost if the future is dropped.
    pub(crate) async fn recv(&mut self) -> Option<Arc<Event>> {
        if self.receiver.is_empty() && self.missed.swap(false, Ordering::SeqCst) {
            let data = to_raw_value(&serde_json::Map::new()).ok()?;
            return Some(Arc::new(Event {
                group: "events".to_owned(),
                event: "missed".to_owned(),
                data,
            }));
        }
        self.receiver.recv().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events were dropped without a sign when 256 waited, so a watcher never learned of the gap.
    // ALM-49
    #[tokio::test]
    async fn a_slow_watcher_learns_that_it_missed_events() {
        let (sink, mut events) = event_channel();
        let event = |name: &str| {
            Arc::new(Event {
                group: "alarm".to_owned(),
                event: name.to_owned(),
                data: to_raw_value("").unwrap(),
            })
        };
        for number in 0..MAX_WAITING + 2 {
            assert_eq!(sink(&event("raised")), number < MAX_WAITING);
        }
        for _ in 0..MAX_WAITING {
            assert_eq!(events.recv().await.unwrap().event, "raised");
        }
        let missed = events.recv().await.unwrap();
        assert_eq!(
            (missed.group.as_str(), missed.event.as_str()),
            ("events", "missed")
        );
        assert!(sink(&event("over")));
        assert_eq!(
            events.recv().await.unwrap().event,
            "over",
            "it is told once"
        );
    }
}
