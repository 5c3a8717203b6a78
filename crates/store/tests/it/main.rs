//! What every store promises ([`contract`]), run against each kind of store; and what is special to
//! one of them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so by stopping"
)]

mod contract;
mod sqlite;
