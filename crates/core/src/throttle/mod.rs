//! The throttle: rate-limit penalties of sources, the login throttle, and rate limits of accounts.
//! Penalties and delays apply to sources and never to accounts, so that an attacker cannot lock an
//! account out.
//!
//! All state is in memory and bounded. When a table is full, one of its least severe entries is
//! removed.

mod logins;
mod penalties;
mod rates;
mod source;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::timestamp::Timestamp;

pub use logins::{LoginThrottle, LoginThrottleLimits, TooManyAttempts};
pub use penalties::{Abuse, NETWORK, Penalties, Penalty, PenaltyLimits};
pub use rates::{Holder, Rate, Rates};
pub use source::{Source, SourceError};

/// The throttle of a site, shared by all of its connections.
#[derive(Default)]
pub struct Throttle {
    penalties: Mutex<Penalties>,
    logins: Mutex<LoginThrottle>,
    rates: Mutex<Rates>,
}

impl Throttle {
    /// Sets the limits.
    pub fn set_limits(&self, penalties: PenaltyLimits, logins: LoginThrottleLimits) {
        self.penalties().set_limits(penalties);
        self.logins().set_limits(logins);
    }

    /// Locks and returns the penalties of sources.
    pub fn penalties(&self) -> MutexGuard<'_, Penalties> {
        // Counters are consistent whenever the lock is free, so a poisoned lock can be used.
        self.penalties
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks and returns the login throttle.
    pub fn logins(&self) -> MutexGuard<'_, LoginThrottle> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks and returns the rate limits of accounts.
    pub fn rates(&self) -> MutexGuard<'_, Rates> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many entries are compared when room is needed. Enough that severe entries stay, few enough
/// that a flood of new entries costs little.
const CANDIDATES: usize = 64;

/// Makes room for an entry with this key unless it exists: removes the least severe of a few
/// entries if the table is full.
fn make_room<K: Eq + Hash + Clone, V>(
    entries: &mut HashMap<K, V>,
    key: &K,
    max: usize,
    severity: impl Fn(&V) -> u64,
) {
    if entries.len() < max || entries.contains_key(key) {
        return;
    }
    let candidates = entries.iter().take(CANDIDATES);
    let least_severe = candidates.min_by_key(|(_, entry)| severity(entry));
    if let Some(least_severe) = least_severe.map(|(key, _)| key.clone()) {
        entries.remove(&least_severe);
    }
}

/// Returns the milliseconds from `then` to `now`; 0 if `then` is later.
fn since(then: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.millis().saturating_sub(then.millis())).unwrap_or(0)
}
