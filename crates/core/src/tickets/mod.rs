//! Service tickets: the broker, the part of a site that issues them (`docs/protocol/broker.md`). It decides which
//! consumer gets a ticket for which provider. It takes a store, the site's keys, the time and entropy; sessions, the
//! table of operations and who may call them are no matter of its.
//!
//! ```text
//! text ── read ── Received ── verify ── Verified ── allow ── Allowed ── issue ── sealed response
//!                 (unverified)       (who asks)        (policy)   (not replayed, policy still holds)
//! ```
//!
//! Both editions go this way ([`Edition`]: [`V1`], [`V2`]). Each step is a type, so that none can be left out. A
//! consumer that has a session gets its tickets by `symmetric` instead.
//!
//! Opening, verifying and issuing are public-key work: the caller decides when their turn comes.

mod audited;
mod edition;
mod registered;
mod request;
mod symmetric;
mod v1;
mod v2;

use std::sync::{Mutex, MutexGuard, PoisonError};

use countersign_proto::replay::{ReplayCache, ReplayLimits};

use crate::timestamp::Timestamp;

pub use edition::{Denial, Edition};
pub use registered::Registered;
pub use request::{Allowed, IssueError, Verified};
pub use v1::V1;
pub use v2::V2;

pub(crate) use audited::{refused, response};
use registered::ApplicationCache;
pub(crate) use symmetric::{ticket_keys, tickets};

/// Requests that are remembered in each generation, of all consumers; and this part of it for one alone.
const REQUESTS: usize = 1 << 20;
const OF_ONE: usize = 4;

const LIMITS: ReplayLimits = ReplayLimits {
    entries: REQUESTS,
    entries_per_owner: REQUESTS / OF_ONE,
};

/// What the broker remembers while the site runs.
#[derive(Default)]
pub(crate) struct Broker {
    cache: ApplicationCache,
    replays: Replays,
}

/// The requests that were answered, of each edition.
pub struct Replays {
    v1: Mutex<ReplayCache>,
    v2: Mutex<ReplayCache>,
}

impl Default for Replays {
    fn default() -> Self {
        Self {
            v1: Mutex::new(ReplayCache::closed()),
            v2: Mutex::new(ReplayCache::closed()),
        }
    }
}

impl Broker {
    pub(crate) fn cache(&self) -> &ApplicationCache {
        &self.cache
    }

    /// From `now` on requests for tickets are answered. Nothing that was made before is: the run before may
    /// have answered it. Until this was called nothing is answered at all.
    pub(crate) fn begin(&self, now: Timestamp) {
        *self.replays::<V1>() = V1::replay_cache(now);
        *self.replays::<V2>() = V2::replay_cache(now);
    }

    /// The requests of one edition that were answered.
    fn replays<E: Edition>(&self) -> MutexGuard<'_, ReplayCache> {
        // An entry goes in whole: a panic elsewhere leaves nothing half-done.
        let replays = E::replays(&self.replays).lock();
        replays.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Time as the protocol has it, in milliseconds since 1970.
fn millis(now: Timestamp) -> u64 {
    u64::try_from(now.millis()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use countersign_proto::replay::ReplayError;

    use super::*;

    fn first<E: Edition>(broker: &Broker) -> Result<(), ReplayError> {
        broker
            .replays::<E>()
            .insert("billing", &[1], 61_000, 61_000)
    }

    #[test]
    fn a_site_that_has_not_begun_to_answer_answers_nothing() {
        let broker = Broker::default();
        let stale = Err(ReplayError::Stale);
        assert_eq!((first::<V1>(&broker), first::<V2>(&broker)), (stale, stale));
        broker.begin(Timestamp::from_millis(60_000));
        assert_eq!(
            (first::<V1>(&broker), first::<V2>(&broker)),
            (Ok(()), Ok(()))
        );
    }
}
