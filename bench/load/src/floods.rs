//! Honest logins without an attack, and during a flood.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::throttle::LoginThrottleLimits;

use crate::admin;
use crate::attack::{Attack, Flights};
use crate::honest::{Honest, Kind, Logins};
use crate::report::{Row, Unit};
use crate::site::Running;
use crate::{Files, Result, Size};

const ADMIN: &str = "admin socket";

/// A flood, and the targets for honest clients during it.
struct Flood {
    /// The kind of attack.
    attack: &'static str,
    /// The number of concurrent attackers.
    at_once: usize,
    /// The maximum ratio of an honest login's p99 to that without an attack.
    max_ratio: f64,
    /// Whether it fails logins of the account that also logs in honestly. Logins from new sources
    /// are delayed then.
    fails_logins: bool,
}

impl Flood {
    fn of(scenario: &str, size: Size) -> Self {
        let (attack, max_ratio) = match scenario {
            "slow" | "held" => ("slow", 2.0),
            "garbage" => ("garbage", 3.0),
            "half" => ("half", 3.0),
            _ => ("wrong", 3.0),
        };
        Self {
            attack,
            at_once: match attack {
                "slow" => size.of(10_000, 200),
                _ => size.of(64, 8),
            },
            max_ratio,
            fails_logins: matches!(attack, "half" | "wrong"),
        }
    }

    /// The target for the p99 of honest logins.
    fn p99(&self, of: &str, kind: Kind, attacked: &Logins, quiet: &Logins) -> Row {
        let (attacked, quiet) = (attacked.percentile(99), quiet.percentile(99));
        let what = format!("{of}: {}: p99", kind.name());
        if kind == Kind::NewSource && self.fails_logins {
            let wait = LoginThrottleLimits::default().max_delay_from_unknown_sources as f64;
            let max = (wait + (self.max_ratio - 1.0) * quiet).ceil();
            return Row::new(what + " less quiet", attacked - quiet, Unit::Milliseconds)
                .at_most(max);
        }
        Row::new(what + " to quiet", attacked / quiet, Unit::Ratio).at_most(self.max_ratio)
    }
}

/// The target for the success of logins, whatever the site's limit of open files.
fn success(what: String, logins: &Logins) -> Row {
    Row::new(what, logins.success(), Unit::Percent).at_least(99.9)
}

pub(crate) async fn run(
    site: &Arc<Running>,
    scenario: &str,
    size: Size,
    files: Option<Files>,
) -> Result<Vec<Row>> {
    let flood = Flood::of(scenario, size);
    let flights = Arc::new(Flights::record(site, size.of(200, 12))?);
    let honest = Honest::arrive(site, size).await?;
    let mut rows = Vec::new();
    let mut quiet = Vec::new();
    for kind in Kind::ALL {
        progress("quiet", kind.name());
        let logins = honest.log_in(kind).await;
        rows.extend(took("quiet", kind.name(), &logins));
        quiet.push((kind, logins));
    }
    rows.extend(took("quiet", ADMIN, &admin::probe(site, size).await));
    let mut first = 0;
    // A single source gets a quarter of all connections at most, whatever its limit.
    let sources = match scenario {
        "held" => &[4_096][..],
        _ => &[1, 64, 4_096][..],
    };
    for sources in size.of(sources, &[16][..]) {
        let of = format!("from {sources} sources");
        // New sources each time, because the earlier ones may be under a rate-limit penalty.
        let from = first..first + sources;
        first = from.end;
        let attack = Attack::begin(site, &flights, flood.attack, flood.at_once, from);
        progress(&of, "the attack begins");
        attack.settled(flood.at_once).await;
        let open = attack.count_open();
        for (kind, quiet) in &quiet {
            progress(&of, kind.name());
            let attacked = honest.log_in(*kind).await;
            let what = format!("{of}: {}: success", kind.name());
            rows.push(success(what, &attacked));
            rows.extend(took(&of, kind.name(), &attacked));
            if !matches!(files, Some(Files::Hard(_))) {
                rows.push(flood.p99(&of, *kind, &attacked, quiet));
            }
        }
        progress(&of, ADMIN);
        let answers = admin::probe(site, size).await;
        let what = format!("{of}: {ADMIN}: success");
        rows.push(Row::new(what, answers.success(), Unit::Percent).at_least(99.9));
        rows.extend(took(&of, ADMIN, &answers));
        let open = open.finish().await?;
        let least = Row::new(
            format!("{of}: attacker's connections held, least"),
            open.least,
            Unit::Count,
        );
        rows.extend([
            Row::new(
                format!("{of}: attacker's attempts to connect"),
                attack.attempts() as f64,
                Unit::Count,
            ),
            Row::new(
                format!("{of}: attacker's connections held, median"),
                open.median,
                Unit::Count,
            ),
            match scenario {
                // A process with 20,000 files reserves half of its connections for sessions.
                "held" => least.at_least(size.of(9_000.0, 200.0)),
                _ => least,
            },
        ]);
        drop(attack);
        tokio::time::sleep(size.of(Duration::from_secs(2), Duration::from_millis(100))).await;
    }
    Ok(rows)
}

/// Prints the present measurement to stderr, because a flood takes minutes and its rows appear at
/// its end.
#[allow(clippy::print_stderr, reason = "rows go to stdout, progress does not")]
fn progress(of: &str, what: &str) {
    eprintln!("{of}: {what}");
}

/// The durations of honest logins or of an admin's requests.
fn took(of: &str, client: &str, logins: &Logins) -> [Row; 2] {
    [50, 99].map(|per_cent| {
        let what = format!("{of}: {client}: p{per_cent}");
        Row::new(what, logins.percentile(per_cent), Unit::Milliseconds)
    })
}
