//! `countersign penalty`.

use clap::Subcommand;
use serde_json::json;

use super::{admin_call, given};
use crate::failure::Failure;
use crate::global::Common;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists sources with penalty points or a penalty, the worst first.
    List,
    /// Removes the points and penalty of a source, or of all sources.
    Forget {
        /// IP address [default: all sources].
        source: Option<String>,
    },
}

pub(crate) fn run(common: &Common, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List => admin_call(common, "penalty", "list", &json!({})),
        Verb::Forget { source } => {
            let params = given(json!({ "source": source }));
            admin_call(common, "penalty", "forget", &params)
        }
    }
}
