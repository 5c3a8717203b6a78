//! Prints the measurements as a table or as JSON. The only module that prints.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the figures are this program's output"
)]

use std::process::ExitCode;

use serde_json::json;

/// Prints the server's address for the parent process.
pub(crate) fn tell(what: &serde_json::Value) {
    println!("{what}");
}

/// One comparison.
pub(crate) struct Row {
    /// The work.
    pub(crate) what: String,
    /// The median of this project.
    pub(crate) ours: f64,
    /// The median of the baseline.
    pub(crate) baseline: f64,
    /// The unit of both medians.
    pub(crate) unit: Unit,
    /// A description of the baseline.
    pub(crate) baseline_is: &'static str,
    /// The ratio of this project's figure to the baseline's.
    pub(crate) ratio: f64,
    /// The target of the ratio, if there is one.
    pub(crate) target: Option<Target>,
}

/// The unit of a figure.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    /// Per second. More is better.
    PerSecond,
    /// 10^9 bytes per second. More is better.
    GigabytesPerSecond,
    /// A cost in microseconds. Less is better.
    Microseconds,
}

/// A target of a ratio.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// The minimum of the ratio.
    AtLeast(f64),
    /// The maximum of the ratio.
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

/// Prints rows as they are measured, or all of them as JSON at the end.
pub(crate) struct Report {
    json: Option<Vec<serde_json::Value>>,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        if !json {
            line(
                "what",
                "ours",
                "baseline",
                "ratio",
                "target",
                "met?",
                "baseline is",
            );
        }
        Self {
            json: json.then(Vec::new),
        }
    }

    /// Adds the rows of one benchmark.
    pub(crate) fn take(&mut self, benchmark: &str, rows: &[Row]) {
        for row in rows {
            let met = row.target.map(|target| target.met(row.ratio));
            let target = row.target.map(Target::text);
            match &mut self.json {
                Some(all) => all.push(json!({
                    "benchmark": benchmark,
                    "what": row.what,
                    "ours": row.ours,
                    "baseline": row.baseline,
                    "unit": row.unit.name(),
                    "baseline_is": row.baseline_is,
                    "ratio": row.ratio,
                    "target": target,
                    "met": met,
                })),
                None => line(
                    &format!("{benchmark}: {}", row.what),
                    &row.unit.text(row.ours),
                    &row.unit.text(row.baseline),
                    &format!("{:.3}", row.ratio),
                    target.as_deref().unwrap_or("-"),
                    match met {
                        Some(true) => "yes",
                        Some(false) => "NO",
                        None => "-",
                    },
                    row.baseline_is,
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

fn line(
    what: &str,
    ours: &str,
    baseline: &str,
    ratio: &str,
    target: &str,
    met: &str,
    baseline_is: &str,
) {
    println!("{what:<58} {ours:>12} {baseline:>12} {ratio:>7} {target:>8} {met:>4}  {baseline_is}");
}

/// Reports an unknown argument.
pub(crate) fn misused(argument: &str, known: &str) -> ExitCode {
    eprintln!("`{argument}` is neither --json nor a benchmark; the benchmarks are {known}");
    ExitCode::from(2)
}

/// Reports a benchmark that failed.
pub(crate) fn failed(benchmark: &str, error: &dyn std::error::Error) -> ExitCode {
    eprintln!("{benchmark} failed: {error}");
    ExitCode::FAILURE
}
