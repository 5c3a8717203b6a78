//! The site as its callers see it: every test goes through the one door.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so by stopping"
)]

mod access;
mod accounts;
mod audit;
mod dump;
mod fixture;
mod passphrase;
mod reference;
mod scripts;
mod secrets;
mod sessions;
mod site;
