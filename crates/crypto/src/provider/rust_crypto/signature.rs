//! Ed25519 (RFC 8032).

use curve25519_dalek::edwards::CompressedEdwardsY;
use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};

/// A private key.
pub(crate) struct Ed25519Key(SigningKey);

impl Ed25519Key {
    /// Derives the key pair of a private key.
    pub(crate) fn new(secret: &[u8; 32]) -> (Self, [u8; 32]) {
        let key = SigningKey::from_bytes(secret);
        let public = key.verifying_key().to_bytes();
        (Self(key), public)
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

pub(crate) fn verify_ed25519(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    is_canonical(public)
        && VerifyingKey::from_bytes(public)
            .and_then(|key| key.verify(message, &Signature::from_bytes(signature)))
            .is_ok()
}

/// Whether a point is in its one encoding (RFC 8032, section 5.1.3). dalek takes others too: a
/// coordinate above the modulus, and a negative zero. AWS-LC does not, and both ends of a dialog must
/// make the same decision.
fn is_canonical(public: &[u8; 32]) -> bool {
    let encoded = CompressedEdwardsY(*public);
    let point = encoded.decompress();
    point.is_some_and(|point| point.compress() == encoded)
}
