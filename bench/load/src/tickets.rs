//! Measures whether the time of a refusal reveals which applications exist.
//!
//! Each round requests one ticket of each kind, in a random order. The control is a ticket that is
//! granted: the refusal time does not delay it, so the measurement must detect a difference.

use countersign_client::{Client, Connector, LoginAs};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use crate::Result;
use crate::names::shuffled;
use crate::report::{Row, Unit, percentile};
use crate::server::{ALLOWED, CONSUMER, LOCKED_APP, NOT_ALLOWED};
use crate::site::{Running, now};

/// The kinds of requests and their providers. The first is compared with the others; the last is
/// the control.
const KINDS: [(&str, &str); 4] = [
    ("not allowed", NOT_ALLOWED),
    ("no such application", "nothing"),
    ("locked", LOCKED_APP),
    ("control", ALLOWED),
];

/// Runs interleaved rounds.
pub(crate) async fn run(site: &Running, rounds: usize) -> Result<Vec<Row>> {
    let connector = Connector::new(&site.uri);
    let session = connector
        .connect(LoginAs::Service(site.robot.clone()))
        .await?;
    let mut took: [Vec<f64>; 4] = Default::default();
    let mut lengths = Vec::new();
    for _ in 0..rounds {
        for kind in shuffled() {
            let Some(((_, provider), took)) = KINDS.get(kind).zip(took.get_mut(kind)) else {
                continue;
            };
            let (micros, refusal) = ask(&session, provider).await?;
            took.push(micros);
            lengths.extend(refusal);
        }
    }
    if lengths.iter().any(|length| Some(length) != lengths.first()) {
        return Err("the refusals have different lengths".into());
    }
    let medians = took.map(|samples| percentile(&samples, 50));
    let [first, missing, locked, control] = medians;
    let apart = |median: f64| (median / first - 1.0).abs() * 100.0;
    let what = |kind: &str| format!("ticket, {kind} to not allowed: medians apart by hundredths");
    Ok(vec![
        Row::new(
            "ticket, not allowed: median answer",
            first,
            Unit::Microseconds,
        ),
        Row::new(what("no such application"), apart(missing), Unit::Count).at_most(1.0),
        Row::new(what("locked"), apart(locked), Unit::Count).at_most(1.0),
        Row::new(
            what("control, which must differ:"),
            apart(control),
            Unit::Count,
        )
        .at_least(1.0),
    ])
}

/// The time of the response in microseconds, and its length in bytes if it is a refusal.
async fn ask(session: &Client, provider: &str) -> Result<(f64, Option<usize>)> {
    let params = json!({ "app": CONSUMER, "providers": [provider] });
    let begun = now();
    let outcome = session
        .outcome("broker", "ticket", to_raw_value(&params)?)
        .await?;
    let took = begun.elapsed().as_secs_f64() * 1e6;
    let data = outcome.data.get();
    let answered: Value = serde_json::from_str(data)?;
    let refused = answered.pointer("/tickets/0/refused").is_some();
    Ok((took, refused.then_some(data.len())))
}
