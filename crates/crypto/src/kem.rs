//! ML-KEM-768 (FIPS 203): the post-quantum half of hybrid key exchanges.
//!
//! Key pairs and encapsulations are drawn from AWS-LC's own generator, which takes no entropy from
//! outside: the one exception to "entropy is passed in". A simulation stays correct, though its bytes
//! are not the same each time. Where they have to be, as in a recorded dialog, the source of entropy says so
//! ([`Entropy::fill_kem`]), and the `ml-kem` crate does the arithmetic.

use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768};

use crate::entropy::{Entropy, SystemEntropy};
use crate::secret::Secret;

/// The length of a public key in bytes.
pub const PUBLIC_KEY_LENGTH: usize = 1_184;
/// The length of a ciphertext in bytes.
pub const CIPHERTEXT_LENGTH: usize = 1_088;

/// The private half of an ephemeral key pair, used once.
pub struct KemSecret(DecapsulationKey);

/// The private half of a key pair that is kept, and used any number of times.
pub struct KemKey(DecapsulationKey);

/// The bytes are no public key or no ciphertext of ML-KEM-768.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no ML-KEM-768 key or ciphertext")]
pub struct NoKem;

impl KemSecret {
    /// A new key pair: the private half, and the public one as bytes.
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
            // Only a machine without entropy or memory leads here; no key may come of that.
            std::process::abort();
        };
        (Self(private), public)
    }

    /// The secret that was encapsulated to this key. A ciphertext that was tampered with gives a secret
    /// that nobody else has (implicit rejection).
    ///
    /// # Errors
    /// [`NoKem`] when the ciphertext has the wrong length.
    pub fn decapsulate(self, ciphertext: &[u8]) -> Result<Secret<32>, NoKem> {
        let shared = self
            .0
            .decapsulate(Ciphertext::from(ciphertext))
            .map_err(|_| NoKem)?;
        Secret::try_from_slice(shared.as_ref()).ok_or(NoKem)
    }
}

impl KemKey {
    /// The key pair of this seed (d and z of FIPS 203, algorithm 16), always the same, with the public half as
    /// bytes.
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

    /// The secret that was encapsulated to this key. A ciphertext that was tampered with gives a secret
    /// that nobody else has (implicit rejection).
    ///
    /// # Errors
    /// [`NoKem`] when the ciphertext has the wrong length.
    pub fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret<32>, NoKem> {
        let shared = self
            .0
            .decapsulate(Ciphertext::from(ciphertext))
            .map_err(|_| NoKem)?;
        Secret::try_from_slice(shared.as_ref()).ok_or(NoKem)
    }
}

/// Checks that something can be encapsulated to these bytes.
///
/// # Errors
/// [`NoKem`] when `public` is no ML-KEM-768 key (FIPS 203, section 7.2).
pub fn check_public(public: &[u8]) -> Result<(), NoKem> {
    encapsulate(public, &mut SystemEntropy).map(|_| ())
}

/// A fresh secret for the owner of `public`, and the ciphertext that tells it to them alone.
///
/// # Errors
/// [`NoKem`] when `public` is no ML-KEM-768 key (FIPS 203, section 7.2).
pub fn encapsulate(
    public: &[u8],
    entropy: &mut dyn Entropy,
) -> Result<([u8; CIPHERTEXT_LENGTH], Secret<32>), NoKem> {
    let mut drawn = [0; 32];
    if entropy.fill_kem(&mut drawn) {
        return encapsulate_drawn(public, &Secret::from_bytes(drawn));
    }
    let public = EncapsulationKey::new(&ML_KEM_768, public).map_err(|_| NoKem)?;
    let (ciphertext, shared) = public.encapsulate().map_err(|_| NoKem)?;
    let ciphertext = ciphertext.as_ref().try_into().map_err(|_| NoKem)?;
    Ok((
        ciphertext,
        Secret::try_from_slice(shared.as_ref()).ok_or(NoKem)?,
    ))
}

/// The same with randomness that was drawn already (`m` of FIPS 203, algorithm 17).
fn encapsulate_drawn(
    public: &[u8],
    drawn: &Secret<32>,
) -> Result<([u8; CIPHERTEXT_LENGTH], Secret<32>), NoKem> {
    let public = public.try_into().map_err(|_| NoKem)?;
    let public = ml_kem::EncapsulationKey768::new(public).map_err(|_| NoKem)?;
    let (made, shared) = public.encapsulate_deterministic(&(*drawn.expose()).into());
    let mut ciphertext = [0; CIPHERTEXT_LENGTH];
    ciphertext.copy_from_slice(&made);
    Ok((ciphertext, Secret::try_from_slice(&shared).ok_or(NoKem)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives the same for every operation of ML-KEM.
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
    fn what_is_encapsulated_is_decapsulated() {
        let (private, public) = KemSecret::generate(&mut SystemEntropy);
        let (ciphertext, sent) = encapsulate(&public, &mut SystemEntropy).unwrap();
        assert_eq!(private.decapsulate(&ciphertext), Ok(sent));
    }

    #[test]
    fn a_changed_ciphertext_gives_another_secret_and_a_short_one_none() {
        let (private, public) = KemSecret::generate(&mut SystemEntropy);
        let (mut ciphertext, sent) = encapsulate(&public, &mut SystemEntropy).unwrap();
        ciphertext[7] ^= 1;
        assert_ne!(private.decapsulate(&ciphertext), Ok(sent));
        let (private, _) = KemSecret::generate(&mut SystemEntropy);
        assert_eq!(private.decapsulate(&ciphertext[1..]), Err(NoKem));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert_eq!(
            encapsulate(&[0; PUBLIC_KEY_LENGTH - 1], &mut SystemEntropy).map(|_| ()),
            Err(NoKem)
        );
        assert_eq!(
            encapsulate(&[0xff; PUBLIC_KEY_LENGTH], &mut SystemEntropy).map(|_| ()),
            Err(NoKem)
        );
    }
}
