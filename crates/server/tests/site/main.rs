//! Complete dialogs over sockets: a site on SQLite, its listeners, and clients that log in.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]

mod admin;
mod api;
mod counted;
mod delivery;
mod devices;
mod http;
mod lockdown;
mod operations;
mod peers;
mod proxy;
mod sessions;
mod site_key;
mod stored_keys;
