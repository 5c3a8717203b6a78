//! Two applications and a site over HTTP on this machine: each by itself and its own clock, as far apart as it
//! gets.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]

mod cheap;
mod clocks;
mod dialog;
mod keys;
mod limits;
mod refused;
mod restart;
mod signatures;
mod site;
mod tickets;
mod v1;
mod wire;
mod world;
