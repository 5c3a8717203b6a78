//! ML-KEM-768 (FIPS 203): the post-quantum half of hybrid key exchanges.
//!
//! Key pairs and encapsulations use AWS-LC's own random generator, which accepts no external
//! entropy. So a simulation is correct, but its bytes differ each time. For recorded dialogs, which
//! have to be deterministic, the source of entropy provides the randomness ([`Entropy::fill_kem`])
//! and the `ml-kem` crate does the arithmetic.

use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768};

use crate::entropy::{Entropy, SystemEntropy};
use crate::secret::Secret;

/// The length of a public key in bytes.
pub const PUBLIC_KEY_LENGTH: usize = 1_184;
/// The length of a ciphertext in bytes.
pub const CIPHERTEXT_LENGTH: usize = 1_088;

/// The private key of an ephemeral key pair, which is used once.
pub struct KemSecret(DecapsulationKey);

/// The private key of a long-term key pair.
pub struct KemKey(DecapsulationKey);

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

    /// Decapsulates a secret. A changed ciphertext gives another secret, not an error (implicit
    /// rejection).
    ///
    /// # Errors
    /// [`KemError`] if the ciphertext has a wrong length.
    pub fn decapsulate(self, ciphertext: &[u8]) -> Result<Secret<32>, KemError> {
        let shared = self
            .0
            .decapsulate(Ciphertext::from(ciphertext))
            .map_err(|_| KemError)?;
        Secret::try_from_slice(shared.as_ref()).ok_or(KemError)
    }
}

impl KemKey {
    /// Derives a key pair from a seed (d and z of FIPS 203, algorithm 16). Returns the private key
    /// and the bytes of the public key.
    #[must_use]
    #[allow(deprecated, reason = "AWS-LC takes no other form of the key")]
    pub fn from_seed(seed: &Secret<64>) -> (Self, [u8; PUBLIC_KEY_LENGTH]) {
        use ml_kem::{ExpandedKeyEncoding, KeyExport};
        use zeroize::Zeroize;

        let derived = ml_kem::DecapsulationKey768::from_seed((*seed.expose()).into());
        let mut public = [0; PUBLIC_KEY_LENGTH];
        public.copy_from_slice(&derived.encapsulation_key().to_bytes());
        let mut expanded = derived.to_expanded_bytes();
        let key = DecapsulationKey::new(&ML_KEM_768, &expanded);
        expanded.zeroize();
        let Ok(key) = key else {
            // Every seed gives a key; only exhausted memory leads here.
            std::process::abort();
        };
        (Self(key), public)
    }

    /// Decapsulates a secret. A changed ciphertext gives another secret, not an error (implicit
    /// rejection).
    ///
    /// # Errors
    /// [`KemError`] if the ciphertext has a wrong length.
    pub fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret<32>, KemError> {
        let shared = self
            .0
            .decapsulate(Ciphertext::from(ciphertext))
            .map_err(|_| KemError)?;
        Secret::try_from_slice(shared.as_ref()).ok_or(KemError)
    }
}

/// Checks a public key.
///
/// # Errors
/// [`KemError`] if `public` is not an ML-KEM-768 public key (FIPS 203, section 7.2).
pub fn check_public(public: &[u8]) -> Result<(), KemError> {
    encapsulate(public, &mut SystemEntropy).map(|_| ())
}

/// Generates a secret and encapsulates it to `public`. Returns the ciphertext and the secret.
///
/// # Errors
/// [`KemError`] if `public` is not an ML-KEM-768 public key (FIPS 203, section 7.2).
pub fn encapsulate(
    public: &[u8],
    entropy: &mut dyn Entropy,
) -> Result<([u8; CIPHERTEXT_LENGTH], Secret<32>), KemError> {
    let mut randomness = [0; 32];
    if entropy.fill_kem(&mut randomness) {
        return encapsulate_deterministic(public, &Secret::from_bytes(randomness));
    }
    let public = EncapsulationKey::new(&ML_KEM_768, public).map_err(|_| KemError)?;
    let (ciphertext, shared) = public.encapsulate().map_err(|_| KemError)?;
    let ciphertext = ciphertext.as_ref().try_into().map_err(|_| KemError)?;
    Ok((
        ciphertext,
        Secret::try_from_slice(shared.as_ref()).ok_or(KemError)?,
    ))
}

/// Encapsulates with the given randomness (`m` of FIPS 203, algorithm 17).
fn encapsulate_deterministic(
    public: &[u8],
    randomness: &Secret<32>,
) -> Result<([u8; CIPHERTEXT_LENGTH], Secret<32>), KemError> {
    let public = public.try_into().map_err(|_| KemError)?;
    let public = ml_kem::EncapsulationKey768::new(public).map_err(|_| KemError)?;
    let (made, shared) = public.encapsulate_deterministic(&(*randomness.expose()).into());
    let mut ciphertext = [0; CIPHERTEXT_LENGTH];
    ciphertext.copy_from_slice(&made);
    Ok((ciphertext, Secret::try_from_slice(&shared).ok_or(KemError)?))
}

#[cfg(test)]
mod tests {
    use super::*;

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
