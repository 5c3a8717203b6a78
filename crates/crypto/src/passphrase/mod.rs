//! Pass phrase authentication with OPAQUE (RFC 9807): the server neither stores nor learns the pass
//! phrase. It uses ristretto255, SHA-512, 3DH and Argon2id; in the hybrid suite an ML-KEM-768
//! secret is added to the three Diffie-Hellman secrets. A record works with both suites.
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
//! The interface consists of bytes; types of `opaque-ke` are internal to this module.

mod ksf;
mod login;
mod registration;
mod setup;
mod suite;

pub use ksf::Ksf;
pub use login::{ClientLogin, ClientLoginResult, ServerLogin};
pub use registration::{ClientRegistration, PassphraseRecord};
pub use setup::{ServerSetup, SetupId};
pub use suite::{ExportKey, Identifiers, LoginSuite, PassphraseError};

#[cfg(test)]
mod tests;
