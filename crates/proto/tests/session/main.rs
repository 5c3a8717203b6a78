//! The session protocol's dialogs: client and server state machines in one process.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]

mod content;
mod delivered;
mod flights;
mod key_events;
mod keys;
mod live;
mod loose;
mod pair;
mod person;
mod returns;
mod service;
