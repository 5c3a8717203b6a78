//! The broker's dialogs: recorded ones of other implementations, our own with ourselves, and what
//! must be refused.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]

mod v1;
mod v2;
