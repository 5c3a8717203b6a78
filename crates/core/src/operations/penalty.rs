//! `penalty`: rate-limit penalties of source addresses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::NoParams;
use crate::access::Role;
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Context, Entry, ParameterIs, Refusal};
use crate::store::Notice;
use crate::throttle::{Penalty, Source};
use crate::timestamp::Timestamp;

pub(super) fn entries() -> Vec<Entry> {
    let admin = [Role::Admin];
    vec![
        Entry::new("penalty", "list")
            .summary("Lists the sources with abuse points, those with the most points first.")
            .allow(&admin)
            .rest(RestMethod::Get, "/penalties")
            .handler(list),
        Entry::new("penalty", "forget")
            .summary("Clears the penalty of one source, or of all sources, so that they are admitted again.")
            .allow(&admin)
            .changes()
            .disruptive_when(
                "source",
                ParameterIs::Absent,
                "removes the points and penalties of all sources",
            )
            .rest(RestMethod::Post, "/penalties/forget")
            .example(json!({ "source": "192.0.2.7" }))
            .handler(forget),
    ]
}

/// The sources with abuse points.
#[derive(Debug, Serialize, JsonSchema)]
struct Penalties {
    /// The sources, those with the most points first.
    entries: Vec<PenaltyView>,
}

/// A source with abuse points.
#[derive(Debug, Serialize, JsonSchema)]
struct PenaltyView {
    /// An IPv4 address, or an IPv6 /64.
    source: Source,
    /// The source's current abuse points; one point expires per second.
    points: u64,
    /// How many penalties in a row the source has had; each lasts twice as long as the previous
    /// one.
    times: u32,
    /// When the current penalty ends; absent when there is none.
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
            "{}  {} points  rejected until {until}",
            entry.source, entry.points
        ),
        None => format!("{}  {} points", entry.source, entry.points),
    };
    let text = entries.iter().map(line).collect::<Vec<_>>().join("\n");
    Ok(Answer::new(Penalties { entries }).with_output(text))
}

/// Selects the penalties to clear.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Forget {
    /// The source's IP address; all sources when left out.
    source: Option<Source>,
}

/// The result of clearing penalties.
#[derive(Debug, Serialize, JsonSchema)]
struct Forgotten {
    /// How many sources had abuse points.
    sources: usize,
}

async fn forget(context: Context, params: Forget) -> Result<Answer<Forgotten>, Refusal> {
    let target = params.source.map(|source| source.to_string());
    let details = json!({ "all": params.source.is_none() });
    let notice = Notice::PenaltiesForgotten(params.source);
    let committed = context.commit(notice, target, details).await?;
    let sources = committed.effects.penalties_forgotten;
    Ok(Answer::new(Forgotten { sources }).with_output(format!("Cleared {sources} sources.")))
}
