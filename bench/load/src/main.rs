//! A site under load and attack (`bench/README.md`).
//!
//! ```text
//! cargo run --release -p countersign-load -- [--json] [--small] [scenario…]
//! ```
//!
//! The site is a process of its own, so that its memory is its own; this one is everybody else: honest
//! clients at 127.0.0.1, and attackers from as many other addresses of 127.0.0.0/8 as a scenario says.

mod attack;
mod cut;
mod floods;
mod memory;
mod names;
mod report;
mod server;
mod site;

use std::process::ExitCode;
use std::sync::Arc;

use report::Report;

/// What may go wrong; each says it in its own words.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How much is done: all of it, or just enough to see that it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Full,
    Small,
}

impl Size {
    /// One of two numbers.
    pub(crate) fn of<T>(self, full: T, small: T) -> T {
        match self {
            Self::Full => full,
            Self::Small => small,
        }
    }
}

const SCENARIOS: [&str; 8] = [
    "slow", "garbage", "half", "wrong", "unproved", "idle", "cut", "names",
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, scenario] = &arguments[..]
        && mode == server::MODE
    {
        return report::exit(server::run(scenario));
    }
    let (options, names): (Vec<&str>, Vec<&str>) = arguments
        .iter()
        .map(String::as_str)
        .partition(|argument| argument.starts_with('-'));
    let unknown = options
        .iter()
        .find(|option| !["--json", "--small"].contains(option))
        .or_else(|| names.iter().find(|name| !SCENARIOS.contains(name)));
    if let Some(unknown) = unknown {
        return report::misused(unknown, &SCENARIOS.join(", "));
    }
    let size = match options.contains(&"--small") {
        true => Size::Small,
        false => Size::Full,
    };
    let mut report = Report::new(options.contains(&"--json"));
    for scenario in SCENARIOS {
        if names.is_empty() || names.contains(&scenario) {
            match run(scenario, size) {
                Ok(rows) => report.take(scenario, &rows),
                Err(error) => return report::exit(Err(error)),
            }
        }
    }
    report.finish();
    ExitCode::SUCCESS
}

/// Runs one scenario against a site of its own.
pub(crate) fn run(scenario: &str, size: Size) -> Result<Vec<report::Row>> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let site = Arc::new(site::Running::start(scenario).await?);
        match scenario {
            "unproved" => memory::unproved(&site, size).await,
            "idle" => memory::idle(&site, size).await,
            "cut" => cut::run(&site, size).await,
            "names" => names::run(&site, size).await,
            flood => floods::run(&site, flood, size).await,
        }
    })
}
