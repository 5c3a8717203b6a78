//! `countersign app`: applications that call each other.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::listing::list;
use super::{admin_call, given};
use crate::admin::Admin;
use crate::duration::milliseconds;
use crate::failure::{Exit, Failure};
use crate::global::Common;
use crate::input;
use crate::output::show;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Registers an application. It may call nobody until that is said.
    Create {
        /// Its id.
        id: String,
        /// A public key: of v2 as `key party` writes it, of serveros-v1 RSA in PEM. Several, the newest first.
        #[arg(long = "public-key", value_name = "FILE", required = true)]
        public_keys: Vec<PathBuf>,
        /// What it speaks: v2, or serveros-v1 for what cannot be changed.
        #[arg(long, default_value = "v2", value_parser = ["v2", "serveros-v1"])]
        edition: String,
        #[command(flatten)]
        settings: Box<Settings>,
        #[command(flatten)]
        allow: Allow,
    },
    /// Lists applications by id.
    List,
    /// Shows an application, its keys and whom it may call.
    Show {
        /// Which one.
        id: String,
    },
    /// Changes what is given, and leaves the rest.
    Update {
        /// Which one.
        id: String,
        #[command(flatten)]
        settings: Box<Settings>,
        #[command(flatten)]
        allow: Allow,
        #[command(flatten)]
        disallow: Disallow,
    },
    /// Gives an application a new key; those before are accepted for a while.
    RotateKey {
        /// Which one.
        id: String,
        /// Its new public key.
        #[arg(long, value_name = "FILE")]
        public_key: PathBuf,
        /// What to call the key.
        #[arg(long)]
        label: Option<String>,
        /// How long the keys before are accepted, as in 90s, 30m, 24h or 7d; a day when left out.
        #[arg(long, value_parser = milliseconds)]
        overlap: Option<u64>,
    },
    /// Says what a ticket for one to call the other would say, or why there would be none.
    Ticket {
        /// The application that calls.
        consumer: String,
        /// The application that is called.
        provider: String,
    },
    /// Calls an HTTP service that wants to know who calls, as an application.
    Call(Box<super::app_call::Call>),
    /// Keeps an application from calling and from being called.
    Lock {
        /// Which one.
        id: String,
    },
    /// Lets a locked application call and be called again.
    Unlock {
        /// Which one.
        id: String,
    },
    /// Deletes an application for good.
    Delete {
        /// Which one.
        id: String,
    },
}

/// What may be said of an application at any time. A list replaces the one before; an empty text empties it.
#[derive(Debug, Args, Serialize)]
pub(crate) struct Settings {
    /// Hashes that it supports, the best first (serveros-v1); sha256 is one of them.
    #[arg(long, value_delimiter = ',')]
    #[serde(serialize_with = "names", skip_serializing_if = "Option::is_none")]
    hashes: Option<Vec<String>>,
    /// Ciphers that it supports, the best first (serveros-v1).
    #[arg(long, value_delimiter = ',')]
    #[serde(serialize_with = "names", skip_serializing_if = "Option::is_none")]
    ciphers: Option<Vec<String>>,
    /// How long a ticket for it is good, as in 90s, 30m or 1h; a day at most.
    #[arg(long, value_parser = milliseconds)]
    #[serde(skip_serializing_if = "Option::is_none")]
    keys_last: Option<u64>,
    /// What providers are told of it: any JSON, sent as it is given. null takes away what was there.
    #[arg(long, value_name = "JSON", value_parser = json_text)]
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_data: Option<Box<RawValue>>,
    /// Groups that it belongs to, in place of those before.
    #[arg(long = "group", value_name = "GROUP", value_delimiter = ',')]
    #[serde(serialize_with = "names", skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<String>>,
    /// The service that gets tickets and ticket keys for it in its sessions.
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
}

/// Whom an application may call, besides those that it may call already.
#[derive(Debug, Args)]
pub(crate) struct Allow {
    /// Applications that it may call from now on.
    #[arg(long, value_name = "ID", value_delimiter = ',', alias = "may-call")]
    allow: Vec<String>,
    /// Groups whose applications it may call from now on.
    #[arg(
        long,
        value_name = "GROUP",
        value_delimiter = ',',
        alias = "may-call-group"
    )]
    allow_group: Vec<String>,
}

/// Whom an application may not call any more.
#[derive(Debug, Args)]
pub(crate) struct Disallow {
    /// Applications that it may not call any more.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    disallow: Vec<String>,
    /// Groups whose applications it may not call any more.
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    disallow_group: Vec<String>,
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
}

/// Without what is empty: one empty text stands for an empty list.
fn names<S: Serializer>(list: &Option<Vec<String>>, serializer: S) -> Result<S::Ok, S::Error> {
    let names = list.iter().flatten().filter(|name| !name.is_empty());
    serializer.collect_seq(names)
}

fn callees(apps: Vec<String>, groups: Vec<String>) -> Vec<Value> {
    let apps = apps.into_iter().map(|id| json!({ "app": id }));
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
        } => {
            let params = Update {
                id,
                settings,
                allow: callees(allow.allow, allow.allow_group),
                disallow: callees(disallow.disallow, disallow.disallow_group),
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
        Verb::Call(call) => super::app_call::call(common, *call),
        Verb::Lock { id } => simple("lock", id),
        Verb::Unlock { id } => simple("unlock", id),
        Verb::Delete { id } => simple("delete", id),
    }
}

/// Shows what a ticket would say; fails where there would be none.
fn ticket(common: &Common, params: &Value) -> Result<(), Failure> {
    let outcome = Admin::connect(&common.data)?.run("app", "ticket", params)?;
    show(&outcome, common.format())?;
    let data: Value = serde_json::from_str(outcome.data.get()).unwrap_or_default();
    match data.get("granted").and_then(Value::as_bool) {
        Some(true) => Ok(()),
        _ => Err(Failure::new(
            Exit::Refused,
            "no_ticket",
            "there would be no ticket",
        )),
    }
}

/// As it was given: numbers of any size stay what they are.
fn json_text(text: &str) -> Result<Box<RawValue>, String> {
    serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))
}
