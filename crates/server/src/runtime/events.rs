//! The queue of events that wait for the connection of a session or of an event stream.
//!
//! A client that reads too slowly misses events. After the ones before the gap it learns so, and asks for
//! the state again: a session gets the event `missed` of the group `events`.
//!
//! A channel of Tokio needs some 800 bytes although it is empty, and most sessions are idle.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use countersign_core::sessions::{CloseReason, EventSink};
use countersign_proto::operation::Event;
use serde_json::value::{RawValue, to_raw_value};

/// Events that may wait for a client. When there are more, the client misses the newest ones and those
/// that come before it was told so.
pub(crate) const MAX_EVENTS_WAITING: usize = 256;

/// Events that have room in the memory of a queue that is empty again.
const KEPT: usize = 4;

/// The end of the queue that the connection of a session reads.
pub(crate) struct EventQueue(Reader<Arc<Event>>);

/// A queue for events to the connection of a session.
pub(crate) fn event_queue() -> (EventSink, EventQueue) {
    let reader = Reader::default();
    let writer = reader.writer();
    let sink = move |event: &Arc<Event>| writer.put(event.clone());
    (Box::new(sink), EventQueue(reader))
}

impl EventQueue {
    /// Waits for the next event. No event is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> Arc<Event> {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&self, context: &mut Context<'_>) -> Poll<Arc<Event>> {
        match ready!(self.0.poll_next(context)) {
            Next::Event(event) => Poll::Ready(event),
            Next::Missed => Poll::Ready(missed()),
            // The connection of a session is ended by its cut hook instead.
            Next::Ended(_) => Poll::Pending,
        }
    }
}

/// The end of a queue that a connection reads.
pub(crate) struct Reader<T>(Arc<Mutex<Waiting<T>>>);

/// The end of a queue that the site writes.
pub(crate) struct Writer<T>(Arc<Mutex<Waiting<T>>>);

/// What comes next from a queue.
pub(crate) enum Next<T> {
    Event(T),
    /// Events were lost here.
    Missed,
    /// No event comes any more, for this reason.
    Ended(CloseReason),
}

struct Waiting<T> {
    /// The client missed events before the waiting ones, and was not told yet.
    begins_with_gap: bool,
    events: VecDeque<T>,
    /// The client misses events that came after the waiting ones, and was not told yet.
    has_missed: bool,
    ended: Option<CloseReason>,
    /// Wakes the connection.
    waker: Option<Waker>,
    /// The connection is gone.
    is_closed: bool,
}

impl<T> Default for Reader<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Waiting {
            begins_with_gap: false,
            events: VecDeque::new(),
            has_missed: false,
            ended: None,
            waker: None,
            is_closed: false,
        })))
    }
}

impl<T> Writer<T> {
    /// Adds an event. Returns whether there was room and a connection.
    pub(crate) fn put(&self, event: T) -> bool {
        let mut waiting = lock(&self.0);
        if waiting.is_closed || waiting.has_missed || waiting.ended.is_some() {
            return false;
        }
        if waiting.events.len() >= MAX_EVENTS_WAITING {
            waiting.has_missed = true;
            return false;
        }
        waiting.events.push_back(event);
        waiting.wake();
        true
    }

    /// The client missed events before all those that wait and follow.
    pub(crate) fn begin_with_gap(&self) {
        let mut waiting = lock(&self.0);
        waiting.begins_with_gap = true;
        waiting.wake();
    }

    /// Ends the queue after the events that wait.
    pub(crate) fn end(&self, reason: CloseReason) {
        let mut waiting = lock(&self.0);
        waiting.ended.get_or_insert(reason);
        waiting.wake();
    }
}

impl<T> Waiting<T> {
    /// Wakes the connection, which then waits for the lock for a moment.
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Reader<T> {
    /// Makes a writer to this queue.
    pub(crate) fn writer(&self) -> Writer<T> {
        Writer(Arc::clone(&self.0))
    }

    pub(crate) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Next<T>> {
        let mut waiting = lock(&self.0);
        if std::mem::take(&mut waiting.begins_with_gap) {
            return Poll::Ready(Next::Missed);
        }
        let Some(event) = waiting.events.pop_front() else {
            if std::mem::take(&mut waiting.has_missed) {
                return Poll::Ready(Next::Missed);
            }
            if let Some(reason) = waiting.ended {
                return Poll::Ready(Next::Ended(reason));
            }
            waiting.waker = Some(context.waker().clone());
            return Poll::Pending;
        };
        if waiting.events.is_empty() {
            // An idle client keeps no large buffer.
            waiting.events.shrink_to(KEPT);
        }
        Poll::Ready(Next::Event(event))
    }
}

impl<T> Drop for Reader<T> {
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

fn lock<T>(queue: &Mutex<Waiting<T>>) -> MutexGuard<'_, Waiting<T>> {
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
        assert!(lock(&queue.0.0).events.capacity() <= KEPT);
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

    /// A stream that begins with a gap, one whose client lost its place, and the end.
    #[test]
    fn a_queue_ends_after_its_events_and_its_gap() {
        let reader = Reader::<usize>::default();
        let writer = reader.writer();
        let mut context = Context::from_waker(Waker::noop());
        let mut next = || reader.poll_next(&mut context);
        writer.begin_with_gap();
        writer.put(7);
        assert!(matches!(next(), Poll::Ready(Next::Missed)));
        assert!(matches!(next(), Poll::Ready(Next::Event(7))));
        (0..=MAX_EVENTS_WAITING).for_each(|number| {
            writer.put(number);
        });
        writer.end(CloseReason::Lockdown);
        writer.end(CloseReason::Cut);
        assert!(!writer.put(0));
        for number in 0..MAX_EVENTS_WAITING {
            assert!(matches!(next(), Poll::Ready(Next::Event(event)) if event == number));
        }
        assert!(matches!(next(), Poll::Ready(Next::Missed)));
        let ended = |next| matches!(next, Poll::Ready(Next::Ended(CloseReason::Lockdown)));
        assert!(ended(next()) && ended(next()));
    }
}
