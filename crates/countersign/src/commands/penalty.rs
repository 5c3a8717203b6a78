//! `countersign penalty`.

use clap::Subcommand;
use serde_json::json;

use super::{admin_call, given};
use crate::failure::Failure;
use crate::global::Common;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists the sources that misbehaved lately, the worst first.
    List,
    /// Lets a source in again, or all.
    Forget {
        /// An IP address; all sources when left out.
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
