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
use crate::output::show;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Shows the site's public keys, which applications need.
    Show {
        /// Also writes the public key for v2 to this file.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Gives the site a new or existing RSA key for applications of serveros-v1.
    NewV1Key {
        /// Imports the private key of an existing Serveros master: unencrypted RSA in PEM.
        #[arg(long, value_name = "FILE")]
        private_key: Option<PathBuf>,
        /// Number of older keys that stay valid while applications change to the new one.
        #[arg(long, default_value_t = 0)]
        keep: u8,
    },
}

pub(crate) fn run(common: &Common, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Show { out: None } => admin_call(common, "broker", "show", &json!({})),
        Verb::Show { out: Some(out) } => {
            let outcome = Admin::connect(&common.data)?.run("broker", "show", &json!({}))?;
            let shown: serde_json::Value = serde_json::from_str(outcome.data.get())
                .map_err(|error| Failure::new(Exit::Failure, "result", error))?;
            if let Some(pem) = shown.get("public_key").and_then(|key| key.as_str()) {
                files::write(&out, PUBLIC, Existing::Kept, pem.as_bytes())?;
            }
            show(&outcome, common.format())
        }
        Verb::NewV1Key { private_key, keep } => {
            let private_key = private_key.as_deref().map(input::text).transpose()?;
            let params = given(json!({ "private_key": private_key, "keep": keep }));
            admin_call(common, "broker", "new_v1_key", &params)
        }
    }
}
