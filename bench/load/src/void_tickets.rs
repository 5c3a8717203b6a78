//! The time from `app lock` to the event that tells every provider with a session which tickets are void.

use countersign_client::{Client, Connector, Events, LoginAs};
use serde_json::json;
use tokio::task::JoinSet;

use crate::report::{Row, Unit, percentile};
use crate::server::CONSUMER;
use crate::site::{Running, millis, now};
use crate::{Result, Size, admin};

/// The name of the scenario.
pub(crate) const NAME: &str = "void-tickets";

/// Locks and unlocks an application, while many sessions wait for the event.
pub(crate) async fn run(site: &Running, size: Size) -> Result<Vec<Row>> {
    let (count, rounds) = (size.of(1_000, 8), size.of(5, 1));
    let connector = Connector::new(&site.uri);
    let mut sessions = Vec::with_capacity(count);
    for _ in 0..count {
        let login = LoginAs::Service(site.robot.clone());
        sessions.push(connector.connect(login).await?);
    }
    let app = json!({ "id": CONSUMER });
    let mut took = Vec::with_capacity(count * rounds);
    for _ in 0..rounds {
        let begun = now();
        let mut told = JoinSet::new();
        for events in sessions.iter().map(Client::events) {
            told.spawn(async move { is_told(events).await.map(|()| begun.elapsed()) });
        }
        admin::run(site, "app", "lock", &app).await?;
        while let Some(elapsed) = told.join_next().await {
            took.push(millis(elapsed??));
        }
        admin::run(site, "app", "unlock", &app).await?;
    }
    let what = |name: &str| format!("{name} from `app lock` to its event in {count} sessions");
    Ok(vec![
        Row::new(what("p50"), percentile(&took, 50), Unit::Milliseconds),
        Row::new(what("p99"), percentile(&took, 99), Unit::Milliseconds).at_most(1_000.0),
    ])
}

/// Waits for the event.
async fn is_told(mut events: Events) -> Result<()> {
    while let Some(event) = events.next().await {
        if (&*event.group, &*event.event) == ("broker", "tickets_void") {
            return Ok(());
        }
    }
    Err("a session ended before the event".into())
}
