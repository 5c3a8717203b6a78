//! Test support: a whole site in one expression ([`harness`]), both ends of a session in one
//! process ([`pair`]) with virtual time, seeded entropy and a network attacker ([`wire`]), a
//! simulator of sessions ([`simulator`]), a member that violates the protocol
//! ([`malicious_member`]), the contract that every store fulfils ([`contract`]), the search for
//! planted secrets in files ([`planted`]) and the recorded dialogs of `vectors/dialogs`
//! ([`dialogs`]).
//!
//! Only tests, benchmarks and fuzz targets use this crate. It is not for production: its entropy is
//! predictable, and it panics at every error.
//!
//! ```
//! use countersign_testkit::pair::{Pair, Who};
//! use countersign_testkit::site::Site;
//! use countersign_testkit::wire::Honest;
//!
//! let site = Site::new();
//! let mut pair = Pair::new(&site, site.client(), Who::Service(&site.robot), 1);
//! pair.run(&mut Honest);
//! assert!(pair.client.is_live() && pair.server.is_live());
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]

pub mod contract;
pub mod decisions;
pub mod dialogs;
pub mod entropy;
pub mod faulty;
#[cfg(feature = "harness")]
pub mod harness;
pub mod malicious_member;
pub mod new_site;
pub mod pair;
pub mod planted;
pub mod simulator;
pub mod site;
pub mod wire;
