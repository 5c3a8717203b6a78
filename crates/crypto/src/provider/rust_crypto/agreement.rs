//! X25519 (RFC 7748).

use curve25519_dalek::MontgomeryPoint;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A private key.
pub(crate) struct X25519Key(Zeroizing<[u8; 32]>);

impl X25519Key {
    /// Stores the key and computes the public key.
    pub(crate) fn new(secret: &[u8; 32]) -> (Self, [u8; 32]) {
        let public = MontgomeryPoint::mul_base_clamped(*secret).to_bytes();
        (Self(Zeroizing::new(*secret)), public)
    }

    /// The secret shared with the owner of `peer`; `None` if that is a point of small order.
    pub(crate) fn agree(&self, peer: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
        let shared = MontgomeryPoint(*peer).mul_clamped(*self.0).to_bytes();
        let shared = Zeroizing::new(shared);
        let is_zero: bool = shared.ct_eq(&[0; 32]).into();
        (!is_zero).then_some(shared)
    }
}
