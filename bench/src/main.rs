//! Benchmarks against well-known implementations, measured in one process (`bench/README.md`). Not a test of
//! correctness.
//!
//! ```text
//! cargo run --release -p countersign-bench -- [--json] [name…]
//! ```
//!
//! A figure depends on the machine and the moment. The ratio to a baseline that did the same work in
//! the same minute depends on them much less. Every benchmark therefore runs its contenders in
//! turns for many rounds, and reports medians.

mod accounts;
mod broker;
mod durable;
mod ends;
mod enrolment;
mod http;
mod measure;
mod noise;
mod operations;
mod packets;
mod person;
mod report;
mod risp;
mod site;
mod tls;

use std::process::ExitCode;

use report::{Report, Row};

/// The error of a benchmark: a message for people.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The argument for a server that a benchmark starts in its own process, and the function that runs
/// it.
type Mode = (&'static str, fn() -> Result<()>);

/// A benchmark: its name on the command line, and the function that runs it.
type Benchmark = (&'static str, fn() -> Result<Vec<Row>>);

const BENCHMARKS: [Benchmark; 12] = [
    ("risp", risp::run),
    ("noise", noise::run),
    ("packets", packets::run),
    ("person", person::run),
    ("broker", broker::run),
    ("api", http::api::run),
    ("authenticate", http::authenticate::run),
    ("provider", http::provider::run),
    ("operations", operations::run),
    ("durable", durable::run),
    ("accounts", accounts::run),
    ("enrolment", enrolment::run),
];

fn main() -> ExitCode {
    let modes: [Mode; 4] = [
        (http::api::MODE, http::api::serve),
        (http::api::BASELINE_MODE, http::api::serve_baseline),
        (http::authenticate::MODE, http::authenticate::serve),
        (http::provider::MODE, http::provider::serve),
    ];
    let asked = std::env::args().nth(1).unwrap_or_default();
    if let Some((mode, serve)) = modes.into_iter().find(|(mode, _)| *mode == asked) {
        return serve().map_or_else(
            |error| report::failed(mode, &*error),
            |()| ExitCode::SUCCESS,
        );
    }
    let (options, names): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.starts_with('-'));
    let unknown_option = options.iter().find(|option| *option != "--json");
    let unknown_name = names
        .iter()
        .find(|name| !BENCHMARKS.iter().any(|(known, _)| known == name));
    if let Some(unknown) = unknown_option.or(unknown_name) {
        let known = BENCHMARKS.map(|(name, _)| name).join(", ");
        return report::misused(unknown, &known);
    }
    let mut report = Report::new(!options.is_empty());
    for (name, run) in BENCHMARKS {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            match run() {
                Ok(rows) => report.take(name, &rows),
                Err(error) => return report::failed(name, &*error),
            }
        }
    }
    report.finish();
    ExitCode::SUCCESS
}
