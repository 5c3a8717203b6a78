//! Waiting for public-key work, fair between sources: those that wait take turns by source, so that one
//! with a thousand logins delays another's by one step and no more; and when all places are taken, those that
//! have most make room.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_core::throttle::Source;
use tokio::sync::oneshot;

use crate::limits::Limits;

/// What the queue holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueLimits {
    /// Pieces of work that wait, of all sources and of one.
    pub(crate) waiting: usize,
    pub(crate) waiting_per_source: usize,
}

impl QueueLimits {
    /// Those of logins.
    pub(crate) fn of_logins(limits: &Limits) -> Self {
        Self {
            waiting: limits.waiting_logins,
            waiting_per_source: limits.waiting_logins_per_network,
        }
    }

    /// Those of operations that do costly work.
    pub(crate) fn of_operations(limits: &Limits) -> Self {
        Self {
            waiting: limits.waiting_operations,
            waiting_per_source: limits.operations_in_flight,
        }
    }
}

/// A queue whose users take turns by `K`: the source of a login, the account of an operation.
pub(crate) struct FairQueue<K: Copy + Eq = Source> {
    /// Pieces of work at a time.
    at_a_time: usize,
    limits: Mutex<QueueLimits>,
    state: Mutex<State<K>>,
}

struct State<K: Copy + Eq> {
    running: usize,
    waiting: usize,
    /// The sources that wait, in the order of their turns.
    turns: VecDeque<(K, VecDeque<oneshot::Sender<Turn<K>>>)>,
}

/// Leave to work, until it is dropped.
pub(crate) struct Turn<K: Copy + Eq = Source>(Option<Arc<FairQueue<K>>>);

impl<K: Copy + Eq> FairQueue<K> {
    pub(crate) fn new(at_a_time: usize, limits: QueueLimits) -> Arc<Self> {
        Arc::new(Self {
            at_a_time,
            limits: Mutex::new(limits),
            state: Mutex::new(State {
                running: 0,
                waiting: 0,
                turns: VecDeque::new(),
            }),
        })
    }

    /// Keeps to these limits from now on.
    pub(crate) fn keep_to(&self, limits: QueueLimits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// Waits for the source's turn; `None` when too many wait already.
    pub(crate) async fn turn(self: &Arc<Self>, source: K) -> Option<Turn<K>> {
        let limits = *self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = {
            let mut state = self.state();
            if state.running < self.at_a_time {
                state.running += 1;
                return Some(Turn(Some(self.clone())));
            }
            state.wait(source, &limits)?
        };
        // The sender goes away with the queue, or when its place was given to another source.
        turn.await.ok()
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        // Nothing under the lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Eq> State<K> {
    fn wait(&mut self, source: K, limits: &QueueLimits) -> Option<oneshot::Receiver<Turn<K>>> {
        if self.waiting >= limits.waiting || self.of(source) >= limits.waiting_per_source {
            self.forget_who_left();
        }
        let own = self.of(source);
        let room = own < limits.waiting_per_source
            && (self.waiting < limits.waiting || self.make_room(own));
        if !room {
            return None;
        }
        let (sender, turn) = oneshot::channel();
        match self.turns.iter_mut().find(|(of, _)| *of == source) {
            Some((_, waiting)) => waiting.push_back(sender),
            None => self.turns.push_back((source, VecDeque::from([sender]))),
        }
        self.waiting += 1;
        Some(turn)
    }

    /// How many of that source wait.
    fn of(&self, source: K) -> usize {
        let mut turns = self.turns.iter();
        turns
            .find(|(of, _)| *of == source)
            .map_or(0, |(_, waiting)| waiting.len())
    }

    /// Those that went away count no longer.
    fn forget_who_left(&mut self) {
        for (_, waiting) in &mut self.turns {
            waiting.retain(|turn| !turn.is_closed());
        }
        self.turns.retain(|(_, waiting)| !waiting.is_empty());
        self.waiting = self.turns.iter().map(|(_, waiting)| waiting.len()).sum();
    }

    /// The newest of the source with the most gives its place to a source with `own`, unless that would have
    /// as many then: few sources that fill the queue keep nobody out.
    fn make_room(&mut self, own: usize) -> bool {
        let most = self
            .turns
            .iter_mut()
            .max_by_key(|(_, waiting)| waiting.len());
        let Some((_, waiting)) = most.filter(|(_, waiting)| waiting.len() > own + 1) else {
            return false;
        };
        self.waiting -= usize::from(waiting.pop_back().is_some());
        true
    }

    /// Whoever's turn is next; their source goes behind the others.
    fn next(&mut self) -> Option<oneshot::Sender<Turn<K>>> {
        let (source, mut waiting) = self.turns.pop_front()?;
        let next = waiting.pop_front();
        if !waiting.is_empty() {
            self.turns.push_back((source, waiting));
        }
        self.waiting -= usize::from(next.is_some());
        next
    }
}

impl<K: Copy + Eq> Drop for Turn<K> {
    fn drop(&mut self) {
        let Some(queue) = self.0.take() else {
            return;
        };
        loop {
            let next = {
                let mut state = queue.state();
                let next = state.next();
                if next.is_none() {
                    state.running -= 1;
                }
                next
            };
            let Some(next) = next else {
                return;
            };
            match next.send(Self(Some(queue.clone()))) {
                Ok(()) => return,
                // Whoever waited went away meanwhile: the turn that comes back is nobody's.
                Err(mut turn) => turn.0 = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> Source {
        Source::V4([192, 0, 2, last].into())
    }

    fn queue() -> Arc<FairQueue> {
        let limits = QueueLimits {
            waiting: 4,
            waiting_per_source: 3,
        };
        FairQueue::new(1, limits)
    }

    /// Waits in a task of its own and tells when it is its turn.
    fn wait(queue: &Arc<FairQueue>, last: u8) -> tokio::task::JoinHandle<Option<Turn>> {
        let queue = queue.clone();
        tokio::spawn(async move { queue.turn(source(last)).await })
    }

    #[tokio::test]
    async fn sources_take_turns() {
        let queue = queue();
        let first = queue.turn(source(1)).await.unwrap();
        let mut crowd = Vec::new();
        for _ in 0..3 {
            crowd.push(wait(&queue, 1));
            tokio::task::yield_now().await;
        }
        let other = wait(&queue, 2);
        tokio::task::yield_now().await;
        drop(first);
        let one_of_the_crowd = crowd.remove(0).await.unwrap().unwrap();
        assert!(!other.is_finished());
        drop(one_of_the_crowd);
        let other = other.await.unwrap();
        assert!(other.is_some() && !crowd.iter().any(tokio::task::JoinHandle::is_finished));
    }

    #[tokio::test]
    async fn one_source_has_its_share_and_no_more() {
        let queue = queue();
        let _held = queue.turn(source(1)).await.unwrap();
        let waiting: Vec<_> = (0..3).map(|_| wait(&queue, 1)).collect();
        tokio::task::yield_now().await;
        assert!(queue.turn(source(1)).await.is_none(), "three of one source");
        drop(waiting);
    }

    /// At the limit and one over: the newest of those that wait most has to go, until all wait alike.
    #[tokio::test]
    async fn a_full_queue_keeps_no_newcomer_out() {
        let queue = queue();
        let held = queue.turn(source(9)).await.unwrap();
        let mut crowd = Vec::new();
        for last in [1, 1, 2, 2] {
            crowd.push(wait(&queue, last));
            tokio::task::yield_now().await;
        }
        assert_eq!(queue.state().waiting, 4);
        let newcomers: Vec<_> = (3..=4).map(|last| wait(&queue, last)).collect();
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        assert_eq!(queue.state().waiting, 4);
        let turned_away: Vec<bool> = crowd
            .iter()
            .map(tokio::task::JoinHandle::is_finished)
            .collect();
        assert_eq!(turned_away, [false, true, false, true]);
        assert!(queue.turn(source(5)).await.is_none(), "each has one");
        assert!(
            queue.turn(source(1)).await.is_none(),
            "nor has a crowd more"
        );
        drop(held);
        let mut served = 0;
        for turn in crowd.into_iter().chain(newcomers) {
            served += usize::from(turn.await.unwrap().is_some());
        }
        assert_eq!(served, 4);
    }

    #[tokio::test]
    async fn those_that_went_away_leave_their_places() {
        let queue = queue();
        let _held = queue.turn(source(9)).await.unwrap();
        let crowd: Vec<_> = (1..=4).map(|last| wait(&queue, last)).collect();
        tokio::task::yield_now().await;
        for gone in crowd {
            gone.abort();
            assert!(gone.await.is_err());
        }
        let newcomer = wait(&queue, 5);
        tokio::task::yield_now().await;
        assert!(!newcomer.is_finished());
        assert_eq!(queue.state().waiting, 1);
    }

    #[tokio::test]
    async fn whoever_gives_up_leaves_the_turn_to_others() {
        let queue = queue();
        let held = queue.turn(source(1)).await.unwrap();
        let gives_up = wait(&queue, 1);
        let stays = wait(&queue, 1);
        tokio::task::yield_now().await;
        gives_up.abort();
        assert!(gives_up.await.is_err());
        drop(held);
        drop(stays.await.unwrap().unwrap());
        assert!(queue.turn(source(2)).await.is_some());
        assert_eq!(queue.state().waiting, 0);
    }
}
