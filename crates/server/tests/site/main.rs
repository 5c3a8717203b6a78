//! Whole dialogs over real sockets: a site on SQLite, its listeners, and clients that log in to it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]

mod admin;
mod founded;
mod hostile;
mod login;
mod sessions;
