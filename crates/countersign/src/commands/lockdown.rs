//! `countersign lockdown`.

use clap::Subcommand;
use serde_json::json;

use super::{admin_call, given};
use crate::failure::Failure;
use crate::global::Common;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Puts a person in lockdown: ends their sessions and connections of devices, and refuses logins
    /// and tickets.
    Person {
        /// Account name.
        name: String,
        #[command(flatten)]
        why: Why,
    },
    /// Puts a service in lockdown: ends its sessions and refuses its logins.
    Service {
        /// Account name.
        name: String,
        #[command(flatten)]
        why: Why,
    },
    /// Puts an application in lockdown: it gets no tickets, and there are none for it.
    App {
        /// Application id.
        id: String,
        #[command(flatten)]
        why: Why,
    },
    /// Puts a peer in lockdown: its connections end, none is accepted or opened, and messages wait.
    Peer {
        /// Zone or site id.
        #[arg(allow_hyphen_values = true)]
        peer: String,
        #[command(flatten)]
        why: Why,
    },
    /// Puts the whole site in lockdown. Only this command line, on the machine of the site, lifts it.
    Site {
        /// What to refuse: `enrolment` new enrolments, `logins` also new logins and tickets, `all`
        /// everything but this command line.
        #[arg(long, default_value = "all", value_parser = ["enrolment", "logins", "all"])]
        level: String,
        #[command(flatten)]
        why: Why,
    },
    /// Lifts a lockdown.
    #[command(subcommand)]
    Lift(Lift),
    /// Shows which lockdowns are in force.
    Status,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Why {
    /// The reason, which admins see; at most 200 bytes.
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Lift {
    /// Lifts the lockdown of a person.
    Person {
        /// Account name.
        name: String,
    },
    /// Lifts the lockdown of a service.
    Service {
        /// Account name.
        name: String,
    },
    /// Lifts the lockdown of a person or service by its id, which a new name does not change.
    Account {
        /// Account id, as `lockdown status --output json` shows it.
        id: String,
    },
    /// Lifts the lockdown of an application.
    App {
        /// Application id.
        id: String,
    },
    /// Lifts the lockdown of a peer.
    Peer {
        /// Zone or site id.
        #[arg(allow_hyphen_values = true)]
        peer: String,
    },
    /// Lifts the lockdown of the site.
    Site,
}

pub(crate) fn run(common: &Common, verb: Verb) -> Result<(), Failure> {
    let (command, params) = match verb {
        Verb::Person { name, why } => ("person", json!({ "name": name, "reason": why.reason })),
        Verb::Service { name, why } => ("service", json!({ "name": name, "reason": why.reason })),
        Verb::App { id, why } => ("app", json!({ "id": id, "reason": why.reason })),
        Verb::Peer { peer, why } => ("peer", json!({ "peer": peer, "reason": why.reason })),
        Verb::Site { level, why } => ("site", json!({ "level": level, "reason": why.reason })),
        Verb::Lift(lift) => {
            let params = match lift {
                Lift::Person { name } => json!({ "person": name }),
                Lift::Service { name } => json!({ "service": name }),
                Lift::Account { id } => json!({ "account": id }),
                Lift::App { id } => json!({ "app": id }),
                Lift::Peer { peer } => json!({ "peer": peer }),
                Lift::Site => json!({ "site": true }),
            };
            ("lift", params)
        }
        Verb::Status => ("status", json!({})),
    };
    admin_call(common, "lockdown", command, &given(params))
}
