//! The login of machines: Noise `IKpsk2` (the Noise Protocol Framework, revision 34), where the psk
//! carries an ML-KEM secret.
//!
//! [`snow`] runs the handshake; a resolver of ours gives it AWS-LC's primitives and spares it what need
//! not be computed twice: static public keys, and the secret of two static keys that met before.
//!
//! What passes through our types is wiped. snow frees its copies of the chaining key and of the psk
//! unwiped: an image of memory could hold that one session's secrets a little longer, no long-term key.

mod handshake;
mod resolver;
mod static_keys;

pub use crate::record::RecordCipher;
pub use handshake::{HandshakeFailed, HandshakeKeys, Initiator, Responder};
pub use static_keys::{StaticKeyCache, StaticKeySecret};

#[cfg(test)]
mod tests;
