//! What became of the presentations that public-key work was done for, by their digests: the same one costs no more
//! such work. It holds the newest; one that was forgotten is worked on again, and decided alike.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many are held: less than 2 MiB.
const HELD: usize = 8_192;

type Digest = [u8; 32];

/// The outcomes of presentations.
pub(crate) struct Seen<T>(Mutex<State<T>>);

struct State<T> {
    outcomes: HashMap<Digest, T>,
    /// The oldest first.
    order: VecDeque<Digest>,
}

impl<T: Clone> Seen<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State {
            outcomes: HashMap::new(),
            order: VecDeque::new(),
        }))
    }

    pub(crate) fn outcome(&self, digest: &Digest) -> Option<T> {
        self.state().outcomes.get(digest).cloned()
    }

    /// Holds an outcome, and forgets the oldest one where there is no room.
    pub(crate) fn hold(&self, digest: Digest, outcome: T) {
        let mut state = self.state();
        if state.outcomes.insert(digest, outcome).is_some() {
            return;
        }
        state.order.push_back(digest);
        if state.order.len() > HELD
            && let Some(oldest) = state.order.pop_front()
        {
            state.outcomes.remove(&oldest);
        }
    }

    /// Other keys decide otherwise.
    pub(crate) fn forget(&self) {
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
    fn the_newest_outcomes_are_held_and_no_more() {
        let seen = Seen::new();
        let digest = |number: usize| {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&number.to_be_bytes());
            digest
        };
        for number in 0..HELD {
            seen.hold(digest(number), number);
        }
        assert_eq!(seen.outcome(&digest(0)), Some(0));
        // The same once more takes no room.
        seen.hold(digest(1), 7);
        assert_eq!(seen.outcome(&digest(0)), Some(0));
        seen.hold(digest(HELD), HELD);
        assert_eq!(seen.outcome(&digest(0)), None);
        assert_eq!(seen.outcome(&digest(1)), Some(7));
        assert_eq!(seen.outcome(&digest(HELD)), Some(HELD));
        assert_eq!(seen.state().outcomes.len(), HELD);
        seen.forget();
        assert_eq!(seen.outcome(&digest(1)), None);
    }
}
