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
        /// Account name: `name` or `name@zone`.
        name: String,
        /// Public key that `key new` wrote (the `.pub` file).
        #[arg(long, value_name = "FILE")]
        public_key: Option<PathBuf>,
        /// Full name, for display.
        #[arg(long = "name", value_name = "FULL NAME")]
        full_name: Option<String>,
    },
    /// Lists services by name.
    List {
        /// Only services whose name, or a word of whose full name begins with this text.
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
    },
    /// Shows a service and its keys.
    Show {
        /// Account name.
        name: String,
    },
    /// Prevents a service from logging in for a time, and ends its sessions.
    Lock {
        /// Account name.
        name: String,
    },
    /// Allows a locked service to log in again.
    Unlock {
        /// Account name.
        name: String,
    },
    /// Retires a service, which can no longer log in; ends its sessions.
    Disable {
        /// Account name.
        name: String,
    },
    /// Allows a disabled service to log in again.
    Enable {
        /// Account name.
        name: String,
    },
    /// Deletes a service permanently and ends its sessions.
    Delete {
        /// Account name.
        name: String,
    },
    /// The keys with which a service logs in.
    #[command(subcommand)]
    Key(Key),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Lists the keys of a service.
    List {
        /// Account name of the service.
        name: String,
    },
    /// Adds a key; existing keys stay valid.
    Add {
        /// Account name of the service.
        name: String,
        /// Public key that `key new` wrote (the `.pub` file).
        #[arg(long, value_name = "FILE")]
        public_key: PathBuf,
        /// Label of the key.
        #[arg(long)]
        label: Option<String>,
    },
    /// Revokes a key and ends the sessions that were opened with it.
    Revoke {
        /// Account name of the service.
        name: String,
        /// Thumbprint of the key.
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
        Verb::List { search } => {
            let params = given(json!({ "search": search }));
            list(common, "service", "list", params)
        }
        Verb::Show { name } => simple("show", name),
        Verb::Lock { name } => simple("lock", name),
        Verb::Unlock { name } => simple("unlock", name),
        Verb::Disable { name } => simple("disable", name),
        Verb::Enable { name } => simple("enable", name),
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
