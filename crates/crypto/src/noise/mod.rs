//! The handshake of service logins: Noise `IKpsk2` (Noise Protocol Framework, revision 34), where
//! the psk is an ML-KEM secret.
//!
//! [`snow`] runs the handshake. Our resolver provides the provider's primitives and caches static public
//! keys and static-static secrets.
//!
//! Our types wipe their secrets. snow frees its copies of the chaining key and the psk without
//! wiping them, so a memory image may contain the secrets of one session a little longer, but no
//! long-term key.

mod handshake;
mod resolver;
mod static_keys;

pub use crate::record::RecordCipher;
pub use handshake::{HandshakeError, HandshakeKeys, Initiator, Responder};
pub use static_keys::{StaticKeyCache, StaticKeySecret};

#[cfg(test)]
mod tests;
