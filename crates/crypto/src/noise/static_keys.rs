//! A cache of static-static secrets of authenticated peers, as in WireGuard.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::agreement::AgreementPublic;
use crate::secret::Secret;

/// Maximum number of pairs per generation, which limits memory to about 3 MiB.
const MAX_PER_GENERATION: usize = 8_192;

/// Our public key and the peer's.
type Pair = ([u8; 32], [u8; 32]);

/// Behind a pointer, so that a growing map leaves no copies of the secret in memory.
pub(super) type Shared = Arc<Secret<32>>;

/// The two static public keys of a handshake and their shared secret. [`StaticKeyCache`] may store
/// it once the peer is authenticated.
pub struct StaticKeySecret {
    pub(super) own: AgreementPublic,
    pub(super) peer: AgreementPublic,
    pub(super) secret: Shared,
}

/// A bounded cache of static-static secrets. Only secrets of authenticated peers are stored, so an
/// attacker cannot evict them. A secret that is not used for one generation is evicted.
#[derive(Default)]
pub struct StaticKeyCache(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<Pair, Shared>,
    old: HashMap<Pair, Shared>,
}

impl StaticKeyCache {
    /// Stores the secret shared with a peer that has just been authenticated.
    pub fn remember(&self, static_secret: &StaticKeySecret) {
        let pair = (static_secret.own.0, static_secret.peer.0);
        let mut generations = self.generations();
        if generations.young.contains_key(&pair) {
            return;
        }
        generations.old.remove(&pair);
        if generations.young.len() >= MAX_PER_GENERATION {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(pair, static_secret.secret.clone());
    }

    pub(super) fn find(&self, own: &AgreementPublic, peer: &[u8; 32]) -> Option<Shared> {
        let pair = (own.0, *peer);
        let generations = self.generations();
        generations
            .young
            .get(&pair)
            .or_else(|| generations.old.get(&pair))
            .cloned()
    }

    /// The number of cached secrets.
    #[must_use]
    pub fn len(&self) -> usize {
        let generations = self.generations();
        generations.young.len() + generations.old.len()
    }

    /// Whether the cache is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn generations(&self) -> MutexGuard<'_, Generations> {
        // No code under the lock can panic between two changes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for StaticKeySecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StaticKeySecret(..)")
    }
}

impl std::fmt::Debug for StaticKeyCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StaticKeyCache({} pairs)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn static_secret(peer: [u8; 32]) -> StaticKeySecret {
        StaticKeySecret {
            own: AgreementPublic([1; 32]),
            peer: AgreementPublic(peer),
            secret: Arc::new(Secret::from_bytes(peer)),
        }
    }

    #[test]
    fn a_cached_secret_is_found_and_the_cache_is_bounded() {
        let cache = StaticKeyCache::default();
        let peer = static_secret([2; 32]);
        let find = || cache.find(&peer.own, &peer.peer.0);
        assert_eq!(find(), None);
        cache.remember(&peer);
        assert_eq!(find(), Some(peer.secret.clone()));
        for n in 0..2 * MAX_PER_GENERATION as u64 {
            let mut other = [9; 32];
            other[..8].copy_from_slice(&n.to_be_bytes());
            cache.remember(&static_secret(other));
            cache.remember(&peer);
        }
        assert!(cache.len() <= 2 * MAX_PER_GENERATION);
        assert!(find().is_some(), "a secret in use is not evicted");
    }
}
