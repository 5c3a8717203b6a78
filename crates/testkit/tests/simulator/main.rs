//! The session protocol simulated: every login with everything that somebody in between can do to it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]

mod changed;
mod cut;
mod dialog;
mod every_byte;
mod inside;
mod limits;
mod random;
mod replayed;
mod seeds;
mod service;
mod unauthenticated;
mod whole;
