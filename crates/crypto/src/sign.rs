//! Signatures: Ed25519 (RFC 8032).

use std::fmt;

use crate::provider::{Ed25519Key, PreparedEd25519, verify_ed25519};
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

/// What verifies signatures: a key, or a prepared key.
pub trait Verifier {
    /// Verifies the signature of `message`.
    ///
    /// # Errors
    /// [`BadSignature`].
    fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature>;
}

impl Verifier for VerifyingKey {
    fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        self.verify(message, signature)
    }
}

/// A [`VerifyingKey`] with multiples of its point, for a key that verifies many signatures. It decides as the key
/// does, in some two thirds of the time. To prepare it takes as long as some 250 verifications, and 480 KiB.
pub struct PreparedVerifyingKey(PreparedEd25519);

impl PreparedVerifyingKey {
    /// Prepares a key; `None` if its bytes do not encode a point, so that it verifies no signature.
    #[must_use]
    pub fn prepare(key: &VerifyingKey) -> Option<Self> {
        PreparedEd25519::prepare(&key.0).map(Self)
    }
}

impl Verifier for PreparedVerifyingKey {
    fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        match self.0.verify(message, &signature.0) {
            true => Ok(()),
            false => Err(BadSignature),
        }
    }
}

impl fmt::Debug for PreparedVerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PreparedVerifyingKey(..)")
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

    /// Both decide in the same way, also about what an honest signer never makes.
    #[test]
    fn a_prepared_key_decides_as_the_key_does() {
        let decide = |key: &VerifyingKey, message: &[u8], signature: &Signature| {
            let plain = key.verify(message, signature);
            let prepared = PreparedVerifyingKey::prepare(key);
            let prepared = prepared.map_or(Err(BadSignature), |prepared| {
                prepared.verify(message, signature)
            });
            assert_eq!(plain, prepared, "{key:?} {signature:?}");
            plain
        };
        for seed in 0..4 {
            let key = SigningKey::from_secret(&Secret::from_bytes([seed; 32]));
            let message = vec![seed; usize::from(seed) * 9];
            let signature = key.sign(&message);
            assert_eq!(decide(&key.verifying(), &message, &signature), Ok(()));
            for at in 0..64 {
                let mut bent = signature;
                bent.0[at] ^= 1 << (seed % 8);
                assert_eq!(decide(&key.verifying(), &message, &bent), Err(BadSignature));
            }
            let refused = decide(&key.verifying(), b"another", &signature);
            assert_eq!(refused, Err(BadSignature));
            let mut other = key.verifying();
            other.0[usize::from(seed)] ^= 4;
            assert_eq!(decide(&other, &message, &signature), Err(BadSignature));
        }
        // The order of the group, added to `s`: a second signature of the same message.
        let key = SigningKey::from_secret(&Secret::from_bytes([1; 32]));
        let mut bent = key.sign(b"message");
        let order =
            HEXLOWER.decode(b"edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
        let mut carry = 0;
        for (digit, of_order) in bent.0[32..].iter_mut().zip(order.unwrap()) {
            let sum = u16::from(*digit) + u16::from(of_order) + carry;
            (*digit, carry) = (sum.to_be_bytes()[1], sum >> 8);
        }
        assert_eq!(
            decide(&key.verifying(), b"message", &bent),
            Err(BadSignature)
        );
        // Points of small order, in their one encoding and in others, as keys and in signatures.
        let small = [
            "0100000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000080",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000080",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        ];
        let points = small.map(|point| HEXLOWER.decode(point.as_bytes()).unwrap());
        let mut accepted = 0;
        for (key, r) in points
            .iter()
            .flat_map(|key| points.iter().map(move |r| (key, r)))
        {
            let key = VerifyingKey(key.as_slice().try_into().unwrap());
            for message in 0..4_u8 {
                let mut signature = Signature([0; 64]);
                signature.0[..32].copy_from_slice(r);
                accepted += u32::from(decide(&key, &[message], &signature).is_ok());
            }
        }
        assert!(accepted > 0, "the points are of small order");
    }

    #[test]
    fn a_signing_key_does_not_print_itself() {
        let key = SigningKey::from_secret(&Secret::from_bytes([1; 32]));
        assert_eq!(format!("{key:?}"), "SigningKey(..)");
    }
}
