//! Keys of services with kept multiples: a service that signs many requests has them verified in less time.
//!
//! ```text
//! unknown ──verified──▶ counted ──verified 512 times──▶ prepared
//!    ▲                     │ 60 s without a verified       │
//!    └─────────────────────┴─────── request ───────────────┘
//! ```
//!
//! What is kept depends on the key alone, and permits nothing: the grant of the key does. A key gets in by a
//! verified signature, so that requests with invalid ones cost no more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_core::timestamp::Timestamp;
use countersign_crypto::sign::{PreparedVerifyingKey, VerifyingKey};

/// The maximum number of keys: 480 KiB each, 15 MiB in total. A further one takes the place of the key with
/// the fewest verified requests lately.
const MAX_KEYS: usize = 32;
/// The verified requests after which a key is prepared. That costs as much as it saves in some 700 more.
const PREPARED_AFTER: u32 = 512;
/// The most requests that a key has to its credit: a key that was used much and is not any more makes room
/// after so many requests of others.
const MAX_CREDIT: u32 = 64;
/// How long a key is kept without a verified request, in milliseconds.
const IDLE: u64 = 60_000;

/// The keys that verified requests lately.
#[derive(Default)]
pub(super) struct PreparedKeys(Mutex<HashMap<VerifyingKey, Used>>);

/// A key that verified requests.
struct Used {
    times: u32,
    last: Timestamp,
    /// Its verified requests, less those of keys without a place.
    credit: u32,
    prepared: Option<Arc<PreparedVerifyingKey>>,
}

impl PreparedKeys {
    /// The prepared key, if it is kept.
    pub(super) fn get(&self, key: &VerifyingKey) -> Option<Arc<PreparedVerifyingKey>> {
        self.keys().get(key)?.prepared.clone()
    }

    /// A request was verified with the key.
    pub(super) fn verified(&self, key: &VerifyingKey, now: Timestamp) {
        {
            let mut keys = self.keys();
            if keys.len() >= MAX_KEYS && !keys.contains_key(key) && !make_room(&mut keys) {
                return;
            }
            let used = keys.entry(*key).or_insert_with(|| Used {
                times: 0,
                last: now,
                credit: 0,
                prepared: None,
            });
            used.last = now;
            used.credit = MAX_CREDIT.min(used.credit + 1);
            used.times = used.times.saturating_add(1);
            if used.times != PREPARED_AFTER {
                return;
            }
        }
        // Without the lock: it takes longer than a verification.
        let prepared = PreparedVerifyingKey::prepare(key).map(Arc::new);
        if let Some(used) = self.keys().get_mut(key) {
            used.prepared = prepared;
        }
    }

    /// Forgets the keys that verified no request lately.
    pub(super) fn forget_idle(&self, now: Timestamp) {
        // The clock may have been set back.
        self.keys()
            .retain(|_, used| used.last <= now && now < used.last.plus_millis(IDLE));
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<VerifyingKey, Used>> {
        // Each change under the lock is a single step, so a panic elsewhere leaves a valid state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes one request from the credit of the key that has the fewest. Returns whether its place is free.
fn make_room(keys: &mut HashMap<VerifyingKey, Used>) -> bool {
    let fewest = keys.iter_mut().min_by_key(|(_, used)| used.credit);
    let Some((key, used)) = fewest else {
        return true;
    };
    used.credit = used.credit.saturating_sub(1);
    let (key, is_free) = (*key, used.credit == 0);
    if is_free {
        keys.remove(&key);
    }
    is_free
}

#[cfg(test)]
mod tests {
    use countersign_crypto::secret::Secret;
    use countersign_crypto::sign::{SigningKey, Verifier};

    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_secret(&Secret::from_bytes([seed; 32]))
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_key_is_prepared_once_it_verified_many_requests_and_forgotten_when_idle() {
        let (keys, key) = (PreparedKeys::default(), key(1));
        let verifying = key.verifying();
        for _ in 1..PREPARED_AFTER {
            keys.verified(&verifying, at(0));
            assert!(keys.get(&verifying).is_none());
        }
        keys.verified(&verifying, at(1));
        let prepared = keys.get(&verifying).unwrap();
        let signature = key.sign(b"message");
        assert_eq!(prepared.verify(b"message", &signature), Ok(()));
        assert!(prepared.verify(b"another", &signature).is_err());
        keys.forget_idle(at(60_000));
        assert!(keys.get(&verifying).is_some());
        keys.forget_idle(at(60_001));
        assert!(keys.keys().is_empty());
    }

    /// One service with 64 keys, each of which verified a request a minute, kept all places for ever, and
    /// each other service at the speed without.
    #[test]
    fn a_key_that_is_used_much_takes_the_place_of_one_that_is_used_little() {
        let (keys, fast) = (PreparedKeys::default(), key(1).verifying());
        let slow = |number: usize| {
            let mut bytes = [0; 32];
            bytes[0] = u8::try_from(number).unwrap();
            VerifyingKey(bytes)
        };
        for number in 0..MAX_KEYS {
            for _ in 0..1_000 {
                keys.verified(&slow(number), at(0));
            }
        }
        // A key with a few requests takes no place.
        for _ in 1..MAX_CREDIT {
            keys.verified(&fast, at(1));
        }
        assert!(!keys.keys().contains_key(&fast));
        for _ in 0..PREPARED_AFTER {
            keys.verified(&fast, at(1));
        }
        assert!(keys.get(&fast).is_some());
        assert_eq!(keys.keys().len(), MAX_KEYS);
        // From now on, another key with few requests makes room for a further one.
        for _ in 0..MAX_CREDIT {
            keys.verified(&fast, at(1));
            keys.verified(&slow(MAX_KEYS), at(1));
        }
        assert!(keys.get(&fast).is_some());
        assert_eq!(keys.keys().len(), MAX_KEYS);
    }

    /// A clock that was set back left a key in its place until the clock had caught up.
    #[test]
    fn a_key_from_a_time_in_the_future_is_forgotten() {
        let (keys, verifying) = (PreparedKeys::default(), key(2).verifying());
        keys.verified(&verifying, at(3_600_000));
        keys.forget_idle(at(0));
        assert!(keys.keys().is_empty());
    }
}
