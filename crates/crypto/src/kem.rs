//! ML-KEM-768 (FIPS 203): the post-quantum secret of a machine's handshake.
//!
//! One side sends a public key, the other answers with a ciphertext, and both then share 32 uniform
//! bytes. On its own it authenticates nobody: the handshake carries the public key encrypted and
//! mixes the secret into its keys ([`crate::machine`]).
//!
//! AWS-LC draws the randomness of key generation and encapsulation from its own generator and offers
//! no other way. These two calls are the crate's only ones whose entropy is not passed in.

use std::fmt;

use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768};

use crate::secret::Secret;

/// Bytes of a public key.
pub const PUBLIC_LENGTH: usize = 1184;
/// Bytes of a ciphertext.
pub const CIPHERTEXT_LENGTH: usize = 1088;

/// The private half of a key pair that serves one handshake.
pub struct KemSecret(DecapsulationKey);

impl KemSecret {
    /// A new key pair: the private half and the bytes of the public half.
    #[must_use]
    pub fn generate() -> (Self, [u8; PUBLIC_LENGTH]) {
        let pair = DecapsulationKey::generate(&ML_KEM_768)
            .ok()
            .and_then(|secret| {
                let public = secret.encapsulation_key().ok()?.key_bytes().ok()?;
                Some((Self(secret), public.as_ref().try_into().ok()?))
            });
        let Some(pair) = pair else {
            // No input could be wrong; only exhausted memory or a broken generator leads here.
            std::process::abort();
        };
        pair
    }

    /// The secret in `ciphertext`.
    ///
    /// A ciphertext of the right length that was made for another key, or altered on its way, gives
    /// a secret that nobody else has rather than an error (FIPS 203, implicit rejection): the
    /// handshake then fails where its keys are first used.
    ///
    /// # Errors
    /// [`KemError::Ciphertext`] when the length is not [`CIPHERTEXT_LENGTH`]: the peer is wrong.
    pub fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret<32>, KemError> {
        if ciphertext.len() != CIPHERTEXT_LENGTH {
            return Err(KemError::Ciphertext);
        }
        self.0
            .decapsulate(Ciphertext::from(ciphertext))
            .ok()
            .and_then(|shared| Secret::try_from_slice(shared.as_ref()))
            .ok_or(KemError::Ciphertext)
    }
}

impl fmt::Debug for KemSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KemSecret(..)")
    }
}

/// A new secret for the owner of `public`, and the ciphertext that tells only him.
///
/// # Errors
/// [`KemError::Public`] when `public` is no encoded key (FIPS 203, section 7.2): the peer is wrong.
pub fn encapsulate(public: &[u8]) -> Result<([u8; CIPHERTEXT_LENGTH], Secret<32>), KemError> {
    let (ciphertext, shared) = EncapsulationKey::new(&ML_KEM_768, public)
        .ok()
        .and_then(|key| key.encapsulate().ok())
        .ok_or(KemError::Public)?;
    let ciphertext = ciphertext.as_ref().try_into().ok();
    ciphertext
        .zip(Secret::try_from_slice(shared.as_ref()))
        .ok_or(KemError::Public)
}

/// What the peer sent is no ML-KEM-768 value; end the dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KemError {
    /// Not a public key: wrong length, or a coefficient out of range.
    #[error("the peer's ML-KEM-768 public key is malformed (it has {PUBLIC_LENGTH} bytes)")]
    Public,
    /// Not a ciphertext: wrong length.
    #[error("the peer's ML-KEM-768 ciphertext is malformed (it has {CIPHERTEXT_LENGTH} bytes)")]
    Ciphertext,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_share_one_secret() {
        let (secret, public) = KemSecret::generate();
        let (ciphertext, ours) = encapsulate(&public).unwrap();
        assert_eq!(secret.decapsulate(&ciphertext), Ok(ours));
    }

    #[test]
    fn an_altered_ciphertext_gives_a_secret_that_nobody_else_has() {
        let (secret, public) = KemSecret::generate();
        let (mut ciphertext, ours) = encapsulate(&public).unwrap();
        ciphertext[500] ^= 1;
        assert_ne!(secret.decapsulate(&ciphertext).unwrap(), ours);
    }

    #[test]
    fn what_has_the_wrong_length_is_refused() {
        let (secret, public) = KemSecret::generate();
        let (ciphertext, _) = encapsulate(&public).unwrap();
        let short = encapsulate(&public[1..]).unwrap_err();
        assert_eq!(short, KemError::Public);
        for wrong in [&ciphertext[1..], &[ciphertext.as_slice(), &[0]].concat()] {
            assert_eq!(secret.decapsulate(wrong), Err(KemError::Ciphertext));
        }
    }

    /// FIPS 203, section 7.2, the modulus check: 12-bit coefficients are below 3329.
    #[test]
    fn a_public_key_with_a_coefficient_out_of_range_is_refused() {
        let (_, mut public) = KemSecret::generate();
        (public[0], public[1]) = (0xff, public[1] | 0x0f);
        assert_eq!(encapsulate(&public).unwrap_err(), KemError::Public);
    }

    #[test]
    fn a_kem_secret_does_not_print_itself() {
        assert_eq!(format!("{:?}", KemSecret::generate().0), "KemSecret(..)");
    }
}
