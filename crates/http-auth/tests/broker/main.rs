//! Two applications and a site over HTTP on this machine, each with its own clock.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]

mod clocks;
mod dialog;
mod early_checks;
mod keys;
mod limits;
mod refused;
mod restart;
mod signatures;
mod site;
mod tickets;
mod v1;
mod void_marks;
mod void_races;
mod void_tickets;
mod wire;
mod world;
