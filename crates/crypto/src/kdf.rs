//! Labelled key derivation: independent keys from one secret.
//!
//! HKDF-SHA256 (RFC 5869) without salt; the info is `countersign/1 ` + label + 0x00 + context.
//! Labels are fixed ASCII without 0x00, so no two (label, context) pairs share an info.

use crate::provider::hkdf_sha256;
use crate::secret::Secret;

/// Derives a key of `N` bytes (at most 8,160) from `secret` for `label` and `context`.
#[must_use]
pub fn derive<const N: usize>(secret: &[u8], label: &str, context: &[u8]) -> Secret<N> {
    const { assert!(N <= 255 * 32) };
    let info = [b"countersign/1 ", label.as_bytes(), &[0], context];
    let mut key = [0; N];
    if !hkdf_sha256(&[], secret, &info, &mut key) {
        // HKDF fails only for long outputs, and `N` is checked at compile time.
        std::process::abort();
    }
    Secret::from_bytes(key)
}

#[cfg(test)]
mod tests {
    use super::derive;

    #[test]
    fn labels_and_contexts_separate_keys() {
        let key = derive::<32>(b"secret", "a", b"b");
        assert_eq!(key, derive::<32>(b"secret", "a", b"b"));
        assert_ne!(key, derive::<32>(b"secret", "a", b"c"));
        assert_ne!(key, derive::<32>(b"secret", "ab", b""));
        assert_ne!(key, derive::<32>(b"other", "a", b"b"));
    }
}
