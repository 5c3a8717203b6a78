//! How soon a session that an admin cuts is dead.

use countersign_client::{Connector, Who};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::report::{Row, Unit, percentile};
use crate::site::{Running, millis, now};
use crate::{Result, Size};

pub(crate) async fn run(site: &Running, size: Size) -> Result<Vec<Row>> {
    let mut admin = BufReader::new(UnixStream::connect(&site.admin_socket).await?);
    let count = size.of(200, 5);
    let mut took = Vec::new();
    for _ in 0..count {
        let connector = Connector::new(&site.uri).resumes_for(std::time::Duration::ZERO);
        let client = connector.connect(Who::Service(site.robot.clone())).await?;
        let mut events = client.events();
        admin.get_mut().write_all(listing().as_bytes()).await?;
        let mut line = String::new();
        admin.read_line(&mut line).await?;
        let listed: serde_json::Value = serde_json::from_str(&line)?;
        let id = listed.pointer("/data/entries/0/id").ok_or("no session")?;
        let cut = json!({ "id": 1, "group": "session", "command": "cut", "params": { "id": id } });
        let begun = now();
        admin
            .get_mut()
            .write_all(format!("{cut}\n").as_bytes())
            .await?;
        // The session's events end with its connection.
        while events.next().await.is_some() {}
        took.push(millis(begun.elapsed()));
        line.clear();
        admin.read_line(&mut line).await?;
    }
    let what = |name: &str| format!("{name} from `session cut` to a dead connection");
    Ok(vec![
        Row::new(what("p50"), percentile(&took, 50), Unit::Milliseconds),
        Row::new(what("p99"), percentile(&took, 99), Unit::Milliseconds).at_most(1_000.0),
    ])
}

/// The open sessions; the last one is the only one here.
fn listing() -> String {
    let list = json!({ "id": 1, "group": "session", "command": "list", "params": {} });
    format!("{list}\n")
}
