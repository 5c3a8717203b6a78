//! Service tickets: the broker, the part of a site that issues them (`docs/protocol/broker.md`). It
//! decides which consumer gets a ticket for which provider. It works on a store, the site's keys,
//! the time and entropy, and does not depend on sessions or the table of operations.
//!
//! ```text
//! text ── read ── Received ── verify ── Verified ── destination ── Allowed ── issue ── sealed response
//!                 (unverified)     (authenticated)       (policy)     (not a replay, policy again)
//! ```
//!
//! Both editions use these steps ([`TicketEdition`]: [`V1`], [`V2`]). Each step is a type, so that none
//! can be skipped. A consumer that has a session gets its tickets through `symmetric` instead.
//!
//! Opening, verifying and issuing are public-key work. The program around the site schedules it.

mod audited;
mod edition;
mod foreign;
mod refused;
mod registered;
mod request;
mod symmetric;
mod v1;
mod v2;

use std::sync::{Mutex, MutexGuard, PoisonError};

use countersign_proto::replay::{ReplayCache, ReplayLimits};

use crate::timestamp::Timestamp;

pub use edition::{Denial, TicketEdition};
pub use foreign::ForeignAsk;
pub use refused::RequestDigest;
pub use registered::Registered;
pub use request::{IssueError, Verified};
pub use v1::V1;
pub use v2::V2;

pub(crate) use audited::{foreign_answered, foreign_asked, refused, requested};
pub(crate) use foreign::{AllowedForeign, Destination, ForeignTicketParams, answer};
use refused::RefusedRequests;
use registered::ApplicationCache;
pub(crate) use request::{Allowed, denied};
pub(crate) use symmetric::{ticket_keys, tickets};

/// The number of requests in each generation of the replay cache, for all consumers together, and
/// the fraction of it for one consumer.
const REQUESTS: usize = 1 << 20;
const MAX_FRACTION: usize = 4;

const LIMITS: ReplayLimits = ReplayLimits {
    entries: REQUESTS,
    entries_per_owner: REQUESTS / MAX_FRACTION,
};

/// The state of the broker while the site runs.
#[derive(Default)]
pub(crate) struct Broker {
    cache: ApplicationCache,
    replays: Replays,
}

/// The replay cache of each edition.
pub struct Replays {
    v1: Mutex<ReplayCache>,
    v2: Mutex<ReplayCache>,
    /// The requests of both editions that were refused as replayed or stale.
    refused: Mutex<RefusedRequests>,
}

impl Default for Replays {
    fn default() -> Self {
        Self {
            v1: Mutex::new(ReplayCache::closed()),
            v2: Mutex::new(ReplayCache::closed()),
            refused: Mutex::default(),
        }
    }
}

impl Broker {
    pub(crate) fn cache(&self) -> &ApplicationCache {
        &self.cache
    }

    /// Starts issuing tickets. Before this call every request is refused. A previous run of the
    /// site may have answered requests that were made before `now`: edition v2 refuses these as
    /// stale, edition v1 answers them again (see `TicketEdition::replay_cache`).
    pub(crate) fn start(&self, now: Timestamp) {
        *self.replays::<V1>() = V1::replay_cache(now);
        *self.replays::<V2>() = V2::replay_cache(now);
    }

    /// Locks and returns the replay cache of an edition.
    fn replays<E: TicketEdition>(&self) -> MutexGuard<'_, ReplayCache> {
        // The cache is consistent whenever the lock is free, so a poisoned lock can be used.
        let replays = E::replays(&self.replays).lock();
        replays.unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks and returns the refused requests.
    fn refused(&self) -> MutexGuard<'_, RefusedRequests> {
        let refused = self.replays.refused.lock();
        // It forgets at worst, so a poisoned lock can be used.
        refused.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the time as the protocol encodes it, in milliseconds since 1970.
fn millis(now: Timestamp) -> u64 {
    u64::try_from(now.millis()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use countersign_proto::replay::ReplayError;

    use super::*;

    fn first<E: TicketEdition>(broker: &Broker) -> Result<(), ReplayError> {
        broker
            .replays::<E>()
            .insert("billing", &[1], 61_000, 61_000)
    }

    #[test]
    fn a_broker_that_was_not_started_answers_no_request() {
        let broker = Broker::default();
        let stale = Err(ReplayError::Stale);
        assert_eq!((first::<V1>(&broker), first::<V2>(&broker)), (stale, stale));
        broker.start(Timestamp::from_millis(60_000));
        assert_eq!(
            (first::<V1>(&broker), first::<V2>(&broker)),
            (Ok(()), Ok(()))
        );
    }
}
