//! The primitives of the RustCrypto and dalek libraries, which compile to WebAssembly.
//!
//! Their AES looks tables up nowhere: without hardware support it is bit-sliced, so its time does
//! not depend on secrets. Whether a WebAssembly engine keeps that is up to the engine.

mod aead;
mod agreement;
mod digest;
mod kem;
mod mac;
mod random;
mod signature;

pub(crate) use aead::AeadKey;
pub(crate) use agreement::X25519Key;
pub(crate) use digest::{Sha256State, hkdf_sha256, sha3_256, sha512};
pub(crate) use kem::{KemPrivate, check_kem_public, encapsulate};
pub(crate) use mac::HmacKey;
pub(crate) use random::fill;
pub(crate) use signature::{Ed25519Key, verify_ed25519};
