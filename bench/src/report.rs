//! What was measured, as a table for people or as JSON; the one module here that prints.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the figures are this program's output"
)]

use std::process::ExitCode;

use serde_json::json;

/// Tells whoever started this program as a server where it is.
pub(crate) fn tell(what: &serde_json::Value) {
    println!("{what}");
}

/// One comparison.
pub(crate) struct Row {
    /// What was done.
    pub(crate) what: String,
    /// Our median.
    pub(crate) ours: f64,
    /// The peer's median.
    pub(crate) peer: f64,
    /// What both are counted in.
    pub(crate) unit: Unit,
    /// Who the peer is.
    pub(crate) peer_is: &'static str,
    /// Ours to the peer's.
    pub(crate) ratio: f64,
    /// What the ratio is promised to be, if it is.
    pub(crate) target: Option<Target>,
}

/// What a figure counts.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    /// So many a second: more is better.
    PerSecond,
    /// 10^9 bytes a second: more is better.
    GigabytesPerSecond,
    /// A cost in microseconds: less is better.
    Microseconds,
}

/// A promise.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// The ratio is this or more.
    AtLeast(f64),
    /// The ratio is this or less.
    AtMost(f64),
}

impl Target {
    fn met(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(least) => ratio >= least,
            Self::AtMost(most) => ratio <= most,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(least) => format!(">= {least}"),
            Self::AtMost(most) => format!("<= {most}"),
        }
    }
}

impl Unit {
    fn text(self, figure: f64) -> String {
        match self {
            Self::PerSecond if figure >= 1e6 => format!("{:.2} M/s", figure / 1e6),
            Self::PerSecond if figure >= 1e4 => format!("{:.1} k/s", figure / 1e3),
            Self::PerSecond => format!("{figure:.0} /s"),
            Self::GigabytesPerSecond => format!("{figure:.2} GB/s"),
            Self::Microseconds => format!("{figure:.1} µs"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::PerSecond => "per second",
            Self::GigabytesPerSecond => "gigabytes per second",
            Self::Microseconds => "microseconds",
        }
    }
}

/// Prints rows as they come, or all at once as JSON.
pub(crate) struct Report {
    json: Option<Vec<serde_json::Value>>,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        if !json {
            line("what", "ours", "peer", "ratio", "target", "met?", "peer is");
        }
        Self {
            json: json.then(Vec::new),
        }
    }

    /// Takes the rows of one benchmark.
    pub(crate) fn take(&mut self, benchmark: &str, rows: &[Row]) {
        for row in rows {
            let met = row.target.map(|target| target.met(row.ratio));
            let target = row.target.map(Target::text);
            match &mut self.json {
                Some(all) => all.push(json!({
                    "benchmark": benchmark,
                    "what": row.what,
                    "ours": row.ours,
                    "peer": row.peer,
                    "unit": row.unit.name(),
                    "peer_is": row.peer_is,
                    "ratio": row.ratio,
                    "target": target,
                    "met": met,
                })),
                None => line(
                    &format!("{benchmark}: {}", row.what),
                    &row.unit.text(row.ours),
                    &row.unit.text(row.peer),
                    &format!("{:.3}", row.ratio),
                    target.as_deref().unwrap_or("-"),
                    match met {
                        Some(true) => "yes",
                        Some(false) => "NO",
                        None => "-",
                    },
                    row.peer_is,
                ),
            }
        }
    }

    pub(crate) fn finish(self) {
        if let Some(all) = self.json {
            println!("{:#}", serde_json::Value::Array(all));
        }
    }
}

fn line(what: &str, ours: &str, peer: &str, ratio: &str, target: &str, met: &str, peer_is: &str) {
    println!("{what:<58} {ours:>12} {peer:>12} {ratio:>7} {target:>8} {met:>4}  {peer_is}");
}

/// Says that an argument means nothing here.
pub(crate) fn misused(argument: &str, known: &str) -> ExitCode {
    eprintln!("`{argument}` is neither --json nor a benchmark; the benchmarks are {known}");
    ExitCode::from(2)
}

/// Says that a benchmark could not be run.
pub(crate) fn failed(benchmark: &str, error: &dyn std::error::Error) -> ExitCode {
    eprintln!("{benchmark} failed: {error}");
    ExitCode::FAILURE
}
