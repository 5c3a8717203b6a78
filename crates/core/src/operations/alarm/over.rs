//! `alarm over`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::MAX_TRIES;
use crate::access::Role;
use crate::alarms::{Alarm, AlarmKey, AlarmState, Raiser};
use crate::engine::{Answer, Changes, Context, Refusal};
use crate::id::AlarmId;
use crate::store::AlarmSearch;
use crate::throttle::Rate;

/// The limit on alarms that one `alarm over` ends, because each may have 1,000 recipients.
const MAX_ENDED: u32 = 20;

/// Selects the alarms to end: exactly one field.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Over {
    /// The key of the alarms.
    key: Option<AlarmKey>,
    /// The id of one alarm, whose key others may have too.
    id: Option<AlarmId>,
}

/// The result of ending alarms.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Ended {
    /// The number of ended alarms: 0 for the id of an alarm that was over already.
    alarms: usize,
    /// Whether further alarms with this key exist. If so, repeat the operation.
    more: bool,
}

/// What is to be ended.
enum Which {
    WithKey(AlarmKey),
    One(AlarmId),
}

pub(super) async fn over(context: Context, params: Over) -> Result<Answer<Ended>, Refusal> {
    let which = match (params.key, params.id) {
        (Some(key), None) => Which::WithKey(key),
        (None, Some(id)) => Which::One(id),
        _ => return Err(Refusal::invalid("", "name exactly one of `key` and `id`")),
    };
    if let Some(account) = context.caller().account {
        context.rate(Rate::Ended(account), "attempts to end alarms")?;
    }
    let target = match &which {
        Which::WithKey(key) => key.as_str().to_owned(),
        Which::One(id) => id.to_string(),
    };
    let mut conflict = None;
    for _ in 0..MAX_TRIES {
        let mut found = which.current(&context).await?;
        if found.is_empty() {
            let (alarms, more) = (0, false);
            return Ok(Answer::new(Ended { alarms, more }).with_output("The alarm is over."));
        }
        let more = found.len() > MAX_ENDED as usize;
        found.truncate(MAX_ENDED as usize);
        let alarms = found.len();
        let mut changes = Changes::default();
        for alarm in found {
            changes = changes.with(context.site().end_alarm(alarm, context.now()).await?);
        }
        let details = json!({ "alarms": alarms });
        match context.commit(changes, target.clone(), details).await {
            Err(refusal) if refusal.is_conflict() => conflict = Some(refusal),
            Err(refusal) => return Err(refusal),
            Ok(_) => {
                let output = match more {
                    true => format!("Ended alarms: {alarms}. There are more; repeat the command."),
                    false => format!("Ended alarms: {alarms}."),
                };
                return Ok(Answer::new(Ended { alarms, more }).with_output(output));
            }
        }
    }
    Err(conflict.unwrap_or_else(|| Refusal::busy("the alarms are being changed concurrently")))
}

impl Which {
    /// Finds the alarms that are not over, and one more than are ended at once. A service finds only
    /// its own: an alarm of another raiser is refused as an unknown one is.
    async fn current(&self, context: &Context) -> Result<Vec<Alarm>, Refusal> {
        let (caller, store) = (context.caller(), context.site().store());
        let raiser = match caller.role {
            Role::Admin => None,
            Role::Member | Role::Service => Some(Raiser::of(caller)),
        };
        match self {
            Self::One(id) => {
                let found = store.alarm(*id).await?;
                let found = found.filter(|alarm| raiser.is_none_or(|own| alarm.raiser == own));
                let alarm = found.ok_or_else(|| Refusal::not_found("alarm", id).of_field("id"))?;
                let is_over = alarm.state == AlarmState::Over;
                Ok(if is_over { Vec::new() } else { vec![alarm] })
            }
            Self::WithKey(key) => {
                let search = AlarmSearch {
                    raiser,
                    current_key: Some(key.clone()),
                    limit: MAX_ENDED + 1,
                    ..AlarmSearch::default()
                };
                let found = store.alarms(&search).await?;
                if found.is_empty() {
                    let key = key.as_str();
                    return Err(Refusal::not_found("alarm with the key", key).of_field("key"));
                }
                Ok(found)
            }
        }
    }
}
