//! What a site remembers of those who misbehave: penalties of sources, and failed guesses at names. A
//! source is slowed, never an account: nobody can lock somebody else out.
//!
//! In memory and bounded: when there is no room, the mildest of a few is forgotten.

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
pub use rates::{Rate, Rates};
pub use source::{Source, SourceError};

/// What a site remembers, for all of its connections.
#[derive(Default)]
pub struct Throttle {
    penalties: Mutex<Penalties>,
    logins: Mutex<LoginThrottle>,
    rates: Mutex<Rates>,
}

impl Throttle {
    /// Keeps to these limits from now on.
    pub fn keep_to(&self, penalties: PenaltyLimits, logins: LoginThrottleLimits) {
        self.penalties().keep_to(penalties);
        self.logins().keep_to(logins);
    }

    /// The penalties.
    pub fn penalties(&self) -> MutexGuard<'_, Penalties> {
        // Counters change whole under the lock: a panic elsewhere leaves nothing half-done.
        self.penalties
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The failed guesses.
    pub fn logins(&self) -> MutexGuard<'_, LoginThrottle> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What accounts have used of what costs something.
    pub fn rates(&self) -> MutexGuard<'_, Rates> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many entries are looked at when room is needed: enough that the worst stay, few enough that a
/// flood of new ones costs little.
const LOOKED_AT: usize = 64;

/// Makes room for one more entry than there is, unless `key` is there: what is over goes first, then the
/// mildest of some.
fn make_room<K: Eq + Hash + Clone, V>(
    entries: &mut HashMap<K, V>,
    key: &K,
    room: usize,
    severity: impl Fn(&V) -> u64,
) {
    if entries.len() < room || entries.contains_key(key) {
        return;
    }
    let looked_at = entries.iter().take(LOOKED_AT);
    let mildest = looked_at.min_by_key(|(_, entry)| severity(entry));
    if let Some(mildest) = mildest.map(|(key, _)| key.clone()) {
        entries.remove(&mildest);
    }
}

/// Milliseconds from one time to a later one.
fn since(then: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.millis().saturating_sub(then.millis())).unwrap_or(0)
}
