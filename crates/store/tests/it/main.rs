//! The store in a SQLite file keeps the contract of every store, and what is special to it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so by stopping"
)]

mod disk;
mod sqlite;
mod trouble;
