//! Honest logins in quiet, and the same beside a flood.

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

/// A flood, and what is promised beside it.
struct Flood {
    /// What its attackers do.
    attack: &'static str,
    /// How many of them there are.
    at_once: usize,
    /// How many times as long as in quiet an honest login may take.
    most: f64,
    /// Whether it guesses at the name of the person who logs in: a stranger of that name has to wait then.
    guesses: bool,
}

impl Flood {
    fn of(scenario: &str, size: Size) -> Self {
        let (attack, most) = match scenario {
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
            most,
            guesses: matches!(attack, "half" | "wrong"),
        }
    }

    /// What is promised of an honest login's p99.
    fn p99(&self, of: &str, kind: Kind, beside: &Logins, quiet: &Logins) -> Row {
        let (beside, quiet) = (beside.percentile(99), quiet.percentile(99));
        let what = format!("{of}: {}: p99", kind.name());
        if kind == Kind::Away && self.guesses {
            let wait = LoginThrottleLimits::default().max_delay_from_unknown_sources as f64;
            let most = (wait + (self.most - 1.0) * quiet).ceil();
            return Row::new(what + " less quiet", beside - quiet, Unit::Milliseconds)
                .at_most(most);
        }
        Row::new(what + " to quiet", beside / quiet, Unit::Ratio).at_most(self.most)
    }
}

/// What is promised of logins, however few files the site may have open.
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
    // One source does not get that many connections, whatever its limit: a quarter of them all at most.
    let sources = match scenario {
        "held" => &[4_096][..],
        _ => &[1, 64, 4_096][..],
    };
    for sources in size.of(sources, &[16][..]) {
        let of = format!("from {sources} sources");
        // Others each time: those of before may be turned away for a while.
        let from = first..first + sources;
        first = from.end;
        let attack = Attack::begin(site, &flights, flood.attack, flood.at_once, from);
        progress(&of, "the attack begins");
        attack.settled(flood.at_once).await;
        let held = attack.held_meanwhile();
        for (kind, quiet) in &quiet {
            progress(&of, kind.name());
            let beside = honest.log_in(*kind).await;
            let what = format!("{of}: {}: success", kind.name());
            rows.push(success(what, &beside));
            rows.extend(took(&of, kind.name(), &beside));
            if !matches!(files, Some(Files::Hard(_))) {
                rows.push(flood.p99(&of, *kind, &beside, quiet));
            }
        }
        progress(&of, ADMIN);
        let answers = admin::probe(site, size).await;
        let what = format!("{of}: {ADMIN}: success");
        rows.push(Row::new(what, answers.success(), Unit::Percent).at_least(99.9));
        rows.extend(took(&of, ADMIN, &answers));
        let held = held.finish().await?;
        let least = Row::new(
            format!("{of}: attacker's connections held, least"),
            held.least,
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
                held.median,
                Unit::Count,
            ),
            match scenario {
                // A process that may have 20,000 files keeps half of its places for sessions.
                "held" => least.at_least(size.of(9_000.0, 200.0)),
                _ => least,
            },
        ]);
        drop(attack);
        tokio::time::sleep(size.of(Duration::from_secs(2), Duration::from_millis(100))).await;
    }
    Ok(rows)
}

/// Tells a person who waits what is measured now: a flood takes minutes, and its rows come at its end.
#[allow(clippy::print_stderr, reason = "rows go to stdout, progress does not")]
fn progress(of: &str, what: &str) {
    eprintln!("{of}: {what}");
}

/// How long honest logins, or an admin's questions, took.
fn took(of: &str, whose: &str, logins: &Logins) -> [Row; 2] {
    [50, 99].map(|per_cent| {
        let what = format!("{of}: {whose}: p{per_cent}");
        Row::new(what, logins.percentile(per_cent), Unit::Milliseconds)
    })
}
