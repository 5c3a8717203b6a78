//! The real binary, driven as its users drive it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]

mod applications;
mod crash;
mod embedded;
mod exits;
mod running;
mod shell;
mod streams;
mod terminal;
mod text;
mod tour;
mod trouble;
