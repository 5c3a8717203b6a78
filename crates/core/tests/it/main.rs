//! Tests of the store in memory against the contract of stores, and of the site on top of it
//! ([`site`]).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed expectation ends the test"
)]

mod memory;
mod site;
