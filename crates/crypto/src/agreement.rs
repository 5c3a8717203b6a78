//! Key agreement: X25519 (RFC 7748).

use std::fmt;
use std::sync::Arc;

use crate::provider::X25519Key;
use crate::secret::Secret;

/// A private key for key agreement. It is parsed once and caches its public key, because a
/// handshake needs both and computing them is expensive.
#[derive(Clone)]
pub struct AgreementKey(Arc<Parsed>);

struct Parsed {
    private: X25519Key,
    secret: Secret<32>,
    public: AgreementPublic,
}

impl AgreementKey {
    /// Creates the key from any 32 bytes; X25519 clamps them.
    #[must_use]
    pub fn from_secret(secret: Secret<32>) -> Self {
        let (private, public) = X25519Key::new(secret.expose());
        Self(Arc::new(Parsed {
            private,
            secret,
            public: AgreementPublic(public),
        }))
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> &AgreementPublic {
        &self.0.public
    }

    /// Computes the secret shared with the owner of `peer`. It is not uniformly random: derive keys
    /// from it with [`crate::kdf`].
    ///
    /// # Errors
    /// [`AgreementError`] if `peer` is a point of small order, for which the shared secret is all
    /// zero (RFC 7748, section 6.1).
    pub fn agree(&self, peer: &AgreementPublic) -> Result<Secret<32>, AgreementError> {
        let shared = self.0.private.agree(&peer.0).ok_or(AgreementError)?;
        Ok(Secret::from_bytes(*shared))
    }

    /// The secret bytes, for the handshake library, which has its own copy of a static key.
    pub(crate) fn secret(&self) -> &Secret<32> {
        &self.0.secret
    }
}

impl fmt::Debug for AgreementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgreementKey(..)")
    }
}

/// The public key of an [`AgreementKey`]: 32 bytes as encoded by RFC 7748.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AgreementPublic(pub [u8; 32]);

/// The peer's public key is a point of small order. An honest peer never sends one: end the dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer's agreement key is a point of small order, with which no secret can be shared")]
pub struct AgreementError;

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    fn bytes(hex: &str) -> [u8; 32] {
        HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
    }

    /// RFC 7748, section 6.1, Bob's side.
    #[test]
    fn a_published_shared_secret_is_reproduced() {
        let bob = AgreementKey::from_secret(Secret::from_bytes(bytes(
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        )));
        assert_eq!(
            bob.public().0,
            bytes("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
        );
        let alice = bytes("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
        assert_eq!(
            bob.agree(&AgreementPublic(alice)).unwrap().expose(),
            &bytes("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
        );
    }

    #[test]
    fn a_point_of_small_order_is_rejected() {
        let own = AgreementKey::from_secret(Secret::from_bytes([7; 32]));
        let mut one = [0; 32];
        one[0] = 1;
        // A point of order 8.
        let eight = bytes("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800");
        for small in [[0; 32], one, eight] {
            assert_eq!(own.agree(&AgreementPublic(small)), Err(AgreementError));
        }
    }

    #[test]
    fn two_keys_agree_and_a_third_does_not() {
        let [a, b, c] = [1, 2, 3].map(|n| AgreementKey::from_secret(Secret::from_bytes([n; 32])));
        assert_eq!(a.agree(b.public()), b.agree(a.public()));
        assert_ne!(a.agree(b.public()), a.agree(c.public()));
    }

    #[test]
    fn an_agreement_key_does_not_print_itself() {
        let key = AgreementKey::from_secret(Secret::from_bytes([1; 32]));
        assert_eq!(format!("{key:?}"), "AgreementKey(..)");
    }
}
