//! `alarm`: what people must learn of, and whether they were told.

mod deliveries;
mod preferences;
mod view;

use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::account;
use crate::access::Role;
use crate::accounts::Kind;
use crate::alarms::{AlarmData, AlarmKey, AlarmText, Raiser, Severity, Target};
use crate::engine::{Answer, Changes, Context, Entry, NewAlarm, Raised, Refusal};
use crate::id::AccountId;
use crate::store::AlarmSearch;
use crate::throttle::Rate;
use view::AlarmView;

/// How often an operation decides anew when another change came first.
const TRIES: usize = 4;
/// Alarms that one `alarm over` ends: each may have 1,000 recipients.
const ENDED_AT_ONCE: u32 = 20;

pub(super) fn entries() -> Vec<Entry> {
    let (admin, member) = ([Role::Admin], [Role::Member]);
    let raisers = [Role::Admin, Role::Service];
    vec![
        Entry::new("alarm", "raise")
            .summary("Raises an alarm for a person or for `admins`, or repeats the one of the same key.")
            .allow(&raisers)
            .changes()
            .example(json!({ "to": "admins", "severity": "warning", "text": "The disk is nearly full.", "key": "disk" }))
            .handler(raise),
        Entry::new("alarm", "list")
            .summary("Lists alarms, newest first; admins see all, members those that they were told of.")
            .allow(&admin)
            .allow_own(&member)
            .example(json!({ "state": "open", "limit": 10 }))
            .handler(view::list),
        Entry::new("alarm", "show")
            .summary("Shows an alarm and its recipients; members see themselves among these.")
            .allow(&admin)
            .allow_own(&member)
            .example(json!({ "id": "019523d0-5c00-7000-8000-000000000000" }))
            .handler(view::show),
        Entry::new("alarm", "acknowledge")
            .summary("Acknowledges an alarm: no more messages are sent about it.")
            .allow(&admin)
            .allow_own(&member)
            .changes()
            .example(json!({ "id": "019523d0-5c00-7000-8000-000000000000" }))
            .handler(view::acknowledge),
        Entry::new("alarm", "over")
            .summary("Ends the alarms of a key: a service its own, an admin those of all.")
            .allow(&raisers)
            .changes()
            .example(json!({ "key": "disk" }))
            .handler(over),
        Entry::new("alarm", "test")
            .summary("Sends a test alarm to yourself, in place of the one before.")
            .allow_own(&[Role::Admin, Role::Member])
            .changes()
            .example(json!({ "severity": "critical" }))
            .handler(test),
        Entry::new("alarm", "preferences")
            .summary("Shows how you want to be told of alarms, or changes what is given; admins name any person.")
            .allow(&admin)
            .allow_own(&member)
            .changes()
            .example(json!({ "language": "de", "time_zone": "Europe/Berlin", "quiet_from": "22:00", "quiet_to": "07:00" }))
            .handler(preferences::preferences),
        Entry::new("alarm", "deliveries")
            .summary("Lists the deliveries of alarms, oldest first.")
            .allow(&admin)
            .example(json!({ "state": "dead" }))
            .handler(deliveries::list),
        Entry::new("alarm", "retry")
            .summary("Tries a dead delivery again, or up to 100 of them; those with nothing left to tell are cancelled.")
            .allow(&admin)
            .changes()
            .example(json!({ "id": "019523d0-5c00-7000-8000-000000000000" }))
            .handler(deliveries::retry),
    ]
}

/// An alarm to raise.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Raise {
    /// The name of a person, or `admins` for all persons with that role. A person of that name is `admins@zone`.
    to: String,
    /// How much it matters.
    severity: Severity,
    /// What happened, in one line of at most 500 characters; no secrets.
    text: AlarmText,
    /// Its deduplication key, at most 128 characters: as long as an alarm of yours with this key is not over, this
    /// repeats it. Without a key it repeats none.
    key: Option<AlarmKey>,
    /// JSON of at most 4 KiB for programs, which messages leave out; no secrets.
    data: Option<AlarmData>,
}

/// An alarm that was raised.
#[derive(Debug, Serialize, JsonSchema)]
struct RaisedView {
    /// The alarm.
    #[serde(flatten)]
    alarm: AlarmView,
    /// How many recipients it has.
    recipients: usize,
    /// How many deliveries wait because of this. Open connections were told already.
    deliveries: usize,
}

async fn raise(context: Context, params: Raise) -> Result<Answer<RaisedView>, Refusal> {
    if let Some(account) = context.caller().account {
        context.rate(Rate::Raised(account), "alarms")?;
    }
    let to = target(&context, &params.to).await?;
    let new = NewAlarm {
        to,
        severity: params.severity,
        text: params.text,
        key: params.key,
        data: params.data,
    };
    let site = context.site();
    let mut overtaken = None;
    for _ in 0..TRIES {
        let raised = site
            .raise(context.caller(), new.clone(), context.now())
            .await?;
        match commit(&context, raised).await {
            Err(refusal) if refusal.is_conflict() => overtaken = Some(refusal),
            done => return done,
        }
    }
    Err(overtaken.unwrap_or_else(|| Refusal::busy("the alarm changes too often")))
}

async fn commit(context: &Context, raised: Raised) -> Result<Answer<RaisedView>, Refusal> {
    let Raised {
        alarm,
        recipients,
        deliveries,
        changes,
    } = raised;
    let details = json!({
        "to": alarm.to,
        "severity": alarm.severity,
        "count": alarm.count,
        "recipients": recipients,
        "deliveries": deliveries,
    });
    context
        .commit(changes, alarm.id.to_string(), details)
        .await?;
    let done = match alarm.count {
        1 => "Raised",
        _ => "Repeated",
    };
    let said = format!("{done} the alarm {} for {recipients} recipients.", alarm.id);
    let alarm = AlarmView::of(context, alarm).await?;
    Ok(Answer::new(RaisedView {
        alarm,
        recipients,
        deliveries,
    })
    .with_output(said))
}

/// The person or group of that name.
async fn target(context: &Context, name: &str) -> Result<Target, Refusal> {
    if name == Target::ADMINS {
        return Ok(Target::Admins);
    }
    let name: AccountName = name
        .parse()
        .map_err(|error| Refusal::invalid("to", error))?;
    let found = account::find(context, Kind::Person, &name).await;
    let found = found.map_err(|refusal| refusal.of_field("to"))?;
    Ok(Target::Person(found.id))
}

/// Which alarms are over.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Over {
    /// Their key.
    key: AlarmKey,
}

/// What was ended.
#[derive(Debug, Serialize, JsonSchema)]
struct Ended {
    /// How many alarms.
    alarms: usize,
    /// Whether there are more of that key: repeat the operation.
    more: bool,
}

async fn over(context: Context, params: Over) -> Result<Answer<Ended>, Refusal> {
    let caller = context.caller();
    if let Some(account) = caller.account {
        context.rate(Rate::Raised(account), "alarms")?;
    }
    let raiser = match caller.role {
        Role::Admin => None,
        Role::Member | Role::Service => Some(Raiser::of(caller)),
    };
    let search = AlarmSearch {
        raiser,
        current_key: Some(params.key.clone()),
        limit: ENDED_AT_ONCE + 1,
        ..AlarmSearch::default()
    };
    let site = context.site();
    let mut overtaken = None;
    for _ in 0..TRIES {
        let mut found = site.store().alarms(&search).await?;
        if found.is_empty() {
            let key = params.key.as_str();
            return Err(Refusal::not_found("alarm with the key", key).of_field("key"));
        }
        let more = found.len() > ENDED_AT_ONCE as usize;
        found.truncate(ENDED_AT_ONCE as usize);
        let alarms = found.len();
        let mut changes = Changes::default();
        for alarm in found {
            changes = changes.with(site.end_alarm(alarm, context.now()).await?);
        }
        let details = json!({ "alarms": alarms });
        match context
            .commit(changes, params.key.as_str().to_owned(), details)
            .await
        {
            Err(refusal) if refusal.is_conflict() => overtaken = Some(refusal),
            Err(refusal) => return Err(refusal),
            Ok(_) => {
                let said = match more {
                    true => format!("Ended {alarms} alarms; there are more."),
                    false => format!("Ended {alarms} alarms."),
                };
                return Ok(Answer::new(Ended { alarms, more }).with_output(said));
            }
        }
    }
    Err(overtaken.unwrap_or_else(|| Refusal::busy("the alarms change too often")))
}

/// How a test alarm is to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Test {
    /// How much it is to matter; `info` when left out.
    severity: Option<Severity>,
}

async fn test(context: Context, params: Test) -> Result<Answer<RaisedView>, Refusal> {
    let account: AccountId = account::own(&context).await?.id;
    context.rate(Rate::AlarmSettings(account), "test alarms")?;
    let severity = params.severity.unwrap_or(Severity::Info);
    let (site, caller) = (context.site(), context.caller());
    let raised = site
        .test_alarm(caller, account, severity, context.now())
        .await?;
    commit(&context, raised).await
}
