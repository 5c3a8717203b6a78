//! `countersign broker`: the keys with which the site issues tickets to applications.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::{admin_call, given};
use crate::admin::Admin;
use crate::failure::{Exit, Failure};
use crate::files::{self, Existing, PUBLIC};
use crate::global::Common;
use crate::input;
use crate::output::{Format, show};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Shows the site's public keys, which applications need.
    Show {
        /// Writes the public keys for v2 to this new file, and shows the fingerprints of the keys instead of them.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// The site's keys as broker, which overlap while applications change to a new one.
    #[command(subcommand)]
    Key(Key),
    /// Gives the site a new or existing RSA key for applications of serveros-v1.
    NewV1Key {
        /// Imports the private key of an existing Serveros master: unencrypted RSA in PEM.
        #[arg(long, value_name = "FILE")]
        private_key: Option<PathBuf>,
        /// Number of older keys that stay valid while applications change to the new one; 0 after a
        /// theft.
        #[arg(long, default_value_t = 1)]
        keep: u8,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Adds a key for v2; the older ones stay valid.
    New,
    /// Lists the keys, newest first.
    List,
    /// Retires a key; applications that know no newer one get no tickets any more.
    Retire {
        /// Fingerprint of the key, from `broker key list`.
        fingerprint: String,
    },
}

pub(crate) fn run(common: &Common, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Show { out: None } => admin_call(common, "broker", "show", &json!({})),
        Verb::Show { out: Some(out) } => {
            let outcome = Admin::connect(&common.data)?.run("broker", "show", &json!({}))?;
            let shown: serde_json::Value = serde_json::from_str(outcome.data.get())
                .map_err(|error| Failure::new(Exit::Failure, "result", error))?;
            let keys = shown.get("public_keys").and_then(|keys| keys.as_array());
            let keys = keys.into_iter().flatten().filter_map(|key| key.as_str());
            let pem: String = keys.collect();
            files::write(&out, PUBLIC, Existing::Kept, pem.as_bytes())?;
            let listed = Admin::connect(&common.data)?.run("broker", "key_list", &json!({}))?;
            match common.format() {
                Format::Text => show(&listed, common.format()),
                Format::Json | Format::Jsonl => show(&outcome, common.format()),
            }
        }
        Verb::Key(Key::New) => admin_call(common, "broker", "key_new", &json!({})),
        Verb::Key(Key::List) => admin_call(common, "broker", "key_list", &json!({})),
        Verb::Key(Key::Retire { fingerprint }) => {
            let params = json!({ "fingerprint": fingerprint });
            admin_call(common, "broker", "key_retire", &params)
        }
        Verb::NewV1Key { private_key, keep } => {
            let private_key = private_key.as_deref().map(input::text).transpose()?;
            let params = given(json!({ "private_key": private_key, "keep": keep }));
            admin_call(common, "broker", "new_v1_key", &params)
        }
    }
}
