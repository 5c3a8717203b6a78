//! `countersign session`.

use clap::Subcommand;
use serde_json::json;

use super::admin_call;
use super::listing::list;
use crate::failure::Failure;
use crate::global::Common;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists open sessions.
    List,
    /// Shows a session.
    Show {
        /// Session id.
        id: String,
    },
    /// Ends a session.
    Cut {
        /// Session id.
        id: String,
    },
}

pub(crate) fn run(common: &Common, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List => list(common, "session", "list", json!({})),
        Verb::Show { id } => admin_call(common, "session", "show", &json!({ "id": id })),
        Verb::Cut { id } => admin_call(common, "session", "cut", &json!({ "id": id })),
    }
}
