//! Measures a site under load and attack (`bench/README.md`). A measuring program, not a test of
//! correctness.
//!
//! ```text
//! cargo run --release -p countersign-load -- [--json] [--small] [--rounds=NUMBER]
//!     [--soft-files=NUMBER | --hard-files=NUMBER] [scenario…]
//! ```
//!
//! The site runs in a process of its own, so that its memory can be measured. This process runs the
//! clients: honest ones from a few addresses of 127.0.0.0/16, and attackers from other addresses of
//! 127.0.0.0/8, as many as the scenario defines.
//!
//! The exit code is 1 if a target is missed, except with `--small`, where figures mean little.

mod activity;
mod admin;
mod attack;
mod baseline_process;
mod cut;
mod devices;
mod event_streams;
mod floods;
mod honest;
mod lockdown;
mod login;
mod memory;
mod names;
mod peer_lockdown;
mod report;
mod server;
mod site;
mod sse_baseline;
mod tickets;
mod tls_baseline;
mod void_tickets;

use std::process::ExitCode;
use std::sync::Arc;

use report::Report;

/// The result of a measurement. The error is a message for people.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The amount of work: a full measurement, or just enough to see that the program works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Full,
    Small,
}

impl Size {
    /// Selects one of two values.
    pub(crate) fn of<T>(self, full: T, small: T) -> T {
        match self {
            Self::Full => full,
            Self::Small => small,
        }
    }
}

/// The limit of open files of the site's process, as of `ulimit`. The attackers have their own
/// limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Files {
    /// The soft limit; the process may raise it.
    Soft(u64),
    /// The hard limit.
    Hard(u64),
}

impl Files {
    /// Parses a command-line option.
    fn parse(option: &str) -> Option<Self> {
        let soft = option.strip_prefix("--soft-files=").map(str::parse);
        let hard = option.strip_prefix("--hard-files=").map(str::parse);
        match (soft, hard) {
            (Some(Ok(number)), _) => Some(Self::Soft(number)),
            (_, Some(Ok(number))) => Some(Self::Hard(number)),
            _ => None,
        }
    }

    /// The command-line option for it.
    fn option(self) -> String {
        match self {
            Self::Soft(number) => format!("--soft-files={number}"),
            Self::Hard(number) => format!("--hard-files={number}"),
        }
    }
}

/// The default number of rounds of `names`.
const ROUNDS: usize = 20_000;

const SCENARIOS: [&str; 14] = [
    "slow",
    "held",
    "garbage",
    "half",
    "wrong",
    "unauthenticated",
    "idle",
    "cut",
    "devices",
    event_streams::NAME,
    "lockdown",
    peer_lockdown::NAME,
    void_tickets::NAME,
    "names",
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, scenario, files @ ..] = &arguments[..]
        && mode == server::MODE
    {
        let files = files.first().and_then(|option| Files::parse(option));
        return report::exit(server::run(scenario, files));
    }
    if arguments
        .first()
        .is_some_and(|mode| mode == tls_baseline::MODE)
    {
        return report::exit(tls_baseline::run());
    }
    if arguments
        .first()
        .is_some_and(|mode| mode == sse_baseline::MODE)
    {
        return report::exit(sse_baseline::run());
    }
    let (options, names): (Vec<&str>, Vec<&str>) = arguments
        .iter()
        .map(String::as_str)
        .partition(|argument| argument.starts_with('-'));
    let mut size = Size::Full;
    let mut json = false;
    let mut rounds = None;
    let mut files = None;
    for option in options {
        match (option, option.strip_prefix("--rounds=").map(str::parse)) {
            ("--json", _) => json = true,
            ("--small", _) => size = Size::Small,
            (_, Some(Ok(number))) => rounds = Some(number),
            _ if Files::parse(option).is_some() => files = Files::parse(option),
            _ => return report::misused(option, &SCENARIOS.join(", ")),
        }
    }
    if let Some(unknown) = names.iter().find(|name| !SCENARIOS.contains(name)) {
        return report::misused(unknown, &SCENARIOS.join(", "));
    }
    let rounds = rounds.unwrap_or(size.of(ROUNDS, 200));
    let mut report = Report::new(json);
    for scenario in SCENARIOS {
        if names.is_empty() || names.contains(&scenario) {
            match run(scenario, size, rounds, files) {
                Ok(rows) => report.take(scenario, &rows),
                Err(error) => return report::exit(Err(error)),
            }
        }
    }
    let missed = report.missed();
    report.finish();
    report::exit(verdict(size, missed))
}

/// The result for this number of missed targets.
fn verdict(size: Size, missed: usize) -> Result<()> {
    match (size, missed) {
        (Size::Small, _) | (Size::Full, 0) => Ok(()),
        (Size::Full, missed) => Err(format!("targets missed: {missed}").into()),
    }
}

/// Runs one scenario against a site of its own.
pub(crate) fn run(
    scenario: &str,
    size: Size,
    rounds: usize,
    files: Option<Files>,
) -> Result<Vec<report::Row>> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let site = Arc::new(site::Running::start(scenario, files).await?);
        match scenario {
            "unauthenticated" => memory::unauthenticated(&site, size).await,
            "idle" => memory::idle(&site, size).await,
            "cut" => cut::run(&site, size).await,
            "devices" => devices::run(&site, size).await,
            event_streams::NAME => event_streams::run(&site, size).await,
            "lockdown" => lockdown::run(&site, size).await,
            peer_lockdown::NAME => peer_lockdown::run(&site, size).await,
            void_tickets::NAME => void_tickets::run(&site, size).await,
            "names" => {
                let mut rows = names::run(&site, rounds).await?;
                rows.extend(tickets::run(&site, rounds / 4).await?);
                let short_memory = site::Running::start(activity::SITE, files).await?;
                rows.extend(activity::run(&short_memory, size.of(9, 1)).await?);
                Ok(rows)
            }
            flood => floods::run(&site, flood, size, files).await,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::{Row, Unit};

    #[test]
    fn a_missed_target_fails_the_program_at_full_size() {
        let mut report = Report::new(true);
        let row = |figure| Row::new("a figure", figure, Unit::Count);
        report.take("some", &[row(1.0).at_most(1.0), row(1.0).at_least(1.0)]);
        report.take("some", &[row(2.0)]);
        let all_met = report.missed();
        report.take("some", &[row(2.0).at_most(1.0), row(f64::NAN).at_most(1.0)]);
        assert_eq!((all_met, report.missed()), (0, 2));
        assert!(verdict(Size::Full, 0).is_ok() && verdict(Size::Small, 2).is_ok());
        assert!(verdict(Size::Full, 1).is_err());
    }
}
