//! Simulates the session protocol under every kind of interference by an attacker on the network.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]

mod changed;
mod cut;
mod dialog;
mod direct;
mod every_byte;
mod inside;
mod limits;
mod peers;
mod random;
mod replayed;
mod seeds;
mod service;
mod unauthenticated;
mod whole;
