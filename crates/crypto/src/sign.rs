//! Signatures: Ed25519 (RFC 8032).

use std::fmt;

use crate::provider::{Ed25519Key, verify_ed25519};
use crate::secret::Secret;

/// A private signing key. Its memory is wiped when it is freed.
pub struct SigningKey {
    pair: Ed25519Key,
    verifying: VerifyingKey,
}

impl SigningKey {
    /// Creates the key from a 32-byte private key (RFC 8032, section 5.1.5).
    #[must_use]
    pub fn from_secret(secret: &Secret<32>) -> Self {
        let (pair, public) = Ed25519Key::new(secret.expose());
        Self {
            pair,
            verifying: VerifyingKey(public),
        }
    }

    /// Signs `message`. Signatures are deterministic.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.pair.sign(message))
    }

    /// The public key, which verifies the signatures.
    #[must_use]
    pub fn verifying(&self) -> VerifyingKey {
        self.verifying
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// The public key of a [`SigningKey`]: 32 bytes as encoded by RFC 8032. Bytes that do not encode a
/// point are accepted here, but verify no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VerifyingKey(pub [u8; 32]);

impl VerifyingKey {
    /// Verifies the signature of `message`.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        match verify_ed25519(&self.0, message, &signature.0) {
            true => Ok(()),
            false => Err(BadSignature),
        }
    }
}

/// A signature: 64 bytes as encoded by RFC 8032.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

/// The signature does not match the message and key. The message must not be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not match this message and key")]
pub struct BadSignature;

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    /// RFC 8032, section 7.1, TEST 2.
    #[test]
    fn a_published_signature_is_reproduced() {
        let secret = HEXLOWER
            .decode(b"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
            .unwrap();
        let key = SigningKey::from_secret(&Secret::try_from_slice(&secret).unwrap());
        assert_eq!(
            HEXLOWER.encode(&key.verifying().0),
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
        );
        assert_eq!(
            HEXLOWER.encode(&key.sign(&[0x72]).0),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        );
    }

    #[test]
    fn another_message_key_or_signature_is_rejected() {
        let key = SigningKey::from_secret(&Secret::from_bytes([1; 32]));
        let other = SigningKey::from_secret(&Secret::from_bytes([2; 32]));
        let signature = key.sign(b"message");
        let mut bent = signature;
        bent.0[63] ^= 1;

        assert_eq!(key.verifying().verify(b"message", &signature), Ok(()));
        for refused in [
            key.verifying().verify(b"massage", &signature),
            key.verifying().verify(b"message", &bent),
            other.verifying().verify(b"message", &signature),
            VerifyingKey([0xff; 32]).verify(b"message", &signature),
        ] {
            assert_eq!(refused, Err(BadSignature));
        }
    }

    #[test]
    fn a_signing_key_does_not_print_itself() {
        let key = SigningKey::from_secret(&Secret::from_bytes([1; 32]));
        assert_eq!(format!("{key:?}"), "SigningKey(..)");
    }
}
