//! `countersign service`.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::listing::list;
use super::{admin_call, given};
use crate::failure::Failure;
use crate::global::Common;
use crate::input;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Creates a service.
    Create {
        /// `name` or `name@zone`.
        name: String,
        /// The public key that `key new` wrote (the `.pub` file).
        #[arg(long, value_name = "FILE")]
        public_key: Option<PathBuf>,
        /// The name to show.
        #[arg(long = "name", value_name = "FULL NAME")]
        full_name: Option<String>,
    },
    /// Lists services by name.
    List,
    /// Shows a service and its keys.
    Show {
        /// Which one.
        name: String,
    },
    /// Keeps a service from logging in and cuts its sessions.
    Lock {
        /// Which one.
        name: String,
    },
    /// Lets a locked service log in again.
    Unlock {
        /// Which one.
        name: String,
    },
    /// Deletes a service for good and cuts its sessions.
    Delete {
        /// Which one.
        name: String,
    },
    /// The keys that it logs in with.
    #[command(subcommand)]
    Key(Key),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Lists the keys of a service.
    List {
        /// Which service.
        name: String,
    },
    /// Adds a key; those it has stay valid.
    Add {
        /// Which service.
        name: String,
        /// The public key that `key new` wrote (the `.pub` file).
        #[arg(long, value_name = "FILE")]
        public_key: PathBuf,
        /// What to call the key.
        #[arg(long)]
        label: Option<String>,
    },
    /// Takes a key away and cuts the sessions that were opened with it.
    Revoke {
        /// Which service.
        name: String,
        /// Which key.
        thumbprint: String,
    },
}

pub(crate) fn run(common: &Common, verb: Verb) -> Result<(), Failure> {
    let simple = |command: &str, name: String| {
        admin_call(common, "service", command, &json!({ "name": name }))
    };
    match verb {
        Verb::Create {
            name,
            public_key,
            full_name,
        } => {
            let certificate = public_key.as_deref().map(input::public_key).transpose()?;
            let params =
                json!({ "name": name, "full_name": full_name, "certificate": certificate });
            admin_call(common, "service", "create", &given(params))
        }
        Verb::List => list(common, "service", "list", json!({})),
        Verb::Show { name } => simple("show", name),
        Verb::Lock { name } => simple("lock", name),
        Verb::Unlock { name } => simple("unlock", name),
        Verb::Delete { name } => simple("delete", name),
        Verb::Key(Key::List { name }) => {
            admin_call(common, "key", "list", &json!({ "name": name }))
        }
        Verb::Key(Key::Add {
            name,
            public_key,
            label,
        }) => {
            let certificate = input::public_key(&public_key)?;
            let params = json!({ "name": name, "certificate": certificate, "label": label });
            admin_call(common, "key", "add", &given(params))
        }
        Verb::Key(Key::Revoke { name, thumbprint }) => admin_call(
            common,
            "key",
            "revoke",
            &json!({ "name": name, "thumbprint": thumbprint }),
        ),
    }
}
