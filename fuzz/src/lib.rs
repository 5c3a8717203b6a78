//! The fuzz targets: functions that take any bytes. No input causes a panic, no unauthenticated input is
//! accepted, and what a parser accepts is written and parses again to the same value.
//!
//! `scripts/fuzz` builds them all into one program and runs each with libFuzzer. Seeds are in
//! `fuzz/seeds`, which the example `fuzz_seeds` of `countersign-testkit` writes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a target stops where it fails"
)]

mod targets;

pub use targets::{Target, target};
