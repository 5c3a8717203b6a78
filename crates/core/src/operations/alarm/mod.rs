//! `alarm`: alarms, their deliveries and the preferences of people.

mod deliveries;
mod over;
mod preferences;
mod view;

use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::account;
use crate::access::{Channel, Role};
use crate::accounts::Kind;
use crate::alarms::{AlarmData, AlarmKey, AlarmText, Severity, Target};
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Context, Entry, NewAlarm, Raised, Refusal};
use crate::id::AccountId;
use crate::throttle::Rate;
use view::AlarmView;

/// The limit on attempts to commit when concurrent changes conflict.
const MAX_TRIES: usize = 4;

pub(super) fn entries() -> Vec<Entry> {
    let (admin, member) = ([Role::Admin], [Role::Member]);
    let raisers = [Role::Admin, Role::Service];
    vec![
        Entry::new("alarm", "raise")
            .summary("Raises an alarm for a person or for `admins`, or repeats the alarm with the same key.")
            .allow(&raisers)
            .changes()
            .rest(RestMethod::Post, "/alarms")
            .example(json!({ "to": "admins", "severity": "warning", "text": "The disk is nearly full.", "key": "disk" }))
            .handler(raise),
        Entry::new("alarm", "list")
            .summary("Lists alarms, newest first. Admins see all, members those with themselves as a recipient.")
            .allow(&admin)
            .allow_own(&member)
            .also_on(Channel::Device)
            .rest(RestMethod::Get, "/alarms")
            .example(json!({ "state": "open", "limit": 10 }))
            .handler(view::list),
        Entry::new("alarm", "show")
            .summary("Shows an alarm and its recipients. Members see no other recipients.")
            .allow(&admin)
            .allow_own(&member)
            .also_on(Channel::Device)
            .rest(RestMethod::Get, "/alarms/{id}")
            .example(json!({ "id": "019523d0-5c00-7000-8000-000000000000" }))
            .handler(view::show),
        Entry::new("alarm", "acknowledge")
            .summary("Acknowledges an alarm, which stops all its deliveries.")
            .allow(&admin)
            .allow_own(&member)
            .also_on(Channel::Device)
            .changes()
            .rest(RestMethod::Post, "/alarms/{id}/acknowledge")
            .example(json!({ "id": "019523d0-5c00-7000-8000-000000000000" }))
            .handler(view::acknowledge),
        Entry::new("alarm", "over")
            .summary("Ends one alarm, or the alarms with a key: a service its own, an admin those of all raisers.")
            .allow(&raisers)
            .changes()
            .rest(RestMethod::Post, "/alarms/over")
            .example(json!({ "key": "disk" }))
            .handler(over::over),
        Entry::new("alarm", "test")
            .summary("Sends a test alarm to yourself and deletes the previous one.")
            .allow_own(&[Role::Admin, Role::Member])
            .also_on(Channel::Device)
            .changes()
            .rest(RestMethod::Post, "/alarms/test")
            .example(json!({ "severity": "critical" }))
            .handler(test),
        Entry::new("alarm", "preferences_show")
            .command_line("alarm preferences")
            .summary("Shows your preferences for alarms. Admins can name any person.")
            .allow(&admin)
            .allow_own(&member)
            .rest(RestMethod::Get, "/alarm-preferences")
            .example(json!({ "person": "maria" }))
            .handler(preferences::show),
        Entry::new("alarm", "preferences")
            .summary("Changes the given preferences of yours for alarms, and shows them. Admins can name any person.")
            .allow(&admin)
            .allow_own(&member)
            .changes()
            .rest(RestMethod::Patch, "/alarm-preferences")
            .example(json!({ "language": "de", "time_zone": "Europe/Berlin", "quiet_from": "22:00", "quiet_to": "07:00" }))
            .handler(preferences::preferences),
        Entry::new("alarm", "deliveries")
            .summary("Lists the deliveries of alarms, oldest first.")
            .allow(&admin)
            .rest(RestMethod::Get, "/alarm-deliveries")
            .example(json!({ "state": "dead" }))
            .handler(deliveries::list),
        Entry::new("alarm", "retry")
            .summary("Retries a dead delivery, or up to 100 of them, and cancels those of acknowledged or ended alarms.")
            .allow(&admin)
            .changes()
            .rest(RestMethod::Post, "/alarm-deliveries/retry")
            .example(json!({ "id": "019523d0-5c00-7000-8000-000000000000" }))
            .handler(deliveries::retry),
    ]
}

/// An alarm to be raised.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Raise {
    /// The name of a person, or `admins` for all persons with that role. Write `admins@zone` for a
    /// person with the name `admins`.
    to: String,
    /// Its severity.
    severity: Severity,
    /// What happened, in one line of at most 500 characters. It must not contain a secret.
    text: AlarmText,
    /// Its deduplication key, at most 128 characters. If your alarm with this key and the same `to`
    /// is not over, it is repeated. Without a key, no alarm is repeated.
    key: Option<AlarmKey>,
    /// JSON of at most 4 KiB for programs. Messages do not include it. It must not contain a
    /// secret.
    data: Option<AlarmData>,
}

/// A raised or repeated alarm.
#[derive(Debug, Serialize, JsonSchema)]
struct RaisedView {
    /// The alarm.
    #[serde(flatten)]
    alarm: AlarmView,
    /// The number of its recipients.
    recipients: usize,
    /// The number of new deliveries. Events for open connections are not counted.
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
    let mut conflict = None;
    for _ in 0..MAX_TRIES {
        let raised = site
            .raise(context.caller(), new.clone(), context.now())
            .await?;
        match commit(&context, raised).await {
            Err(refusal) if refusal.is_conflict() => conflict = Some(refusal),
            done => return done,
        }
    }
    Err(conflict.unwrap_or_else(|| Refusal::busy("the alarm is being changed concurrently")))
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
    let output = format!("{done} the alarm {}. Recipients: {recipients}.", alarm.id);
    let alarm = AlarmView::of(context, alarm).await?;
    Ok(Answer::new(RaisedView {
        alarm,
        recipients,
        deliveries,
    })
    .with_output(output))
}

/// Finds the person or group with this name.
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

/// A test alarm.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Test {
    /// Its severity. The default is `info`.
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
