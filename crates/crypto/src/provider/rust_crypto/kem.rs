//! ML-KEM-768 (FIPS 203).

use ml_kem::{Decapsulate, DecapsulationKey768, EncapsulationKey768};
use zeroize::Zeroizing;

use super::fill;
use crate::provider::derandomized_kem::{encapsulate_derandomized, key_pair};
use crate::provider::{KEM_CIPHERTEXT, KEM_PUBLIC};

/// A private key.
pub(crate) struct KemPrivate(DecapsulationKey768);

impl KemPrivate {
    /// Generates a key pair.
    pub(crate) fn generate() -> (Self, [u8; KEM_PUBLIC]) {
        Self::from_seed(&random())
    }

    /// Derives a key pair from a seed (`d` and `z` of algorithm 16).
    pub(crate) fn from_seed(seed: &[u8; 64]) -> (Self, [u8; KEM_PUBLIC]) {
        let (private, public) = key_pair(seed);
        (Self(private), public)
    }

    /// Decapsulates a secret; `None` for a wrong length.
    pub(crate) fn decapsulate(&self, ciphertext: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
        let shared = self.0.decapsulate(ciphertext.try_into().ok()?);
        let mut secret = Zeroizing::new([0; 32]);
        secret.copy_from_slice(&shared);
        Some(secret)
    }
}

/// Whether `public` is a public key (section 7.2).
pub(crate) fn check_kem_public(public: &[u8]) -> bool {
    let public = public.try_into();
    public.is_ok_and(|public| EncapsulationKey768::new(public).is_ok())
}

/// Generates a secret and encapsulates it; `None` if `public` is no public key.
pub(crate) fn encapsulate(public: &[u8]) -> Option<([u8; KEM_CIPHERTEXT], Zeroizing<[u8; 32]>)> {
    encapsulate_derandomized(public, &random())
}

fn random<const N: usize>() -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    if !fill(bytes.as_mut_slice()) {
        // No key may be generated from predictable bytes.
        std::process::abort();
    }
    bytes
}
