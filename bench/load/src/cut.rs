//! The time from an admin's `session cut` to the end of the connection.

use countersign_client::{Connector, LoginAs};
use countersign_proto::operation::Operation;
use serde_json::json;
use serde_json::value::to_raw_value;

use crate::admin;
use crate::report::{Row, Unit, percentile};
use crate::site::{Running, millis, now};
use crate::{Result, Size};

pub(crate) async fn run(site: &Running, size: Size) -> Result<Vec<Row>> {
    let mut admin = admin::connect(site).await?;
    let list = operation("list", &json!({}))?;
    let count = size.of(200, 5);
    let mut took = Vec::new();
    for _ in 0..count {
        let connector = Connector::new(&site.uri).resume_timeout(std::time::Duration::ZERO);
        let client = connector
            .connect(LoginAs::Service(site.robot.clone()))
            .await?;
        let mut events = client.events();
        let listed = admin::ask(&mut admin, &list).await?;
        let listed: serde_json::Value = serde_json::from_str(listed.data.get())?;
        let id = listed.pointer("/entries/0/id").ok_or("no session")?;
        let cut = operation("cut", &json!({ "id": id }))?;
        let begun = now();
        // The stream of events ends with the connection.
        let ended = async {
            while events.next().await.is_some() {}
            begun.elapsed()
        };
        let (answered, elapsed) = tokio::join!(admin::ask(&mut admin, &cut), ended);
        answered?;
        took.push(millis(elapsed));
    }
    let what = |name: &str| format!("{name} from `session cut` to a dead connection");
    Ok(vec![
        Row::new(what("p50"), percentile(&took, 50), Unit::Milliseconds),
        Row::new(what("p99"), percentile(&took, 99), Unit::Milliseconds).at_most(1_000.0),
    ])
}

/// An operation of the group `session`.
fn operation(command: &str, params: &serde_json::Value) -> Result<Operation> {
    Ok(Operation::new(1, "session", command, to_raw_value(params)?))
}
