//! `countersign config`.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::admin_call;
use crate::config::{self, Kind};
use crate::failure::{Exit, Failure};
use crate::global::Common;
use crate::output::{print, say};
use crate::site::channels::channels;
use crate::site::folder::Folder;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Checks the configuration file; exit code 8 if it has an error.
    Check {
        /// Configuration file [default: `countersign.toml` in the site's folder].
        file: Option<PathBuf>,
    },
    /// Prints a commented configuration file with the defaults.
    Example,
    /// Lists the settings of the running site and where each value comes from.
    List,
    /// Changes a setting of the running site at once; stored in the database, which the file overrides.
    Set {
        /// Section and key, such as `limits.connections`.
        key: String,
        /// Value; of a list, the entries separated by commas.
        value: String,
    },
    /// Removes a setting from the database, so that its default holds again.
    Unset {
        /// Section and key.
        key: String,
    },
}

pub(crate) fn run(common: &Common, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Check { file } => {
            let file = file.unwrap_or_else(|| Folder::config_in(&common.data));
            let checked = config::read(&file).and_then(|config| channels(&config));
            checked.map_err(|failure| match failure.code.as_str() {
                "config" => Failure {
                    exit: Exit::Problems,
                    ..failure
                },
                _ => failure,
            })?;
            say(format_args!("{} is valid", file.display()));
            Ok(())
        }
        Verb::Example => print(&config::example()),
        Verb::List => admin_call(common, "config", "list", &json!({})),
        Verb::Set { key, value } => {
            let value = typed(&key, &value);
            let params = json!({ "key": key, "value": value });
            admin_call(common, "config", "set", &params)
        }
        Verb::Unset { key } => admin_call(common, "config", "unset", &json!({ "key": key })),
    }
}

/// The value in the type of its setting. A value of another type stays text, which the site refuses with the reason.
fn typed(key: &str, value: &str) -> Value {
    let type_name = match config::find(key).map(|setting| &setting.kind) {
        Some(Kind::Limit(_)) => "integer",
        Some(Kind::Other { type_name, .. }) => type_name,
        None => "",
    };
    let value = value.trim();
    match type_name {
        "integer" => value.parse::<u64>().map_or(value.into(), Value::from),
        "boolean" => value.parse::<bool>().map_or(value.into(), Value::from),
        "list of strings" => {
            let entries = value.split(',').map(str::trim);
            entries.filter(|entry| !entry.is_empty()).collect()
        }
        _ => value.into(),
    }
}
