//! The binary, run as its users run it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]

mod alarms;
mod applications;
mod backup;
mod console;
mod crash;
mod dev;
mod device_trouble;
mod devices;
mod embedded;
mod exits;
mod faults;
mod files;
mod keyring;
mod known_sites;
mod lockdown;
mod namespaces;
mod pages;
mod passphrase;
mod peers;
mod running;
mod screen;
mod shell;
mod signing;
mod site_key;
mod standing;
mod streams;
mod terminal;
mod text;
mod tour;
mod trouble;
mod web;
