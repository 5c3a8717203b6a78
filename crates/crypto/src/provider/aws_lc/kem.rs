//! ML-KEM-768 (FIPS 203), with the library's own random generator.

use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768};
use zeroize::{Zeroize, Zeroizing};

use crate::provider::derandomized_kem::key_pair;
use crate::provider::{KEM_CIPHERTEXT, KEM_PUBLIC};

/// A private key.
pub(crate) struct KemPrivate(DecapsulationKey);

impl KemPrivate {
    /// Generates a key pair.
    pub(crate) fn generate() -> (Self, [u8; KEM_PUBLIC]) {
        let made = DecapsulationKey::generate(&ML_KEM_768)
            .ok()
            .and_then(|private| {
                let public = private.encapsulation_key().ok()?.key_bytes().ok()?;
                Some((public.as_ref().try_into().ok()?, private))
            });
        let Some((public, private)) = made else {
            // Only missing entropy or memory leads here; then no key may be generated.
            std::process::abort();
        };
        (Self(private), public)
    }

    /// Derives a key pair from a seed (`d` and `z` of algorithm 16).
    #[allow(deprecated, reason = "AWS-LC takes no other form of the key")]
    pub(crate) fn from_seed(seed: &[u8; 64]) -> (Self, [u8; KEM_PUBLIC]) {
        use ml_kem::ExpandedKeyEncoding;

        let (derived, public) = key_pair(seed);
        let mut expanded = derived.to_expanded_bytes();
        let key = DecapsulationKey::new(&ML_KEM_768, &expanded);
        expanded.zeroize();
        let Ok(key) = key else {
            // Every seed gives a key; only exhausted memory leads here.
            std::process::abort();
        };
        (Self(key), public)
    }

    /// Decapsulates a secret; `None` for a wrong length.
    pub(crate) fn decapsulate(&self, ciphertext: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
        let shared = self.0.decapsulate(Ciphertext::from(ciphertext)).ok()?;
        secret(shared.as_ref())
    }
}

/// Whether `public` is a public key (section 7.2).
pub(crate) fn check_kem_public(public: &[u8]) -> bool {
    // AWS-LC checks a key when it is used.
    encapsulate(public).is_some()
}

/// Generates a secret and encapsulates it; `None` if `public` is no public key.
pub(crate) fn encapsulate(public: &[u8]) -> Option<([u8; KEM_CIPHERTEXT], Zeroizing<[u8; 32]>)> {
    let public = EncapsulationKey::new(&ML_KEM_768, public).ok()?;
    let (ciphertext, shared) = public.encapsulate().ok()?;
    Some((
        ciphertext.as_ref().try_into().ok()?,
        secret(shared.as_ref())?,
    ))
}

fn secret(bytes: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    bytes.try_into().ok().map(Zeroizing::new)
}
