//! Makes tests short: a whole site ([`harness`]), and both ends of a dialog in one process, with virtual time, entropy
//! from a seed, and an attacker in between. For tests, benchmarks and fuzzing alone; nothing that is shipped names it.
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
pub mod harness;
pub mod malicious_member;
pub mod pair;
pub mod simulator;
pub mod site;
pub mod wire;
