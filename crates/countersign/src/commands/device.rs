//! `countersign device`.

use clap::Subcommand;
use serde_json::json;

use super::listing::list;
use super::{admin_call, given};
use crate::failure::Failure;
use crate::global::Common;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists devices, oldest first.
    List {
        /// Account name of a person [default: the devices of all].
        person: Option<String>,
    },
    /// Gives a device another name.
    Rename {
        /// Id of the device.
        id: String,
        /// New name.
        name: String,
    },
    /// Revokes a device and ends its connections; its key is never accepted again.
    Revoke {
        /// Id of the device.
        id: String,
    },
}

pub(crate) fn run(common: &Common, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List { person } => {
            let params = given(json!({ "person": person }));
            list(common, "device", "list", params)
        }
        Verb::Rename { id, name } => {
            let params = json!({ "id": id, "name": name });
            admin_call(common, "device", "rename", &params)
        }
        Verb::Revoke { id } => admin_call(common, "device", "revoke", &json!({ "id": id })),
    }
}
