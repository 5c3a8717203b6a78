//! The primitives of AWS-LC. The library frees keys through a function that wipes them.

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
