//! Tests the SQLite store: the contract of all stores, and properties of files.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so by stopping"
)]

mod attacked;
mod damaged_rows;
mod disk;
mod outbox;
mod sealed_data;
mod search;
mod sqlite;
mod trouble;
