//! `event`: the newest events. Over HTTP they come as a stream too.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::{Limit, Listing};
use crate::access::{Channel, Role};
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Context, Entry, Refusal};
use crate::sessions::{EventId, Viewer};

pub(super) fn entries() -> Vec<Entry> {
    vec![
        Entry::new("event", "list")
            .for_programs()
            .summary(
                "Lists the newest events for your account, oldest first. The site keeps 1,024 events until it \
                restarts. Over HTTP, `Accept: text/event-stream` follows them.",
            )
            .allow_own(&Role::ALL)
            .also_on(Channel::Device)
            .rest(RestMethod::Get, "/events")
            .streams_events()
            .example(json!({ "limit": 10 }))
            .handler(list),
    ]
}

/// Selects a page of the list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    /// The event after which the page begins: `next` or `last` of an earlier page.
    after: Option<EventId>,
    /// The maximum number of entries: 1 to 1000, default 100.
    #[serde(default)]
    limit: Limit,
}

/// An event.
#[derive(Debug, Serialize, JsonSchema)]
struct EventView {
    /// The id of the event.
    id: EventId,
    /// The group, such as `alarm`.
    group: String,
    /// The event within its group, such as `raised`.
    event: String,
    /// What the event tells.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    data: Box<RawValue>,
}

/// A page of events.
#[derive(Debug, Serialize, JsonSchema)]
struct EventPage {
    /// The events.
    #[serde(flatten)]
    page: Listing<EventView>,
    /// Pass this as `after` later to get the events after this page.
    last: EventId,
    /// Whether events may be missing before this page, because the site does not know the event
    /// `after` any more. Read again what you show.
    missed: bool,
}

async fn list(context: Context, params: List) -> Result<Answer<EventPage>, Refusal> {
    let viewer = Viewer::of_caller(context.caller());
    let viewer = viewer.ok_or_else(|| Refusal::invalid("", "events are those of an account"))?;
    let recent = context.site().events().recent(params.after, &viewer);
    let mut last = recent.last;
    let views = recent.events.into_iter().map(|(id, event)| EventView {
        id,
        group: event.group.clone(),
        event: event.event.clone(),
        data: event.data.clone(),
    });
    let page = Listing::of(views.collect(), params.limit, |view| view.id.to_string());
    if let (Some(_), Some(shown)) = (&page.next, page.entries.last()) {
        last = shown.id;
    }
    let output = page.lines(|view| format!("{}  {} {}", view.id, view.group, view.event));
    let missed = recent.missed;
    Ok(Answer::new(EventPage { page, last, missed }).with_output(output))
}
