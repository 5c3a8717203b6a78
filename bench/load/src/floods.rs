//! Honest logins in quiet, and the same beside a flood.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use countersign_client::{Connector, Who};

use crate::attack::{Attack, Flights};
use crate::report::{Row, Unit, percentile};
use crate::site::{Running, millis, now};
use crate::{Result, Size};

/// Time between two honest logins.
const PACE: Duration = Duration::from_millis(20);

/// Honest logins: how long each took in milliseconds, and how many failed.
struct Honest {
    took: Vec<f64>,
    failed: usize,
}

impl Honest {
    fn success(&self) -> f64 {
        let all = self.took.len() + self.failed;
        self.took.len() as f64 / all.max(1) as f64 * 100.0
    }
}

/// Services that log in at a steady pace, whether those before are done or not.
async fn honest(site: &Arc<Running>, count: usize) -> Honest {
    let mut logins = tokio::task::JoinSet::new();
    let mut pace = tokio::time::interval(PACE);
    for _ in 0..count {
        pace.tick().await;
        let site = site.clone();
        logins.spawn(async move {
            let connector = Connector::new(&site.uri).patience(Duration::from_secs(10));
            let begun = now();
            let client = connector.connect(Who::Service(site.robot.clone())).await;
            let took = begun.elapsed();
            match client {
                Ok(client) => {
                    let _ = client.close().await;
                    Some(millis(took))
                }
                Err(_) => None,
            }
        });
    }
    let all = logins.join_all().await;
    Honest {
        failed: all.iter().filter(|took| took.is_none()).count(),
        took: all.into_iter().flatten().collect(),
    }
}

pub(crate) async fn run(site: &Arc<Running>, flood: &str, size: Size) -> Result<Vec<Row>> {
    let (kind, most): (&'static str, f64) = match flood {
        "slow" => ("slow", 2.0),
        "garbage" => ("garbage", 3.0),
        "half" => ("half", 3.0),
        _ => ("wrong", 3.0),
    };
    let flights = Arc::new(Flights::record(site, size.of(200, 10))?);
    let logins = size.of(1_000, 20);
    honest(site, 10).await;
    let quiet = honest(site, logins).await;
    let (p50, p99) = (percentile(&quiet.took, 50), percentile(&quiet.took, 99));
    let mut rows = vec![
        Row::new("quiet: p50 of honest logins", p50, Unit::Milliseconds),
        Row::new("quiet: p99 of honest logins", p99, Unit::Milliseconds),
    ];
    let at_once = match kind {
        "slow" => size.of(10_000, 200),
        _ => size.of(64, 8),
    };
    for sources in size.of(&[1, 64, 4_096][..], &[16][..]) {
        let attack = Attack::begin(site, &flights, kind, at_once, *sources);
        tokio::time::sleep(size.of(Duration::from_secs(3), Duration::from_millis(300))).await;
        let beside = honest(site, logins).await;
        let connections = attack.connections.load(Ordering::Relaxed);
        drop(attack);
        let of = format!("from {sources} sources");
        let p99_beside = percentile(&beside.took, 99);
        let p50_beside = percentile(&beside.took, 50);
        rows.extend([
            Row::new(
                format!("{of}: honest logins that succeed"),
                beside.success(),
                Unit::Percent,
            )
            .at_least(99.9),
            Row::new(
                format!("{of}: p50 of honest logins"),
                p50_beside,
                Unit::Milliseconds,
            ),
            Row::new(
                format!("{of}: p99 of honest logins"),
                p99_beside,
                Unit::Milliseconds,
            ),
            Row::new(format!("{of}: p99 to quiet"), p99_beside / p99, Unit::Ratio).at_most(most),
            Row::new(
                format!("{of}: attacker's connections"),
                connections as f64,
                Unit::Count,
            ),
        ]);
        tokio::time::sleep(size.of(Duration::from_secs(2), Duration::from_millis(100))).await;
    }
    Ok(rows)
}
