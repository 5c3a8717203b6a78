//! The broker's part of a site: who may have a ticket for whom (`docs/protocol/broker.md`).
//!
//! ```text
//! bytes ── proto: read ── registered ── verify ── came before? ── policy ── proto: answer ── bytes
//! ```
//!
//! Verifying is public-key work for somebody who is not proved yet: whoever moves the bytes decides when it
//! is done. All else is decided here.

mod answer;
mod came;
mod counted;
mod fast;
mod keys;
mod registered;

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::site::Site;
use crate::timestamp::Timestamp;

pub use answer::NotAnswered;
pub(crate) use keys::V1Key;
pub use keys::{BrokerKeys, V1Keys};
pub use registered::Registered;

use came::Came;
use registered::Cache;

/// What the broker remembers while the site runs.
#[derive(Default)]
pub(crate) struct Broker {
    cache: Cache,
    came: Mutex<(Came, Came)>,
}

impl Broker {
    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The requests of edition v1 and of v2 that came.
    fn came(&self) -> MutexGuard<'_, (Came, Came)> {
        // An entry goes in whole: a panic elsewhere leaves nothing half-done.
        self.came.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Site {
    /// From `now` on requests for tickets are answered. Nothing that was made before is: the run before may
    /// have answered it. Until this was called nothing is answered at all.
    pub fn begin_to_answer(&self, now: Timestamp) {
        *self.broker().came() = (Came::v1(now), Came::v2(now));
    }
}
