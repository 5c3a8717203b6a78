//! Waiting for public-key work, fair between sources: those that wait take turns by source, so that one
//! with a thousand logins delays another's by one step and no more.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_core::guard::Source;
use tokio::sync::oneshot;

/// What the queue holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueLimits {
    /// Pieces of work at a time.
    pub(crate) at_a_time: usize,
    /// Pieces of work that wait, of all sources and of one.
    pub(crate) waiting: usize,
    pub(crate) waiting_per_source: usize,
}

pub(crate) struct FairQueue {
    limits: QueueLimits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: usize,
    waiting: usize,
    /// The sources that wait, in the order of their turns.
    turns: VecDeque<(Source, VecDeque<oneshot::Sender<Turn>>)>,
}

/// Leave to work, until it is dropped.
pub(crate) struct Turn(Option<Arc<FairQueue>>);

impl FairQueue {
    pub(crate) fn new(limits: QueueLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            state: Mutex::default(),
        })
    }

    /// Waits for the source's turn; `None` when too many wait already.
    pub(crate) async fn turn(self: &Arc<Self>, source: Source) -> Option<Turn> {
        let turn = {
            let mut state = self.state();
            if state.running < self.limits.at_a_time {
                state.running += 1;
                return Some(Turn(Some(self.clone())));
            }
            state.wait(source, &self.limits)?
        };
        // The sender goes away only with the queue.
        turn.await.ok()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wait(&mut self, source: Source, limits: &QueueLimits) -> Option<oneshot::Receiver<Turn>> {
        if self.waiting >= limits.waiting {
            return None;
        }
        let (sender, turn) = oneshot::channel();
        let found = self.turns.iter_mut().find(|(of, _)| *of == source);
        match found {
            Some((_, waiting)) if waiting.len() >= limits.waiting_per_source => return None,
            Some((_, waiting)) => waiting.push_back(sender),
            None => self.turns.push_back((source, VecDeque::from([sender]))),
        }
        self.waiting += 1;
        Some(turn)
    }

    /// Whoever's turn is next; their source goes behind the others.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let (source, mut waiting) = self.turns.pop_front()?;
        let next = waiting.pop_front();
        if !waiting.is_empty() {
            self.turns.push_back((source, waiting));
        }
        self.waiting -= usize::from(next.is_some());
        next
    }
}

impl Drop for Turn {
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
        FairQueue::new(QueueLimits {
            at_a_time: 1,
            waiting: 4,
            waiting_per_source: 3,
        })
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
    async fn the_queue_has_bounds() {
        let queue = queue();
        let _held = queue.turn(source(1)).await.unwrap();
        let waiting: Vec<_> = (0..3).map(|_| wait(&queue, 1)).collect();
        tokio::task::yield_now().await;
        assert!(queue.turn(source(1)).await.is_none(), "three of one source");
        let _last = wait(&queue, 2);
        tokio::task::yield_now().await;
        assert!(queue.turn(source(3)).await.is_none(), "four in all");
        drop(waiting);
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
