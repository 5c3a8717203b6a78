//! Ticket requests that were refused as replayed or stale. They are signed, so that an attacker can
//! record them and send them again without end; a repetition is refused without public-key work.
//!
//! It is not a replay cache: it may forget, and no ticket depends on it.

use std::collections::{HashMap, VecDeque};

use super::Denial;

/// The maximum number of requests: less than 1 MiB.
const MAX_REQUESTS: usize = 4_096;

/// A digest of what no other request has.
pub type RequestDigest = [u8; 32];

/// The refused requests of both editions.
#[derive(Default)]
pub(super) struct RefusedRequests {
    requests: HashMap<RequestDigest, Denial>,
    /// The oldest first.
    order: VecDeque<RequestDigest>,
}

impl RefusedRequests {
    /// Returns why a request was refused.
    pub(super) fn find(&self, digest: &RequestDigest) -> Option<Denial> {
        self.requests.get(digest).copied()
    }

    /// Remembers a refused request in place of the oldest one.
    pub(super) fn insert(&mut self, digest: RequestDigest, denial: Denial) {
        if self.requests.insert(digest, denial).is_some() {
            return;
        }
        self.order.push_back(digest);
        if self.order.len() > MAX_REQUESTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.requests.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_refused_requests_are_remembered() {
        let digest = |number: usize| {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&number.to_be_bytes());
            digest
        };
        let mut refused = RefusedRequests::default();
        for number in 0..MAX_REQUESTS {
            refused.insert(digest(number), Denial::Replayed);
        }
        // The same request takes no more room.
        let stale = Denial::Stale { clock: 1 };
        refused.insert(digest(1), stale);
        assert_eq!(refused.find(&digest(0)), Some(Denial::Replayed));
        refused.insert(digest(MAX_REQUESTS), Denial::Replayed);
        assert_eq!(refused.find(&digest(0)), None);
        assert_eq!(refused.find(&digest(1)), Some(stale));
        assert_eq!(refused.requests.len(), MAX_REQUESTS);
    }
}
