//! Pass phrases that the server neither stores nor learns: OPAQUE (RFC 9807) with ristretto255, SHA-512
//! and 3DH, stretched with Argon2id; and its hybrid, where an ML-KEM-768 secret joins the three
//! Diffie-Hellman ones. A record serves both suites.
//!
//! Interfaces speak of bytes; `opaque-ke`'s types stay inside this module.

mod login;
mod registration;
mod setup;
mod suite;

pub use login::{ClientDone, ClientLogin, ServerLogin};
pub use registration::{ClientRegistration, PassphraseRecord};
pub use setup::{ServerSetup, SetupId};
pub use suite::{ExportKey, Identifiers, LoginSuite, PassphraseError};

#[cfg(test)]
mod tests;
