//! The queue of events that wait for a session's connection.
//!
//! A client that reads too slowly misses events. After the ones before the gap it gets the event `missed`
//! of the group `events`, so that it asks for the state again.
//!
//! A channel of Tokio needs some 800 bytes although it is empty, and most sessions are idle.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use countersign_core::sessions::EventSink;
use countersign_proto::operation::Event;
use serde_json::value::{RawValue, to_raw_value};

/// Events that may wait for a session. When there are more, the session misses the newest ones and those
/// that come before it was told so.
const MAX_EVENTS_WAITING: usize = 256;

/// Events that have room in the memory of a queue that is empty again.
const KEPT: usize = 4;

/// The end of the queue that the connection reads.
pub(crate) struct EventQueue(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    events: VecDeque<Arc<Event>>,
    /// The session misses events that came after the waiting ones, and was not told yet.
    has_missed: bool,
    /// Wakes the connection.
    waker: Option<Waker>,
    /// The connection is gone.
    is_closed: bool,
}

/// A queue for events to the connection of a session.
pub(crate) fn event_queue() -> (EventSink, EventQueue) {
    let queue = EventQueue(Arc::default());
    let waiting = queue.0.clone();
    let sink = move |event: &Arc<Event>| put(&waiting, event);
    (Box::new(sink), queue)
}

/// Adds an event. Returns whether there was room and a connection.
fn put(queue: &Mutex<Waiting>, event: &Arc<Event>) -> bool {
    let mut waiting = lock(queue);
    if waiting.is_closed || waiting.has_missed {
        return false;
    }
    if waiting.events.len() >= MAX_EVENTS_WAITING {
        waiting.has_missed = true;
        return false;
    }
    waiting.events.push_back(event.clone());
    let waker = waiting.waker.take();
    // Woken without the lock, which the woken task takes first.
    drop(waiting);
    if let Some(waker) = waker {
        waker.wake();
    }
    true
}

impl EventQueue {
    /// Waits for the next event. No event is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> Arc<Event> {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&self, context: &mut Context<'_>) -> Poll<Arc<Event>> {
        let mut waiting = lock(&self.0);
        let Some(event) = waiting.events.pop_front() else {
            if std::mem::take(&mut waiting.has_missed) {
                return Poll::Ready(missed());
            }
            waiting.waker = Some(context.waker().clone());
            return Poll::Pending;
        };
        if waiting.events.is_empty() {
            // An idle session keeps no large buffer.
            waiting.events.shrink_to(KEPT);
        }
        Poll::Ready(event)
    }
}

impl Drop for EventQueue {
    fn drop(&mut self) {
        let mut waiting = lock(&self.0);
        waiting.is_closed = true;
        waiting.events = VecDeque::new();
    }
}

/// The event that tells a session of a gap.
fn missed() -> Arc<Event> {
    Arc::new(Event {
        group: "events".to_owned(),
        event: "missed".to_owned(),
        data: to_raw_value(&serde_json::Map::new()).unwrap_or_else(|_| RawValue::NULL.to_owned()),
    })
}

fn lock(queue: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    // No code under the lock can panic between two changes.
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use futures_util::FutureExt;

    fn event(number: usize) -> Arc<Event> {
        Arc::new(Event {
            group: "test".to_owned(),
            event: number.to_string(),
            data: RawValue::from_string("{}".to_owned()).unwrap(),
        })
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Events were dropped without a sign when 256 waited, so a watcher never learned of the gap.
    // ALM-49
    #[test]
    fn a_slow_watcher_learns_that_it_missed_events() {
        let (sink, mut queue) = event_queue();
        for number in 0..MAX_EVENTS_WAITING {
            assert!(sink(&event(number)));
        }
        assert!(!sink(&event(MAX_EVENTS_WAITING)));
        let first = queue.next().now_or_never().unwrap();
        assert_eq!(first.event, "0", "events arrive in order");
        assert!(!sink(&event(MAX_EVENTS_WAITING)), "the gap comes first");
        for number in 1..MAX_EVENTS_WAITING {
            let next = queue.next().now_or_never().unwrap();
            assert_eq!(next.event, number.to_string());
        }
        let missed = queue.next().now_or_never().unwrap();
        assert_eq!(
            (missed.group.as_str(), missed.event.as_str()),
            ("events", "missed")
        );
        assert!(queue.next().now_or_never().is_none(), "it is told once");
        assert!(lock(&queue.0).events.capacity() <= KEPT);
        assert!(sink(&event(0)));
    }

    #[test]
    fn a_connection_that_waits_is_woken_once() {
        let (sink, queue) = event_queue();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        assert!(
            queue
                .poll_next(&mut Context::from_waker(&waker))
                .is_pending()
        );
        assert!(sink(&event(1)) && sink(&event(2)));
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn an_event_has_no_room_without_a_connection() {
        let (sink, queue) = event_queue();
        assert!(sink(&event(1)));
        drop(queue);
        assert!(!sink(&event(2)));
    }
}
