//! ECDSA with SHA-256 over P-256.

#[cfg(not(target_arch = "wasm32"))]
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

/// Whether an uncompressed point is on the curve. P-256 has no points of small order.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn is_on_curve(point: &[u8]) -> bool {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
        .parse()
        .is_ok()
}

/// Whether the owner of the point signed exactly this message.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn verify(point: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
        .verify(message, signature)
        .is_ok()
}

/// No key on P-256 is accepted.
#[cfg(target_arch = "wasm32")]
pub(super) const fn is_on_curve(_point: &[u8]) -> bool {
    false
}

/// No signature on P-256 is accepted.
#[cfg(target_arch = "wasm32")]
pub(super) const fn verify(_point: &[u8], _message: &[u8], _signature: &[u8]) -> bool {
    false
}
