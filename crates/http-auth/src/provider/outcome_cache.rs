//! A cache of the outcomes of presentations, by digest, so that a repeated presentation costs no
//! public-key work. It stores the newest outcomes. A presentation that was evicted is processed
//! again, with the same outcome.
//!
//! It is not a replay cache: it may forget, and acceptance never depends on it alone.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Maximum number of outcomes: less than 2 MiB.
const MAX_OUTCOMES: usize = 8_192;

type Digest = [u8; 32];

/// Outcomes of presentations by digest.
pub(crate) struct OutcomeCache<T>(Mutex<State<T>>);

struct State<T> {
    outcomes: HashMap<Digest, T>,
    /// The oldest first.
    order: VecDeque<Digest>,
}

impl<T: Clone> OutcomeCache<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State {
            outcomes: HashMap::new(),
            order: VecDeque::new(),
        }))
    }

    pub(crate) fn get(&self, digest: &Digest) -> Option<T> {
        self.state().outcomes.get(digest).cloned()
    }

    /// Stores an outcome. If the cache is full, it evicts the oldest one.
    pub(crate) fn insert(&self, digest: Digest, outcome: T) {
        let mut state = self.state();
        if state.outcomes.insert(digest, outcome).is_some() {
            return;
        }
        state.order.push_back(digest);
        if state.order.len() > MAX_OUTCOMES
            && let Some(oldest) = state.order.pop_front()
        {
            state.outcomes.remove(&oldest);
        }
    }

    /// Removes all outcomes: needed when keys change, because other keys lead to other outcomes.
    pub(crate) fn clear(&self) {
        let mut state = self.state();
        state.outcomes.clear();
        state.order.clear();
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_outcomes_are_cached() {
        let cache = OutcomeCache::new();
        let digest = |number: usize| {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&number.to_be_bytes());
            digest
        };
        for number in 0..MAX_OUTCOMES {
            cache.insert(digest(number), number);
        }
        assert_eq!(cache.get(&digest(0)), Some(0));
        // Storing the same digest again takes no more room.
        cache.insert(digest(1), 7);
        assert_eq!(cache.get(&digest(0)), Some(0));
        cache.insert(digest(MAX_OUTCOMES), MAX_OUTCOMES);
        assert_eq!(cache.get(&digest(0)), None);
        assert_eq!(cache.get(&digest(1)), Some(7));
        assert_eq!(cache.get(&digest(MAX_OUTCOMES)), Some(MAX_OUTCOMES));
        assert_eq!(cache.state().outcomes.len(), MAX_OUTCOMES);
        cache.clear();
        assert_eq!(cache.get(&digest(1)), None);
    }
}
