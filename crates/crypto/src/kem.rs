//! ML-KEM-768 (FIPS 203): the post-quantum half of hybrid key exchanges.
//!
//! Key pairs and encapsulations use the provider's own random generator, since AWS-LC's accepts no
//! external entropy. So a simulation is correct, but its bytes differ each time. For recorded dialogs, which
//! have to be deterministic, the source of entropy provides the randomness ([`Entropy::fill_kem`])
//! and the `ml-kem` crate does the arithmetic.

use zeroize::Zeroizing;

use crate::entropy::Entropy;
use crate::provider::{self, KemPrivate};
use crate::secret::Secret;

/// The length of a public key in bytes.
pub const PUBLIC_KEY_LENGTH: usize = provider::KEM_PUBLIC;
/// The length of a ciphertext in bytes.
pub const CIPHERTEXT_LENGTH: usize = provider::KEM_CIPHERTEXT;

/// The private key of an ephemeral key pair, which is used once.
pub struct KemSecret(KemPrivate);

/// The private key of a long-term key pair.
pub struct KemKey(KemPrivate);

/// The bytes are not a public key or ciphertext of ML-KEM-768.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an ML-KEM-768 public key or ciphertext")]
pub struct KemError;

impl KemSecret {
    /// Generates a key pair. Returns the private key and the bytes of the public key.
    #[must_use]
    pub fn generate(entropy: &mut dyn Entropy) -> (Self, [u8; PUBLIC_KEY_LENGTH]) {
        let mut seed = [0; 64];
        if entropy.fill_kem(&mut seed) {
            let (key, public) = KemKey::from_seed(&Secret::from_bytes(seed));
            return (Self(key.0), public);
        }
        let (private, public) = KemPrivate::generate();
        (Self(private), public)
    }

    /// Decapsulates a secret. A changed ciphertext gives another secret, not an error (implicit
    /// rejection).
    ///
    /// # Errors
    /// [`KemError`] if the ciphertext has a wrong length.
    pub fn decapsulate(self, ciphertext: &[u8]) -> Result<Secret<32>, KemError> {
        let shared = self.0.decapsulate(ciphertext).ok_or(KemError)?;
        Ok(Secret::from_bytes(*shared))
    }
}

impl KemKey {
    /// Derives a key pair from a seed (d and z of FIPS 203, algorithm 16). Returns the private key
    /// and the bytes of the public key.
    #[must_use]
    pub fn from_seed(seed: &Secret<64>) -> (Self, [u8; PUBLIC_KEY_LENGTH]) {
        let (key, public) = KemPrivate::from_seed(seed.expose());
        (Self(key), public)
    }

    /// Decapsulates a secret. A changed ciphertext gives another secret, not an error (implicit
    /// rejection).
    ///
    /// # Errors
    /// [`KemError`] if the ciphertext has a wrong length.
    pub fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret<32>, KemError> {
        let shared = self.0.decapsulate(ciphertext).ok_or(KemError)?;
        Ok(Secret::from_bytes(*shared))
    }
}

/// Checks a public key.
///
/// # Errors
/// [`KemError`] if `public` is not an ML-KEM-768 public key (FIPS 203, section 7.2).
pub fn check_public(public: &[u8]) -> Result<(), KemError> {
    match provider::check_kem_public(public) {
        true => Ok(()),
        false => Err(KemError),
    }
}

/// Generates a secret and encapsulates it to `public`. Returns the ciphertext and the secret.
///
/// # Errors
/// [`KemError`] if `public` is not an ML-KEM-768 public key (FIPS 203, section 7.2).
pub fn encapsulate(
    public: &[u8],
    entropy: &mut dyn Entropy,
) -> Result<([u8; CIPHERTEXT_LENGTH], Secret<32>), KemError> {
    let mut randomness = Zeroizing::new([0; 32]);
    let encapsulated = match entropy.fill_kem(randomness.as_mut_slice()) {
        true => provider::encapsulate_derandomized(public, &randomness),
        false => provider::encapsulate(public),
    };
    let (ciphertext, shared) = encapsulated.ok_or(KemError)?;
    Ok((ciphertext, Secret::from_bytes(*shared)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    /// Returns constant randomness for every ML-KEM operation.
    struct Recorded;

    impl Entropy for Recorded {
        fn fill(&mut self, out: &mut [u8]) {
            out.fill(1);
        }

        fn fill_kem(&mut self, out: &mut [u8]) -> bool {
            out.fill(2);
            true
        }
    }

    #[test]
    fn recorded_entropy_gives_the_same_secret_each_time_and_aws_lc_takes_it() {
        let (private, public) = KemSecret::generate(&mut Recorded);
        assert_eq!(public, KemSecret::generate(&mut Recorded).1);
        let (ciphertext, sent) = encapsulate(&public, &mut Recorded).unwrap();
        assert_eq!(encapsulate(&public, &mut Recorded).unwrap().0, ciphertext);
        assert_eq!(private.decapsulate(&ciphertext), Ok(sent));
        assert!(encapsulate(&[0xff; PUBLIC_KEY_LENGTH], &mut Recorded).is_err());
        assert!(encapsulate(&public[1..], &mut Recorded).is_err());
    }

    #[test]
    fn an_encapsulated_secret_is_decapsulated() {
        let (private, public) = KemSecret::generate(&mut SystemEntropy);
        let (ciphertext, sent) = encapsulate(&public, &mut SystemEntropy).unwrap();
        assert_eq!(private.decapsulate(&ciphertext), Ok(sent));
    }

    #[test]
    fn a_changed_ciphertext_gives_another_secret_and_a_short_one_an_error() {
        let (private, public) = KemSecret::generate(&mut SystemEntropy);
        let (mut ciphertext, sent) = encapsulate(&public, &mut SystemEntropy).unwrap();
        ciphertext[7] ^= 1;
        assert_ne!(private.decapsulate(&ciphertext), Ok(sent));
        let (private, _) = KemSecret::generate(&mut SystemEntropy);
        assert_eq!(private.decapsulate(&ciphertext[1..]), Err(KemError));
    }

    #[test]
    fn an_invalid_public_key_is_rejected() {
        assert_eq!(
            encapsulate(&[0; PUBLIC_KEY_LENGTH - 1], &mut SystemEntropy).map(|_| ()),
            Err(KemError)
        );
        assert_eq!(
            encapsulate(&[0xff; PUBLIC_KEY_LENGTH], &mut SystemEntropy).map(|_| ()),
            Err(KemError)
        );
    }
}
