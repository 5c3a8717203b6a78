//! Static-static secrets of peers that proved themselves before, as WireGuard keeps them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::agreement::{AgreementKey, AgreementPublic};
use crate::secret::Secret;

/// How many pairs one generation holds: bounds memory at about 3 MiB in all.
const GENERATION: usize = 8_192;

/// Our public key and the peer's.
type Pair = ([u8; 32], [u8; 32]);

/// Kept behind a pointer, so that a map that grows leaves no copies behind.
type Shared = Arc<Secret<32>>;

/// A bounded cache of static-static secrets. A secret is put in once its peer is known, so strangers
/// cannot crowd out friends; what is not used for a generation is forgotten.
#[derive(Default)]
pub struct KnownKeys(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<Pair, Shared>,
    old: HashMap<Pair, Shared>,
}

impl KnownKeys {
    /// Keeps the secret that `own` shares with `peer`, who has just proved to be a known one.
    pub fn remember(&self, own: &AgreementKey, peer: &AgreementPublic) {
        let pair = (own.public().0, peer.0);
        if self.generations().young.contains_key(&pair) {
            return;
        }
        let kept = self.generations().old.remove(&pair);
        let Some(secret) = kept.or_else(|| own.agree(peer).ok().map(Arc::new)) else {
            return;
        };
        let mut generations = self.generations();
        if generations.young.len() >= GENERATION {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(pair, secret);
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

impl std::fmt::Debug for KnownKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KnownKeys({} pairs)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_secret_is_the_agreed_one_and_the_cache_is_bounded() {
        let own = AgreementKey::from_secret(Secret::from_bytes([1; 32]));
        let peer = AgreementKey::from_secret(Secret::from_bytes([2; 32]));
        let known = KnownKeys::default();
        assert_eq!(known.find(own.public(), &peer.public().0), None);
        known.remember(&own, peer.public());
        assert_eq!(
            known.find(own.public(), &peer.public().0),
            own.agree(peer.public()).ok().map(Arc::new)
        );
        for n in 0..2 * GENERATION as u64 {
            let mut other = [9; 32];
            other[..8].copy_from_slice(&n.to_be_bytes());
            known
                .0
                .lock()
                .unwrap()
                .young
                .insert((other, other), Arc::new(Secret::from_bytes([0; 32])));
            known.remember(&own, peer.public());
        }
        assert!(known.len() <= 2 * GENERATION + 1);
        assert!(
            known.find(own.public(), &peer.public().0).is_some(),
            "what is used stays"
        );
    }
}
