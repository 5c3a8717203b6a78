//! The primitives, from one of two providers with the same functions.
//!
//! | provider | where | libraries |
//! |---|---|---|
//! | `aws_lc` | native programs | AWS-LC |
//! | `rust_crypto` | `wasm32`; in native tests as a cross-check | RustCrypto and dalek |
//!
//! The target alone selects the provider. Both take and return bytes; the modules above give them
//! types. ML-KEM from given randomness, and verification by a prepared key, are the same code for both,
//! because AWS-LC has no such functions.

#[cfg(not(target_arch = "wasm32"))]
mod aws_lc;
mod derandomized_kem;
mod field25519;
mod prepared_ed25519;
#[cfg(any(target_arch = "wasm32", test))]
mod rust_crypto;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use aws_lc::*;
#[cfg(target_arch = "wasm32")]
pub(crate) use rust_crypto::*;

pub(crate) use derandomized_kem::encapsulate_derandomized;
pub(crate) use prepared_ed25519::PreparedEd25519;

/// The length of a nonce of every AEAD cipher, in bytes.
pub(crate) const NONCE: usize = 12;
/// The length of a tag of every AEAD cipher, in bytes.
pub(crate) const TAG: usize = 16;
/// The length of an ML-KEM-768 public key, in bytes.
pub(crate) const KEM_PUBLIC: usize = 1_184;
/// The length of an ML-KEM-768 ciphertext, in bytes.
pub(crate) const KEM_CIPHERTEXT: usize = 1_088;

/// The AEAD ciphers that both providers have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AeadCipher {
    /// NIST SP 800-38D.
    Aes128Gcm,
    /// NIST SP 800-38D.
    Aes256Gcm,
    /// RFC 8439.
    ChaCha20Poly1305,
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;
