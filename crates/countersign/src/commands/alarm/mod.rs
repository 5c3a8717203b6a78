//! `countersign alarm`.

mod watch;

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::listing::list;
use super::login::Login;
use super::{admin_call, given};
use crate::failure::Failure;
use crate::global::Common;
use crate::hint;
use crate::output::show_of;

/// The name of the group of all persons with the role admin.
const ADMINS: &str = "admins";

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Raises an alarm for a person or a group, or repeats the one with the same key.
    Raise(Raise),
    /// Lists alarms, newest first.
    List {
        /// Only those with this person as a recipient.
        #[arg(long, value_name = "NAME")]
        person: Option<String>,
        /// Only those in this state.
        #[arg(long, value_parser = ["open", "acknowledged", "over"])]
        state: Option<String>,
    },
    /// Shows an alarm and its recipients.
    Show {
        /// Id of the alarm.
        id: String,
    },
    /// Acknowledges an alarm: no more messages are sent about it.
    Acknowledge {
        /// Id of the alarm.
        id: String,
    },
    /// Ends the alarms with this key, or one alarm.
    Over {
        /// Deduplication key.
        #[arg(required_unless_present = "id")]
        key: Option<String>,
        /// Only this alarm, by its id.
        #[arg(long, value_name = "ID", conflicts_with = "key")]
        id: Option<String>,
    },
    /// Logs in and sends a test alarm to yourself.
    Test {
        #[command(flatten)]
        login: Login,
        /// Severity of the test alarm [default: info].
        #[arg(long, value_parser = SEVERITIES)]
        severity: Option<String>,
    },
    /// Lists messages about alarms, oldest first, with the reason if one was not delivered.
    Deliveries {
        /// Only those of this alarm, by its id.
        #[arg(long, value_name = "ID")]
        alarm: Option<String>,
        /// Only those in this state.
        #[arg(long, value_parser = ["waiting", "sent", "dead", "cancelled"])]
        state: Option<String>,
    },
    /// Sends messages again that were given up (state `dead`).
    Retry {
        /// Id of one message [default: the 100 oldest].
        id: Option<String>,
    },
    /// Shows a person's preferences for alarms, and changes those that are given.
    Preferences(Preferences),
    /// Logs in and prints your open alarms, and then each change until it is interrupted.
    Watch {
        #[command(flatten)]
        login: Login,
    },
}

/// The values of `--severity`.
const SEVERITIES: [&str; 3] = ["info", "warning", "critical"];

/// The arguments of `alarm raise`.
#[derive(Debug, Args)]
pub(crate) struct Raise {
    /// Account name of a person.
    #[arg(required_unless_present = "group")]
    person: Option<String>,
    /// Raises the alarm for all persons with the role admin instead.
    #[arg(long, value_parser = [ADMINS], conflicts_with = "person")]
    group: Option<String>,
    /// How much the alarm matters; `critical` passes quiet hours.
    #[arg(long, value_parser = SEVERITIES, default_value = "warning")]
    severity: String,
    /// What happened, in one line of at most 500 characters. Put no secrets here: it is sent by e-mail.
    #[arg(long)]
    text: String,
    /// Deduplication key: an alarm with this key that is not over is repeated.
    #[arg(long)]
    key: Option<String>,
    /// JSON for programs, at most 4 KiB; messages do not contain it.
    #[arg(long, value_name = "JSON")]
    alarm_data: Option<String>,
}

/// The arguments of `alarm preferences`.
#[derive(Debug, Args)]
pub(crate) struct Preferences {
    /// Account name of the person.
    person: String,
    /// Language of messages.
    #[arg(long, value_parser = ["en", "de"])]
    language: Option<String>,
    /// Time zone of quiet hours and of times in messages, such as Europe/Berlin.
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Begin of the hours in which only critical alarms are sent, such as 22:00.
    #[arg(long, value_name = "TIME")]
    quiet_from: Option<String>,
    /// End of these hours; the same time as --quiet-from means that there are none.
    #[arg(long, value_name = "TIME")]
    quiet_to: Option<String>,
    /// Channels, first choice first, such as text,email.
    #[arg(long, value_delimiter = ',', value_parser = ["email", "text"])]
    channels: Option<Vec<String>>,
    /// Where texts go, such as a telephone number; empty for nowhere.
    #[arg(long, value_name = "ADDRESS")]
    text_to: Option<String>,
    /// Whether messages from people of peers raise an alarm while the person has no open connection.
    #[arg(long, value_name = "BOOL")]
    peer_messages: Option<bool>,
}

pub(crate) fn run(common: &Common, verb: Verb) -> Result<(), Failure> {
    let call = |command: &str, params: Value| admin_call(common, "alarm", command, &given(params));
    match verb {
        Verb::Raise(raise) => call("raise", raise.params()?),
        Verb::List { person, state } => list(
            common,
            "alarm",
            "list",
            given(json!({ "person": person, "state": state })),
        ),
        Verb::Show { id } => call("show", json!({ "id": id })),
        Verb::Acknowledge { id } => call("acknowledge", json!({ "id": id })),
        Verb::Over { key, id } => call("over", given(json!({ "key": key, "id": id }))),
        Verb::Test { login, severity } => test(common, &login, severity.as_deref()),
        Verb::Deliveries { alarm, state } => list(
            common,
            "alarm",
            "deliveries",
            given(json!({ "alarm": alarm, "state": state })),
        ),
        Verb::Retry { id } => call("retry", json!({ "id": id })),
        Verb::Preferences(preferences) => {
            let params = given(json!({
                "person": preferences.person,
                "language": preferences.language,
                "time_zone": preferences.time_zone,
                "quiet_from": preferences.quiet_from,
                "quiet_to": preferences.quiet_to,
                "channels": preferences.channels,
                "text_to": preferences.text_to,
                "peer_messages": preferences.peer_messages,
            }));
            // The person alone is given.
            let command = match params.as_object().is_some_and(|given| given.len() == 1) {
                true => "preferences_show",
                false => "preferences",
            };
            admin_call(common, "alarm", command, &params)
        }
        Verb::Watch { login } => watch::watch(common, &login),
    }
}

impl Raise {
    fn params(self) -> Result<Value, Failure> {
        // The operation reads this name as the group.
        if self.person.as_deref() == Some(ADMINS) {
            return Err(
                Failure::usage("`admins` is a group: a person of that name has a zone").hint(
                    "give --group admins, or the name with its zone, as in admins@example.org",
                ),
            );
        }
        let data: Option<Value> = match &self.alarm_data {
            Some(text) => Some(serde_json::from_str(text).map_err(|error| {
                Failure::usage(format_args!("--alarm-data is not JSON: {error}")).hint(
                    "write JSON between apostrophes, as in --alarm-data '{\"disk\": \"sda\"}'",
                )
            })?),
            None => None,
        };
        Ok(json!({
            "to": self.person.or(self.group),
            "severity": self.severity,
            "text": self.text,
            "key": self.key,
            "data": data,
        }))
    }
}

/// The person to test is the one who logs in: the admin socket has no person.
fn test(common: &Common, login: &Login, severity: Option<&str>) -> Result<(), Failure> {
    let (runtime, client) = login.connect(common)?;
    let params = given(json!({ "severity": severity }));
    let params = serde_json::value::to_raw_value(&params)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let outcome = runtime.block_on(client.outcome("alarm", "test", params))?;
    // The session ends with the process if the site does not answer the goodbye.
    runtime.block_on(client.close());
    let outcome = hint::of_commands(outcome, Path::new(hint::DEFAULT_FOLDER));
    show_of("alarm test", &outcome, common.format())
}
