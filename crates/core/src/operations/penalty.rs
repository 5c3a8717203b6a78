//! `penalty`: the sources that misbehaved.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::NoParams;
use crate::access::Role;
use crate::engine::{Answer, Context, Entry, Refusal};
use crate::store::Notice;
use crate::throttle::{Penalty, Source};
use crate::timestamp::Timestamp;

pub(super) fn entries() -> Vec<Entry> {
    let admin = [Role::Admin];
    vec![
        Entry::new("penalty", "list")
            .summary("Lists the sources that misbehaved lately, the worst first.")
            .allow(&admin)
            .handler(list),
        Entry::new("penalty", "forget")
            .summary("Forgets what a source did, or what all did: they are let in again.")
            .allow(&admin)
            .changes()
            .example(json!({ "source": "192.0.2.7" }))
            .handler(forget),
    ]
}

/// The sources that misbehaved.
#[derive(Debug, Serialize, JsonSchema)]
struct Penalties {
    /// The worst first.
    entries: Vec<PenaltyView>,
}

/// A source that misbehaved.
#[derive(Debug, Serialize, JsonSchema)]
struct PenaltyView {
    /// An IPv4 address, or an IPv6 /64.
    source: Source,
    /// Points for what it did; one is forgotten each second.
    points: u64,
    /// How often it was turned away lately; each time is twice as long.
    times: u32,
    /// Until when it is turned away; absent when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

async fn list(context: Context, _: NoParams) -> Result<Answer<Penalties>, Refusal> {
    let now = context.now();
    let all = context.site().throttle().penalties().list(now);
    let view = |(source, penalty): (Source, Penalty)| PenaltyView {
        source,
        points: penalty.points,
        times: penalty.times,
        until: (now < penalty.until).then_some(penalty.until),
    };
    let entries: Vec<PenaltyView> = all.into_iter().map(view).collect();
    let line = |entry: &PenaltyView| match entry.until {
        Some(until) => format!(
            "{}  {} points  turned away until {until}",
            entry.source, entry.points
        ),
        None => format!("{}  {} points", entry.source, entry.points),
    };
    let text = entries.iter().map(line).collect::<Vec<_>>().join("\n");
    Ok(Answer::new(Penalties { entries }).saying(text))
}

/// What to forget.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Forget {
    /// An IP address; all sources when left out.
    source: Option<Source>,
}

/// What was forgotten.
#[derive(Debug, Serialize, JsonSchema)]
struct Forgotten {
    /// How many sources.
    sources: usize,
}

async fn forget(context: Context, params: Forget) -> Result<Answer<Forgotten>, Refusal> {
    let target = params.source.map(|source| source.to_string());
    let details = json!({ "all": params.source.is_none() });
    let notice = Notice::PenaltiesForgotten(params.source);
    let committed = context.commit(notice, target, details).await?;
    let sources = committed.effects.penalties_forgotten;
    Ok(Answer::new(Forgotten { sources }).saying(format!("Forgot {sources} sources.")))
}
