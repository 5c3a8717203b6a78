//! `countersign app`: the applications between which the site issues tickets.

mod call;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use countersign_proto::broker::v2::foreign::ForeignName;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::listing::list;
use super::{admin_call, given};
use crate::admin::Admin;
use crate::failure::{Exit, Failure};
use crate::global::Common;
use crate::input;
use crate::input::duration::milliseconds;
use crate::output::show;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Registers an application. It cannot call other applications until you allow it to.
    Create {
        /// Application id.
        id: String,
        /// Public key: for v2 as `key party` writes it, for serveros-v1 RSA in PEM. May be repeated, newest
        /// first.
        #[arg(long = "public-key", value_name = "FILE", required = true)]
        public_keys: Vec<PathBuf>,
        /// Edition of the broker protocol: v2, or serveros-v1 for applications that cannot be changed.
        #[arg(long, default_value = "v2", value_parser = ["v2", "serveros-v1"])]
        edition: String,
        #[command(flatten)]
        settings: Box<Settings>,
        #[command(flatten)]
        allow: Allow,
    },
    /// Lists applications by id.
    List,
    /// Shows an application, its keys and the applications that it may call.
    Show {
        /// Application id.
        id: String,
    },
    /// Changes the properties that are given.
    Update {
        /// Application id.
        id: String,
        #[command(flatten)]
        settings: Box<Settings>,
        #[command(flatten)]
        allow: Allow,
        #[command(flatten)]
        disallow: Disallow,
        #[command(flatten)]
        callers: Callers,
    },
    /// Gives an application a new key; older keys are accepted for a while.
    RotateKey {
        /// Application id.
        id: String,
        /// New public key.
        #[arg(long, value_name = "FILE")]
        public_key: PathBuf,
        /// Label of the key.
        #[arg(long)]
        label: Option<String>,
        /// How long older keys are accepted, such as 90s, 30m, 24h or 7d [default: 1d].
        #[arg(long, value_parser = milliseconds)]
        overlap: Option<u64>,
    },
    /// Shows the ticket that the site would issue for a call, or why it would issue none.
    Ticket {
        /// Id of the consumer, the application that calls; one of a peer as ID@ZONE.
        consumer: String,
        /// Id of the provider, the application that is called; one of a peer as ID@ZONE.
        provider: String,
    },
    /// Sends one HTTP request to a provider, authenticated as an application.
    Call(Box<call::Call>),
    /// Prevents an application from calling and from being called.
    Lock {
        /// Application id.
        id: String,
    },
    /// Allows a locked application to call and to be called again.
    Unlock {
        /// Application id.
        id: String,
    },
    /// Deletes an application permanently.
    Delete {
        /// Application id.
        id: String,
    },
}

/// Properties that `create` and `update` set. A list replaces the previous list; an empty value empties
/// it.
#[derive(Debug, Args, Serialize)]
pub(crate) struct Settings {
    /// Supported hashes, best first (serveros-v1); sha256 must be among them.
    #[arg(long, value_delimiter = ',')]
    #[serde(serialize_with = "names", skip_serializing_if = "Option::is_none")]
    hashes: Option<Vec<String>>,
    /// Supported ciphers, best first (serveros-v1).
    #[arg(long, value_delimiter = ',')]
    #[serde(serialize_with = "names", skip_serializing_if = "Option::is_none")]
    ciphers: Option<Vec<String>>,
    /// Lifetime of tickets for it, such as 90s, 30m or 1h; at most a day.
    #[arg(long, value_parser = milliseconds)]
    #[serde(skip_serializing_if = "Option::is_none")]
    keys_last: Option<u64>,
    /// Any JSON, which providers get unchanged with its tickets; null removes it.
    #[arg(long, value_name = "JSON", value_parser = json_text)]
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_data: Option<Box<RawValue>>,
    /// Groups that it belongs to; replaces the previous ones.
    #[arg(long = "group", value_name = "GROUP", value_delimiter = ',')]
    #[serde(serialize_with = "names", skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<String>>,
    /// Service whose sessions may request tickets and ticket keys for it.
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
}

/// Permissions that `update` adds.
#[derive(Debug, Args)]
pub(crate) struct Allow {
    /// Adds applications that it may call; one of a peer as ID@ZONE.
    #[arg(long, value_name = "ID", value_delimiter = ',', alias = "may-call")]
    allow: Vec<String>,
    /// Adds groups whose applications it may call.
    #[arg(
        long,
        value_name = "GROUP",
        value_delimiter = ',',
        alias = "may-call-group"
    )]
    allow_group: Vec<String>,
}

/// Permissions that `update` removes.
#[derive(Debug, Args)]
pub(crate) struct Disallow {
    /// Removes applications that it may call.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    disallow: Vec<String>,
    /// Removes groups whose applications it may call.
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    disallow_group: Vec<String>,
}

/// Applications of peers that `update` allows to call it, or no longer.
#[derive(Debug, Args)]
pub(crate) struct Callers {
    /// Adds applications of peers that may call it.
    #[arg(long, value_name = "ID@ZONE", value_delimiter = ',')]
    allow_caller: Vec<String>,
    /// Removes applications of peers that may call it.
    #[arg(long, value_name = "ID@ZONE", value_delimiter = ',')]
    disallow_caller: Vec<String>,
}

/// Parameters of `app create`.
#[derive(Serialize)]
struct Create {
    id: String,
    edition: String,
    public_keys: Vec<String>,
    settings: Created,
}

#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    settings: Box<Settings>,
    may_call: Vec<Value>,
}

/// Parameters of `app update`.
#[derive(Serialize)]
struct Update {
    id: String,
    settings: Box<Settings>,
    allow: Vec<Value>,
    disallow: Vec<Value>,
    allow_callers: Vec<String>,
    disallow_callers: Vec<String>,
}

/// Removes empty values: a single empty value means an empty list.
fn names<S: Serializer>(list: &Option<Vec<String>>, serializer: S) -> Result<S::Ok, S::Error> {
    let names = list.iter().flatten().filter(|name| !name.is_empty());
    serializer.collect_seq(names)
}

fn callees(apps: Vec<String>, groups: Vec<String>) -> Vec<Value> {
    let apps = apps.into_iter().map(|id| match id.parse::<ForeignName>() {
        Ok(name) => json!({ "foreign": name }),
        Err(_) => json!({ "app": id }),
    });
    let groups = groups.into_iter().map(|group| json!({ "group": group }));
    apps.chain(groups).collect()
}

pub(crate) fn run(common: &Common, verb: Verb) -> Result<(), Failure> {
    let simple =
        |command: &str, id: String| admin_call(common, "app", command, &json!({ "id": id }));
    match verb {
        Verb::Create {
            id,
            public_keys,
            edition,
            settings,
            allow,
        } => {
            let keys = public_keys.iter().map(|file| input::public_key(file));
            let public_keys = keys.collect::<Result<Vec<String>, Failure>>()?;
            let may_call = callees(allow.allow, allow.allow_group);
            let params = Create {
                id,
                edition,
                public_keys,
                settings: Created { settings, may_call },
            };
            admin_call(common, "app", "create", &params)
        }
        Verb::List => list(common, "app", "list", json!({})),
        Verb::Show { id } => simple("show", id),
        Verb::Update {
            id,
            settings,
            allow,
            disallow,
            callers,
        } => {
            let params = Update {
                id,
                settings,
                allow: callees(allow.allow, allow.allow_group),
                disallow: callees(disallow.disallow, disallow.disallow_group),
                allow_callers: callers.allow_caller,
                disallow_callers: callers.disallow_caller,
            };
            admin_call(common, "app", "update", &params)
        }
        Verb::RotateKey {
            id,
            public_key,
            label,
            overlap,
        } => {
            let params = json!({
                "id": id,
                "public_key": input::public_key(&public_key)?,
                "label": label,
                "overlap": overlap,
            });
            admin_call(common, "app", "rotate_key", &given(params))
        }
        Verb::Ticket { consumer, provider } => {
            let params = json!({ "consumer": consumer, "provider": provider });
            ticket(common, &params)
        }
        Verb::Call(call) => call::call(common, *call),
        Verb::Lock { id } => simple("lock", id),
        Verb::Unlock { id } => simple("unlock", id),
        Verb::Delete { id } => simple("delete", id),
    }
}

/// Shows the content of a ticket.
///
/// # Errors
/// The site would not issue it.
fn ticket(common: &Common, params: &Value) -> Result<(), Failure> {
    let outcome = Admin::connect(&common.data)?.run("app", "ticket", params)?;
    show(&outcome, common.format())?;
    let data: Value = serde_json::from_str(outcome.data.get()).unwrap_or_default();
    match data.get("granted").and_then(Value::as_bool) {
        Some(true) => Ok(()),
        _ => Err(Failure::new(
            Exit::Refused,
            "no_ticket",
            "the site would not issue a ticket",
        )),
    }
}

/// Keeps the JSON as it was typed: numbers of any size stay unchanged.
fn json_text(text: &str) -> Result<Box<RawValue>, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))
}
