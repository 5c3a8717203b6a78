//! Keys of services with kept multiples: a service that signs many requests has them verified in less time.
//!
//! ```text
//! unknown ──verified──▶ counted ──verified 64 times──▶ prepared
//!    ▲                     │ 60 s without a verified      │
//!    └─────────────────────┴─────── request ──────────────┘
//! ```
//!
//! What is kept depends on the key alone, and permits nothing: the grant of the key does. A key gets in by a
//! verified signature, so that requests with invalid ones cost no more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_core::timestamp::Timestamp;
use countersign_crypto::sign::{PreparedVerifyingKey, VerifyingKey};

/// The maximum number of keys: 161 KiB each, 10 MiB in total. Further ones are not prepared.
const MAX_KEYS: usize = 64;
/// The verified requests after which a key is prepared. That costs as much as it saves in some 70 more.
const PREPARED_AFTER: u32 = 64;
/// How long a key is kept without a verified request, in milliseconds.
const IDLE: u64 = 60_000;

/// The keys that verified requests lately.
#[derive(Default)]
pub(super) struct PreparedKeys(Mutex<HashMap<VerifyingKey, Used>>);

/// A key that verified requests.
struct Used {
    times: u32,
    last: Timestamp,
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
            if keys.len() >= MAX_KEYS && !keys.contains_key(key) {
                return;
            }
            let used = keys.entry(*key).or_insert_with(|| Used {
                times: 0,
                last: now,
                prepared: None,
            });
            used.last = now;
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

    /// A key that verifies a request at the limit takes no place of another.
    #[test]
    fn the_number_of_keys_is_limited() {
        let keys = PreparedKeys::default();
        for number in 0..=MAX_KEYS {
            let mut bytes = [0; 32];
            bytes[0] = u8::try_from(number).unwrap();
            keys.verified(&VerifyingKey(bytes), at(0));
        }
        assert_eq!(keys.keys().len(), MAX_KEYS);
        let mut last = [0; 32];
        last[0] = u8::try_from(MAX_KEYS).unwrap();
        assert!(!keys.keys().contains_key(&VerifyingKey(last)));
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
