//! A fair queue for public-key work.
//!
//! Work items wait by group: a login waits with its network, a costly operation with its account. Groups take
//! turns, so that a network with a thousand logins delays a login of another one by one step. When the queue
//! is full, the largest group makes room.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_core::throttle::Source;
use tokio::sync::oneshot;

use crate::limits::Limits;

/// The limits of a queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueLimits {
    /// Work items that may wait in total.
    pub(crate) waiting: usize,
    /// Work items of one group that may wait.
    pub(crate) waiting_per_group: usize,
}

impl QueueLimits {
    /// The limits of logins, which are grouped by network.
    pub(crate) fn of_logins(limits: &Limits) -> Self {
        Self {
            waiting: limits.waiting_logins,
            waiting_per_group: limits.waiting_logins_per_network,
        }
    }

    /// The limits of costly operations, which are grouped by account.
    pub(crate) fn of_operations(limits: &Limits) -> Self {
        Self {
            waiting: limits.waiting_operations,
            waiting_per_group: limits.operations_in_flight,
        }
    }
}

/// A queue in which groups take turns. `K` identifies a group: the network of a login, the account of an
/// operation.
pub(crate) struct FairQueue<K: Copy + Eq = Source> {
    /// Work items that may run at a time.
    max_running: usize,
    limits: Mutex<QueueLimits>,
    state: Mutex<State<K>>,
}

struct State<K: Copy + Eq> {
    running: usize,
    waiting: usize,
    /// The groups with waiting items, in the order of their turns.
    turns: VecDeque<(K, VecDeque<oneshot::Sender<Turn<K>>>)>,
}

/// The permission to work. Dropping it passes the turn on.
pub(crate) struct Turn<K: Copy + Eq = Source>(Option<Arc<FairQueue<K>>>);

impl<K: Copy + Eq> FairQueue<K> {
    pub(crate) fn new(max_running: usize, limits: QueueLimits) -> Arc<Self> {
        Arc::new(Self {
            max_running,
            limits: Mutex::new(limits),
            state: Mutex::new(State {
                running: 0,
                waiting: 0,
                turns: VecDeque::new(),
            }),
        })
    }

    /// Changes the limits.
    pub(crate) fn keep_to(&self, limits: QueueLimits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// Waits for a turn of the group. `None` if too many items wait, or if this item made room for another
    /// group.
    pub(crate) async fn turn(self: &Arc<Self>, source: K) -> Option<Turn<K>> {
        let limits = *self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = {
            let mut state = self.state();
            if state.running < self.max_running {
                state.running += 1;
                return Some(Turn(Some(self.clone())));
            }
            state.wait(source, &limits)?
        };
        // The sender is dropped with the queue, or when its place was given to another group.
        turn.await.ok()
    }

    /// The number of work items that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.state().waiting
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        // No code under the lock panics in the middle of a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Eq> State<K> {
    fn wait(&mut self, source: K, limits: &QueueLimits) -> Option<oneshot::Receiver<Turn<K>>> {
        if self.waiting >= limits.waiting || self.count(source) >= limits.waiting_per_group {
            self.remove_cancelled();
        }
        let own = self.count(source);
        let room = own < limits.waiting_per_group
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

    /// The number of waiting items of a group.
    fn count(&self, source: K) -> usize {
        let mut turns = self.turns.iter();
        turns
            .find(|(of, _)| *of == source)
            .map_or(0, |(_, waiting)| waiting.len())
    }

    /// Removes items whose waiting task was cancelled.
    fn remove_cancelled(&mut self) {
        for (_, waiting) in &mut self.turns {
            waiting.retain(|turn| !turn.is_closed());
        }
        self.turns.retain(|(_, waiting)| !waiting.is_empty());
        self.waiting = self.turns.iter().map(|(_, waiting)| waiting.len()).sum();
    }

    /// Removes the newest item of the largest group to make room for a group with `own` items, unless the
    /// latter would then be as large. A few groups that fill the queue therefore do not block others.
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

    /// Takes the next item and moves its group behind the others.
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
                // The waiting task was cancelled meanwhile: pass the returned turn on.
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
            waiting_per_group: 3,
        };
        FairQueue::new(1, limits)
    }

    /// Waits for a turn in a task of its own.
    fn wait(queue: &Arc<FairQueue>, last: u8) -> tokio::task::JoinHandle<Option<Turn>> {
        let queue = queue.clone();
        tokio::spawn(async move { queue.turn(source(last)).await })
    }

    #[tokio::test]
    async fn groups_take_turns() {
        let queue = queue();
        let first = queue.turn(source(1)).await.unwrap();
        let mut same_group = Vec::new();
        for _ in 0..3 {
            same_group.push(wait(&queue, 1));
            tokio::task::yield_now().await;
        }
        let other = wait(&queue, 2);
        tokio::task::yield_now().await;
        drop(first);
        let second = same_group.remove(0).await.unwrap().unwrap();
        assert!(!other.is_finished());
        drop(second);
        let other = other.await.unwrap();
        assert!(other.is_some() && !same_group.iter().any(tokio::task::JoinHandle::is_finished));
    }

    #[tokio::test]
    async fn one_group_has_its_share_and_no_more() {
        let queue = queue();
        let _held = queue.turn(source(1)).await.unwrap();
        let waiting: Vec<_> = (0..3).map(|_| wait(&queue, 1)).collect();
        tokio::task::yield_now().await;
        assert!(
            queue.turn(source(1)).await.is_none(),
            "three of one group wait already"
        );
        drop(waiting);
    }

    /// At the limit and one over: the newest item of the largest group is removed, until all groups are
    /// equally large.
    #[tokio::test]
    async fn a_full_queue_makes_room_for_a_new_group() {
        let queue = queue();
        let held = queue.turn(source(9)).await.unwrap();
        let mut large = Vec::new();
        for last in [1, 1, 2, 2] {
            large.push(wait(&queue, last));
            tokio::task::yield_now().await;
        }
        assert_eq!(queue.state().waiting, 4);
        let newcomers: Vec<_> = (3..=4).map(|last| wait(&queue, last)).collect();
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        assert_eq!(queue.state().waiting, 4);
        let removed: Vec<bool> = large
            .iter()
            .map(tokio::task::JoinHandle::is_finished)
            .collect();
        assert_eq!(removed, [false, true, false, true]);
        assert!(
            queue.turn(source(5)).await.is_none(),
            "each group has one item"
        );
        assert!(
            queue.turn(source(1)).await.is_none(),
            "a group cannot have two"
        );
        drop(held);
        let mut served = 0;
        for turn in large.into_iter().chain(newcomers) {
            served += usize::from(turn.await.unwrap().is_some());
        }
        assert_eq!(served, 4);
    }

    #[tokio::test]
    async fn cancelled_items_leave_their_places() {
        let queue = queue();
        let _held = queue.turn(source(9)).await.unwrap();
        let cancelled: Vec<_> = (1..=4).map(|last| wait(&queue, last)).collect();
        tokio::task::yield_now().await;
        for gone in cancelled {
            gone.abort();
            assert!(gone.await.is_err());
        }
        let newcomer = wait(&queue, 5);
        tokio::task::yield_now().await;
        assert!(!newcomer.is_finished());
        assert_eq!(queue.state().waiting, 1);
    }

    #[tokio::test]
    async fn a_cancelled_item_passes_the_turn_on() {
        let queue = queue();
        let held = queue.turn(source(1)).await.unwrap();
        let cancelled = wait(&queue, 1);
        let stays = wait(&queue, 1);
        tokio::task::yield_now().await;
        cancelled.abort();
        assert!(cancelled.await.is_err());
        drop(held);
        drop(stays.await.unwrap().unwrap());
        assert!(queue.turn(source(2)).await.is_some());
        assert_eq!(queue.state().waiting, 0);
    }
}
