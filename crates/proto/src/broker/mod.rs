//! The broker: one application authenticates to another through the site that both trust, and they
//! get a shared secret (`docs/protocol/broker.md`).
//!
//! The *consumer* requests a ticket from the site (auth request, auth response), and presents it to
//! the *provider* (ticket presentation, acknowledgement). The ticket carries the site's statement
//! to the provider.

// RSA and AES-CBC, which only native programs have.
#[cfg(not(target_arch = "wasm32"))]
pub mod v1;
pub mod v2;
