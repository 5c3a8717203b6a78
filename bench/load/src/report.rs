//! Prints the measurements as a table or as JSON. The only module that prints.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the figures are this program's output"
)]

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::Result;

/// The unit of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Milliseconds,
    Microseconds,
    Percent,
    Ratio,
    KibPerConnection,
    PerSecond,
    Count,
}

impl Unit {
    const fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Microseconds => "µs",
            Self::Percent => "%",
            Self::Ratio => "times",
            Self::KibPerConnection => "KiB each",
            Self::PerSecond => "a second",
            Self::Count => "",
        }
    }
}

/// One figure.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) figure: f64,
    pub(crate) unit: Unit,
    /// The target, if there is one.
    pub(crate) target: Option<Target>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, figure: f64, unit: Unit) -> Self {
        Self {
            what: what.into(),
            figure,
            unit,
            target: None,
        }
    }

    pub(crate) fn at_least(mut self, least: f64) -> Self {
        self.target = Some(Target::AtLeast(least));
        self
    }

    pub(crate) fn at_most(mut self, most: f64) -> Self {
        self.target = Some(Target::AtMost(most));
        self
    }

    fn met(&self) -> Option<bool> {
        Some(match self.target? {
            Target::AtLeast(least) => self.figure >= least,
            Target::AtMost(most) => self.figure <= most,
        })
    }
}

/// Prints rows as they are measured, or all of them as JSON at the end.
pub(crate) struct Report {
    json: Option<Vec<Value>>,
    missed: usize,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json: json.then(Vec::new),
            missed: 0,
        }
    }

    pub(crate) fn take(&mut self, scenario: &str, rows: &[Row]) {
        for row in rows {
            self.missed += usize::from(row.met() == Some(false));
            let target = row.target.map(|target| match target {
                Target::AtLeast(least) => format!(">= {least}"),
                Target::AtMost(most) => format!("<= {most}"),
            });
            let unit = row.unit.name();
            match &mut self.json {
                Some(all) => all.push(json!({
                    "scenario": scenario, "what": row.what, "figure": row.figure, "unit": unit,
                    "target": target, "met": row.met(),
                })),
                None => println!(
                    "{scenario:<9} {:<58} {:>10.2} {unit:<9} {:>8} {}",
                    row.what,
                    row.figure,
                    target.unwrap_or_default(),
                    match row.met() {
                        Some(true) => "yes",
                        Some(false) => "NO",
                        None => "",
                    }
                ),
            }
        }
    }

    /// The number of missed targets.
    pub(crate) const fn missed(&self) -> usize {
        self.missed
    }

    pub(crate) fn finish(self) {
        if let Some(all) = self.json {
            println!("{:#}", Value::Array(all));
        }
    }
}

/// Prints a line for the parent process.
pub(crate) fn print_line(line: &Value) {
    println!("{line}");
}

/// Reports an unknown argument.
pub(crate) fn misused(argument: &str, known: &str) -> ExitCode {
    eprintln!(
        "`{argument}` is neither --json, --small, --rounds=NUMBER, --soft-files=NUMBER, --hard-files=NUMBER nor a scenario; the scenarios are {known}"
    );
    ExitCode::from(2)
}

/// The exit code of a result. Prints the error, if there is one.
pub(crate) fn exit(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The value that `per_cent` of the samples do not exceed.
pub(crate) fn percentile(samples: &[f64], per_cent: usize) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() * per_cent).div_ceil(100);
    sorted
        .get(at.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}
