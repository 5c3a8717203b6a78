//! The rules of the house that a machine can check, each as a test whose name is the rule.
//!
//! A rule reads the repository's own files and reports every place that breaks it, as `file:line`.
//! Beside each rule stands a test which shows that the rule can fail.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a check that cannot read the house has to fail loudly"
)]

mod arrows;
mod attacks;
mod cycles;
mod links;
mod manifest;
mod named;
mod requirements;
mod sources;
mod tree;
mod walks;
