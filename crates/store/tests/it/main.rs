//! What every store promises ([`contract`]), run against each kind of store; what is special to one of
//! them; and the site on top of it ([`site`]).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so by stopping"
)]

mod contract;
mod site;
mod sqlite;
