//! Pass phrases that the server neither stores nor learns: OPAQUE (RFC 9807) with ristretto255, SHA-512
//! and 3DH, stretched with Argon2id; and its hybrid, where an ML-KEM-768 secret joins the three
//! Diffie-Hellman ones. A record serves both suites.
//!
//! ```text
//! registration   client  -- request ----->  server
//!                client  <---- response --  server
//!                client  -- record ------>  server          the export key stays with the client
//!
//! login          client  -- KE1 --------->  server
//!                client  <--------- KE2 --  server          of a record, or of none
//!                client  -- KE3 --------->  server          both have the session key
//! ```
//!
//! Interfaces speak of bytes; `opaque-ke`'s types stay inside this module.

mod ksf;
mod login;
mod registration;
mod setup;
mod suite;

pub use ksf::Ksf;
pub use login::{ClientDone, ClientLogin, ServerLogin};
pub use registration::{ClientRegistration, PassphraseRecord};
pub use setup::{ServerSetup, SetupId};
pub use suite::{ExportKey, Identifiers, LoginSuite, PassphraseError};

#[cfg(test)]
mod tests;
