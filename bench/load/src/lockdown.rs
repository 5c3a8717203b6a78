//! The time from `lockdown site` at the highest level to the end of every session and connection of
//! a device.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::report::{Row, Unit, percentile};
use crate::site::{Running, millis, now};
use crate::{Result, Size, admin, devices, memory};

/// Opens sessions and connections of devices, and ends all of them.
pub(crate) async fn run(site: &Arc<Running>, size: Size) -> Result<Vec<Row>> {
    let count = size.of(5_000, 40);
    let sessions = memory::sessions(site, count).await?;
    let connections = devices::connections(site, count).await?;
    // The start of the lockdown: everything that was sent before is read and discarded.
    let (start, begun) = watch::channel(None);
    let mut ending = JoinSet::new();
    for session in sessions {
        ending.spawn(ended(session, begun.clone()));
    }
    for connection in connections {
        ending.spawn(ended(connection, begun.clone()));
    }
    let _ = start.send(Some(now()));
    let imposed = now();
    admin::run(site, "lockdown", "site", &json!({ "level": "all" })).await?;
    let answered = imposed.elapsed();
    let mut took = Vec::with_capacity(2 * count);
    while let Some(ended) = ending.join_next().await {
        took.push(millis(ended??));
    }
    let what = |name: &str| {
        format!(
            "{name} from `lockdown site` to the end of {count} sessions and {count} connections of devices"
        )
    };
    Ok(vec![
        Row::new(what("p50"), percentile(&took, 50), Unit::Milliseconds),
        Row::new(what("p99"), percentile(&took, 99), Unit::Milliseconds).at_most(1_000.0),
        Row::new(what("maximum"), percentile(&took, 100), Unit::Milliseconds),
        Row::new(
            "response to `lockdown site`",
            millis(answered),
            Unit::Milliseconds,
        ),
    ])
}

/// Reads a connection to its end. Returns the time from the start of the lockdown.
pub(crate) async fn ended(
    mut connection: impl AsyncRead + Unpin,
    begun: watch::Receiver<Option<Instant>>,
) -> Result<Duration> {
    let mut buffer = [0; 2_048];
    // A connection that is reset has ended too.
    while matches!(connection.read(&mut buffer).await, Ok(1..)) {}
    let begun = *begun.borrow();
    let begun = begun.ok_or("a connection ended before the lockdown")?;
    Ok(begun.elapsed())
}
