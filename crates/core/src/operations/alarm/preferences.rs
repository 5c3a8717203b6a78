//! A person's preferences for alarms.

use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::accounts::{Account, Kind};
use crate::alarms::{
    DeliveryChannel, Language, Preferences, QuietHours, TextAddress, TimeOfDay, TimeZoneName,
};
use crate::engine::{Answer, Changes, Context, Refusal};
use crate::operations::{account, proof};
use crate::store::{AlarmChange, Change, StoredPreferences};
use crate::throttle::Rate;

/// Changes of preferences. Absent fields keep their values.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Set {
    /// The person. The default is the caller.
    #[schemars(with = "Option<String>")]
    person: Option<AccountName>,
    /// The language of messages.
    language: Option<Language>,
    /// An IANA time zone, such as `Europe/Berlin`.
    time_zone: Option<TimeZoneName>,
    /// The start of quiet hours, such as `22:00`. During quiet hours only critical alarms are
    /// delivered.
    quiet_from: Option<TimeOfDay>,
    /// The end of quiet hours, such as `07:00`. If it equals `quiet_from`, there are no quiet
    /// hours.
    quiet_to: Option<TimeOfDay>,
    /// The channels in order of preference. A channel that is not in the list is not used. Your own
    /// need a fresh proof.
    channels: Option<Vec<DeliveryChannel>>,
    /// The address for short texts, at most 100 characters: a telephone number, or another address
    /// that the site's webhook accepts. An empty string removes it. Your own
    /// needs a fresh proof.
    text_to: Option<String>,
    /// Whether a message from a person of a peer raises an alarm while you have no open connection.
    peer_messages: Option<bool>,
}

/// Names a person.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Show {
    /// The person. The default is the caller.
    #[schemars(with = "Option<String>")]
    person: Option<AccountName>,
}

/// A person's preferences for alarms.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PreferencesView {
    /// The person.
    #[schemars(with = "String")]
    name: AccountName,
    /// The language of messages.
    language: Language,
    /// The time zone of quiet hours and of times in messages.
    time_zone: TimeZoneName,
    /// The start of quiet hours; absent without quiet hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    quiet_from: Option<TimeOfDay>,
    /// The end of quiet hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    quiet_to: Option<TimeOfDay>,
    /// The channels in order of preference.
    channels: Vec<DeliveryChannel>,
    /// The address for short texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    text_to: Option<TextAddress>,
    /// Whether a message from a person of a peer raises an alarm while the person has no open
    /// connection.
    peer_messages: bool,
}

pub(super) async fn show(
    context: Context,
    params: Show,
) -> Result<Answer<PreferencesView>, Refusal> {
    let account = person(&context, params.person.as_ref()).await?;
    let stored = context.site().store().preferences(account.id).await?;
    let preferences = stored.map(|stored| stored.preferences);
    Ok(view(account.name, preferences.unwrap_or_default()))
}

/// The person of this name, or the caller.
async fn person(context: &Context, name: Option<&AccountName>) -> Result<Account, Refusal> {
    let found = match name {
        Some(name) => account::find(context, Kind::Person, name).await,
        None => account::own(context).await,
    };
    found.map_err(|refusal| refusal.of_field("person"))
}

pub(super) async fn preferences(
    context: Context,
    params: Set,
) -> Result<Answer<PreferencesView>, Refusal> {
    let account = person(&context, params.person.as_ref()).await?;
    let stored = context.site().store().preferences(account.id).await?;
    let (before, revision) = stored.map_or_else(
        || (Preferences::default(), 0),
        |stored| (stored.preferences, stored.revision),
    );
    let preferences = changed(before.clone(), params)?;
    if preferences != before {
        if let Some(caller) = context.caller().account {
            context.rate(Rate::AlarmSettings(caller), "changes of preferences")?;
        }
        // A stolen session must not receive the alarms that tell of it.
        let redirects = match () {
            () if preferences.text_to != before.text_to => Some("text_to"),
            () if preferences.channels != before.channels => Some("channels"),
            () => None,
        };
        if let Some(field) = redirects {
            proof::consume_for_alarms(&context, account.id, field)?;
        }
        let stored = StoredPreferences {
            preferences: preferences.clone(),
            revision: revision.saturating_add(1),
        };
        let account_id = account.id;
        let change = Change::Alarm(AlarmChange::PutPreferences {
            account: account_id,
            stored,
        });
        let details = json!({
            "language": preferences.language,
            "time_zone": preferences.time_zone,
            "quiet": preferences.quiet,
            "channels": preferences.channels,
            "text_to_changed": preferences.text_to != before.text_to,
            "peer_messages": preferences.peer_messages,
        });
        let target = account.name.to_string();
        let mut changes = Changes::from(vec![change]);
        if redirects.is_some() && context.caller().account == Some(account_id) {
            let told = context.site().contact_changed(&account, context.now());
            changes = changes.with(told.await?);
        }
        context.commit(changes, target, details).await?;
    }
    Ok(view(account.name, preferences))
}

fn view(name: AccountName, preferences: Preferences) -> Answer<PreferencesView> {
    let Preferences {
        language,
        time_zone,
        quiet,
        channels,
        text_to,
        peer_messages,
    } = preferences;
    let zone = time_zone.as_str();
    let output = match quiet {
        Some(QuietHours { from, to }) => format!("{name}  {zone}  quiet from {from} to {to}"),
        None => format!("{name}  {zone}  no quiet hours"),
    };
    let view = PreferencesView {
        name,
        language,
        time_zone,
        quiet_from: quiet.map(|quiet| quiet.from),
        quiet_to: quiet.map(|quiet| quiet.to),
        channels,
        text_to,
        peer_messages,
    };
    Answer::new(view).with_output(output)
}

fn changed(mut preferences: Preferences, params: Set) -> Result<Preferences, Refusal> {
    if let Some(language) = params.language {
        preferences.language = language;
    }
    if let Some(time_zone) = params.time_zone {
        preferences.time_zone = time_zone;
    }
    let before = preferences.quiet;
    let from = params.quiet_from.or(before.map(|quiet| quiet.from));
    let to = params.quiet_to.or(before.map(|quiet| quiet.to));
    preferences.quiet = match (from, to) {
        (Some(from), Some(to)) => Some(QuietHours { from, to }).filter(|_| from != to),
        (None, None) => None,
        (Some(_), None) => {
            return Err(Refusal::invalid(
                "quiet_to",
                "give both the start and the end of the quiet hours",
            ));
        }
        (None, Some(_)) => {
            return Err(Refusal::invalid(
                "quiet_from",
                "give both the start and the end of the quiet hours",
            ));
        }
    };
    if let Some(channels) = params.channels {
        let [email, text] = DeliveryChannel::ALL.map(|channel| {
            let same = channels.iter().filter(|one| **one == channel);
            same.count()
        });
        if email > 1 || text > 1 {
            return Err(Refusal::invalid("channels", "a channel is named twice"));
        }
        preferences.channels = channels;
    }
    if let Some(peer_messages) = params.peer_messages {
        preferences.peer_messages = peer_messages;
    }
    if let Some(text_to) = params.text_to {
        preferences.text_to = match text_to.is_empty() {
            true => None,
            false => {
                let address = TextAddress::try_from(text_to);
                Some(address.map_err(|error| Refusal::invalid("text_to", error))?)
            }
        };
    }
    Ok(preferences)
}
