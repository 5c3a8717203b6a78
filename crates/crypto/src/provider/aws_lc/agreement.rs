//! X25519 (RFC 7748).

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use zeroize::Zeroizing;

/// A private key, parsed once.
pub(crate) struct X25519Key(PrivateKey);

impl X25519Key {
    /// Parses the key and computes the public key.
    pub(crate) fn new(secret: &[u8; 32]) -> (Self, [u8; 32]) {
        let parsed = PrivateKey::from_private_key(&X25519, secret)
            .ok()
            .and_then(|private| Some((private.compute_public_key().ok()?, private)));
        let Some((computed, private)) = parsed else {
            // Any 32 bytes are an X25519 private key; only exhausted memory leads here.
            std::process::abort();
        };
        let mut public = [0; 32];
        public.copy_from_slice(computed.as_ref());
        (Self(private), public)
    }

    /// The secret shared with the owner of `peer`; `None` if that is a point of small order.
    pub(crate) fn agree(&self, peer: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
        let peer = UnparsedPublicKey::new(&X25519, peer);
        agreement::agree(&self.0, peer, (), |shared| {
            let mut secret = Zeroizing::new([0; 32]);
            secret.copy_from_slice(shared);
            Ok(secret)
        })
        .ok()
    }
}
