//! ML-KEM-768 (FIPS 203) from given randomness, by the `ml-kem` crate.

use ml_kem::KeyExport;
use zeroize::Zeroizing;

use super::{KEM_CIPHERTEXT, KEM_PUBLIC};

/// The key pair of a seed (`d` and `z` of algorithm 16): the private key, and the bytes of the
/// public key.
pub(super) fn key_pair(seed: &[u8; 64]) -> (ml_kem::DecapsulationKey768, [u8; KEM_PUBLIC]) {
    let private = ml_kem::DecapsulationKey768::from_seed((*seed).into());
    let mut public = [0; KEM_PUBLIC];
    public.copy_from_slice(&private.encapsulation_key().to_bytes());
    (private, public)
}

/// Encapsulates with the given randomness (`m` of algorithm 17); `None` if `public` is no public
/// key.
pub(crate) fn encapsulate_derandomized(
    public: &[u8],
    randomness: &[u8; 32],
) -> Option<([u8; KEM_CIPHERTEXT], Zeroizing<[u8; 32]>)> {
    let public = ml_kem::EncapsulationKey768::new(public.try_into().ok()?).ok()?;
    let (made, shared) = public.encapsulate_deterministic(&(*randomness).into());
    let mut ciphertext = [0; KEM_CIPHERTEXT];
    ciphertext.copy_from_slice(&made);
    let mut secret = Zeroizing::new([0; 32]);
    secret.copy_from_slice(&shared);
    Some((ciphertext, secret))
}
