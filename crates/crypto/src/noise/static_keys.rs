//! Static-static secrets of peers that proved themselves before, as WireGuard keeps them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::agreement::AgreementPublic;
use crate::secret::Secret;

/// How many pairs one generation holds: bounds memory at about 3 MiB in all.
const GENERATION: usize = 8_192;

/// Our public key and the peer's.
type Pair = ([u8; 32], [u8; 32]);

/// Kept behind a pointer, so that a map that grows leaves no copies behind.
pub(super) type Shared = Arc<Secret<32>>;

/// Two static keys that met in a handshake, and the secret that they share: what [`StaticKeyCache`] may be
/// told to remember once the peer is known.
pub struct StaticKeySecret {
    pub(super) own: AgreementPublic,
    pub(super) peer: AgreementPublic,
    pub(super) secret: Shared,
}

/// A bounded cache of static-static secrets. A secret is put in once its peer is known, so strangers
/// cannot crowd out friends; what is not used for a generation is forgotten.
#[derive(Default)]
pub struct StaticKeyCache(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<Pair, Shared>,
    old: HashMap<Pair, Shared>,
}

impl StaticKeyCache {
    /// Keeps the secret shared with a peer who has just proved to be a known one.
    pub fn remember(&self, met: &StaticKeySecret) {
        let pair = (met.own.0, met.peer.0);
        let mut generations = self.generations();
        if generations.young.contains_key(&pair) {
            return;
        }
        generations.old.remove(&pair);
        if generations.young.len() >= GENERATION {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(pair, met.secret.clone());
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

    /// How many secrets are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        let generations = self.generations();
        generations.young.len() + generations.old.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn generations(&self) -> MutexGuard<'_, Generations> {
        // A cache that a panicking thread left behind is as good as before: entries go in whole.
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
    fn a_kept_secret_is_found_and_the_cache_is_bounded() {
        let known = StaticKeyCache::default();
        let friend = static_secret([2; 32]);
        let find = || known.find(&friend.own, &friend.peer.0);
        assert_eq!(find(), None);
        known.remember(&friend);
        assert_eq!(find(), Some(friend.secret.clone()));
        for n in 0..2 * GENERATION as u64 {
            let mut other = [9; 32];
            other[..8].copy_from_slice(&n.to_be_bytes());
            known.remember(&static_secret(other));
            known.remember(&friend);
        }
        assert!(known.len() <= 2 * GENERATION);
        assert!(find().is_some(), "what is used stays");
    }
}
