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
    /// Shows all that is known of a session.
    Show {
        /// The session's id.
        id: String,
    },
    /// Cuts a session.
    Cut {
        /// The session's id.
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
