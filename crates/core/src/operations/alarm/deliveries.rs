//! Operations on the outbox, for admins.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::view::Names;
use crate::alarms::{About, Delivery, DeliveryChannel, DeliveryState, Severity};
use crate::engine::{Answer, Context, Refusal};
use crate::id::{AlarmId, DeliveryId};
use crate::operations::{Limit, Listing};
use crate::store::{AlarmChange, Change, DeliverySearch};
use crate::timestamp::Timestamp;

/// The limit on deliveries that one call retries.
const MAX_RETRIED: u32 = 100;

/// Selects deliveries.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    /// Only deliveries of this alarm.
    alarm: Option<AlarmId>,
    /// Only deliveries in this state.
    state: Option<DeliveryState>,
    /// The id after which the page begins: the `next` of the previous page.
    after: Option<DeliveryId>,
    /// How many entries at most: 1 to 1000, 100 when left out.
    #[serde(default)]
    limit: Limit,
}

/// A delivery.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DeliveryView {
    /// Its id.
    id: DeliveryId,
    /// The alarm.
    alarm: AlarmId,
    /// The recipient's name.
    to: String,
    /// The channel.
    channel: DeliveryChannel,
    /// What it reports about the alarm.
    about: About,
    /// The severity of the alarm when the delivery was written.
    severity: Severity,
    /// Its state.
    state: DeliveryState,
    /// The time of the next attempt. It has no meaning unless the delivery is waiting.
    due: Timestamp,
    /// The number of failed attempts.
    attempts: u32,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
}

impl DeliveryView {
    fn line(&self) -> String {
        let (channel, state) = (self.channel.as_str(), self.state.as_str());
        let error = self.last_error.as_deref().unwrap_or("");
        format!(
            "{}  {}  {channel}  {state}  due {}  {error}",
            self.id, self.to, self.due
        )
    }
}

pub(super) async fn list(
    context: Context,
    params: List,
) -> Result<Answer<Listing<DeliveryView>>, Refusal> {
    let search = DeliverySearch {
        state: params.state,
        after: params.after,
        limit: params.limit.plus_one(),
    };
    let mut names = Names::default();
    let mut views = Vec::new();
    for delivery in found(&context, params.alarm, &search).await? {
        views.push(DeliveryView {
            id: delivery.id,
            alarm: delivery.alarm,
            to: names.name(&context, delivery.account).await?,
            channel: delivery.channel,
            about: delivery.about,
            severity: delivery.severity,
            state: delivery.state,
            due: delivery.due,
            attempts: delivery.attempts,
            last_error: delivery.last_error.map(|error| error.as_str().to_owned()),
        });
    }
    let listing = Listing::of(views, params.limit, |view| view.id.to_string());
    let text = listing.lines(DeliveryView::line);
    Ok(Answer::new(listing).with_output(text))
}

/// The deliveries that match, of one alarm or of all. An alarm has at most one for each recipient,
/// channel and kind of news.
async fn found(
    context: &Context,
    alarm: Option<AlarmId>,
    search: &DeliverySearch,
) -> Result<Vec<Delivery>, Refusal> {
    let store = context.site().store();
    let Some(alarm) = alarm else {
        return Ok(store.deliveries(search).await?);
    };
    let mut found = store.deliveries_of(alarm, None).await?;
    found.retain(|one| {
        search.state.is_none_or(|state| one.state == state)
            && search.after.is_none_or(|after| one.id > after)
    });
    found.sort_by_key(|one| one.id);
    found.truncate(search.limit as usize);
    Ok(found)
}

/// The messages about an alarm. Cancelled ones are not counted.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DeliveryCounts {
    /// How many wait for an attempt.
    waiting: usize,
    /// How many were sent.
    sent: usize,
    /// How many were given up; `alarm retry` sends them again.
    dead: usize,
    /// Why the last attempt of one that waits or was given up failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
}

impl DeliveryCounts {
    pub(super) async fn of(context: &Context, alarm: AlarmId) -> Result<Option<Self>, Refusal> {
        let found = context.site().store().deliveries_of(alarm, None).await?;
        let in_state = |state| found.iter().filter(|one| one.state == state).count();
        let failed = found.iter().filter(|one| {
            matches!(one.state, DeliveryState::Waiting | DeliveryState::Dead)
                && one.last_error.is_some()
        });
        let last = failed.max_by_key(|one| one.attempted);
        let last_error = last.and_then(|one| one.last_error.as_ref());
        let counts = Self {
            waiting: in_state(DeliveryState::Waiting),
            sent: in_state(DeliveryState::Sent),
            dead: in_state(DeliveryState::Dead),
            last_error: last_error.map(|error| error.as_str().to_owned()),
        };
        Ok((!found.is_empty()).then_some(counts))
    }

    /// What an admin should know: messages that failed.
    pub(super) fn trouble(&self) -> Option<String> {
        let error = self.last_error.as_deref()?;
        let (waiting, dead) = (self.waiting, self.dead);
        Some(format!(
            "messages waiting: {waiting}, given up: {dead}: {error}"
        ))
    }
}

/// Selects dead deliveries to retry.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Retry {
    /// The dead delivery to retry. If absent, the oldest dead deliveries are retried.
    id: Option<DeliveryId>,
}

/// The result of a retry.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Retried {
    /// The number of deliveries that are waiting again.
    retried: usize,
    /// The number of cancelled deliveries: their alarms are acknowledged or over.
    cancelled: usize,
    /// Whether further dead deliveries exist. If so, repeat the operation.
    more: bool,
}

pub(super) async fn retry(context: Context, params: Retry) -> Result<Answer<Retried>, Refusal> {
    let (store, now) = (context.site().store(), context.now());
    let mut dead = match params.id {
        Some(id) => {
            let found = store.delivery(id).await?;
            let found = found.ok_or_else(|| Refusal::not_found("delivery", id).of_field("id"))?;
            vec![found]
        }
        None => {
            let search = DeliverySearch {
                state: Some(DeliveryState::Dead),
                after: None,
                limit: MAX_RETRIED + 1,
            };
            store.deliveries(&search).await?
        }
    };
    if let Some(other) = dead.iter().find(|one| one.state != DeliveryState::Dead) {
        let message = format!(
            "the delivery is {}, and only a dead delivery can be retried",
            other.state.as_str()
        );
        let hint = "list dead deliveries with `alarm deliveries` and the state `dead`";
        return Err(Refusal::conflict(message, hint).of_field("id"));
    }
    let more = dead.len() > MAX_RETRIED as usize;
    dead.truncate(MAX_RETRIED as usize);
    let mut changed: Vec<Delivery> = Vec::with_capacity(dead.len());
    for delivery in dead {
        let alarm = store.alarm(delivery.alarm).await?;
        let is_news = alarm.is_some_and(|alarm| match delivery.about {
            About::Raised => alarm.is_open(),
            About::Over => !alarm.is_open() && alarm.acknowledged.is_none(),
        });
        changed.push(delivery.revised(|one| {
            one.state = match is_news {
                true => DeliveryState::Waiting,
                false => DeliveryState::Cancelled,
            };
            (one.due, one.since) = (now, now);
            (one.attempts, one.refusals) = (0, 0);
        }));
    }
    let waiting = changed
        .iter()
        .filter(|one| one.state == DeliveryState::Waiting);
    let retried = waiting.count();
    let cancelled = changed.len() - retried;
    if !changed.is_empty() {
        let change = Change::Alarm(AlarmChange::UpdateDeliveries(changed));
        let details = json!({ "retried": retried, "cancelled": cancelled });
        let target = params.id.map(|id| id.to_string());
        context.commit(change, target, details).await?;
    }
    let output = format!("Deliveries waiting again: {retried}. Deliveries cancelled: {cancelled}.");
    Ok(Answer::new(Retried {
        retried,
        cancelled,
        more,
    })
    .with_output(output))
}
