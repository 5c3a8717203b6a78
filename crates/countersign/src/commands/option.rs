//! `countersign option`.

use clap::Subcommand;
use countersign_proto::session::{EncryptionOption, Strength};
use serde_json::json;

use super::{admin_call, confirm};
use crate::cli::Common;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists the encryption options, those on offer first.
    List,
    /// Puts an option on offer, after the others.
    Enable {
        /// Its name.
        name: EncryptionOption,
        /// Does not ask when it is weaker than hybrid.
        #[arg(long)]
        yes: bool,
    },
    /// Takes an option off; sessions that use it go on.
    Disable {
        /// Its name.
        name: EncryptionOption,
        /// Does not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Ranks the options on offer: the named ones first, best first.
    Order {
        /// Their names.
        #[arg(required = true)]
        names: Vec<EncryptionOption>,
    },
    /// Sets the weakest strength that may be offered, and takes weaker options off.
    Floor {
        /// hybrid, classical or delivered.
        strength: Strength,
        /// Does not ask.
        #[arg(long)]
        yes: bool,
    },
}

pub(crate) fn run(common: &Common, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List => admin_call(common, "option", "list", &json!({})),
        Verb::Enable { name, yes } => {
            if name.strength() < Strength::Hybrid {
                let what =
                    format!("What is recorded of a session with {name} while it is on offer");
                confirm(&what, yes)?;
            }
            admin_call(common, "option", "enable", &json!({ "name": name.name() }))
        }
        Verb::Disable { name, yes } => {
            confirm(&format!("Refusing clients that can only do {name}"), yes)?;
            admin_call(common, "option", "disable", &json!({ "name": name.name() }))
        }
        Verb::Order { names } => {
            let names: Vec<&str> = names.iter().map(|name| name.name()).collect();
            admin_call(common, "option", "order", &json!({ "names": names }))
        }
        Verb::Floor { strength, yes } => {
            let what = "Taking options off, and refusing clients that can do nothing else,";
            confirm(what, yes)?;
            admin_call(
                common,
                "option",
                "floor",
                &json!({ "floor": strength.name() }),
            )
        }
    }
}
