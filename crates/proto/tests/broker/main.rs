//! The broker's dialogs: recordings of other implementations, our own parties with each other, and
//! inputs that must be refused.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]

mod v1;
mod v2;
