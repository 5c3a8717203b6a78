//! Ed25519 (RFC 8032).

use aws_lc_rs::signature::{self, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

/// A private key.
pub(crate) struct Ed25519Key(Ed25519KeyPair);

impl Ed25519Key {
    /// Derives the key pair of a private key.
    pub(crate) fn new(secret: &[u8; 32]) -> (Self, [u8; 32]) {
        let Ok(pair) = Ed25519KeyPair::from_seed_unchecked(secret) else {
            // Any 32 bytes are an Ed25519 private key; only exhausted memory leads here.
            std::process::abort();
        };
        let mut public = [0; 32];
        public.copy_from_slice(pair.public_key().as_ref());
        (Self(pair), public)
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(self.0.sign(message).as_ref());
        bytes
    }
}

pub(crate) fn verify_ed25519(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    UnparsedPublicKey::new(&signature::ED25519, public)
        .verify(message, signature)
        .is_ok()
}
