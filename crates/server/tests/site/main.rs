//! Complete dialogs over sockets: a site on SQLite, its listeners, and clients that log in.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]

mod admin;
mod after_rotations;
mod api;
mod console;
mod content;
mod counted;
mod delivered;
mod delivery;
mod device_client;
mod device_endings;
mod devices;
mod endings;
mod foreign_tickets;
mod health;
mod hostile;
mod http;
mod http_v1;
mod key_events;
mod keys;
mod lockdown;
mod login;
mod methods;
mod operations;
mod options;
mod passphrase_tickets;
mod peer_attacks;
mod peer_cuts;
mod peer_dialog_cuts;
mod peer_doctor;
mod peer_heads;
mod peer_lockdown;
mod peer_network;
mod peer_rotation;
mod peer_side;
mod peer_told;
mod peers;
mod pressure;
mod proxy;
mod raw;
mod resuming;
mod rotation;
mod sealed;
mod sealed_channel;
mod session_web_socket;
mod sessions;
mod stored_keys;
mod symmetric;
mod trusted;
mod void_tickets;
mod web_socket;
