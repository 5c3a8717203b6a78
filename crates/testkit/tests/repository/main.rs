//! The repository lints: rules of this repository that a program can check. Each rule is a test;
//! its name is the rule.
//!
//! A rule reads the repository's own files and reports each violation as `file:line`. Next to each
//! rule, another test shows that the rule can fail.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a check that cannot read the repository has to fail"
)]

mod arrows;
mod attacks;
mod columns;
mod cycles;
mod links;
mod manifest;
mod public_types;
mod requirements;
mod screenshots;
mod sources;
mod strict_json;
mod test_comments;
mod tree;
mod walks;
mod words;
