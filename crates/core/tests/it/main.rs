//! The store in memory keeps the contract of every store; and the site on top of it ([`site`]).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so by stopping"
)]

mod memory;
mod site;
