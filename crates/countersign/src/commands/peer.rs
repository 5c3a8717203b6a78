//! `countersign peer`.

use std::io::{IsTerminal, stdin};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use countersign_proto::operation::{Code, Outcome};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::listing::list;
use super::ticket::{Codes, issue_shown};
use super::ticket_input::read_text;
use super::{admin_call, confirm, confirmed_call, given, site};
use crate::admin::Admin;
use crate::failure::{Exit, Failure};
use crate::global::Common;
use crate::input::duration::seconds;
use crate::input::{self, STANDARD};
use crate::output::{say, show, show_of};
use crate::secret_input::Secret;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Issues a ticket with which another site becomes a peer, and shows it once.
    Ticket(Ticket),
    /// Joins the site that issued a ticket.
    Join(Join),
    /// Lists the peers by their site ids, removed ones included.
    List,
    /// Shows a peer with its key event, who introduced it, and its counters.
    Show {
        /// Site id or zone of the peer.
        #[arg(allow_hyphen_values = true)]
        peer: String,
    },
    /// Sets what a peer may ask this site for; asks before it takes anything away.
    Permit {
        /// Site id or zone of the peer.
        #[arg(allow_hyphen_values = true)]
        peer: String,
        /// What it may ask for from now on; `peer show` shows what it may ask for now.
        #[arg(required_unless_present = "none")]
        allows: Vec<Permission>,
        /// It may ask for nothing.
        #[arg(long, conflicts_with = "allows")]
        none: bool,
    },
    /// Suspends a peer: its connections end and messages wait.
    Suspend {
        /// Site id or zone of the peer.
        #[arg(allow_hyphen_values = true)]
        peer: String,
        /// The reason, which `peer show` and `peer doctor` show.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Ends the suspension of a peer.
    Resume {
        /// Site id or zone of the peer.
        #[arg(allow_hyphen_values = true)]
        peer: String,
    },
    /// Removes a peer: no ticket makes that site a peer again before it is forgotten.
    Remove {
        /// Site id or zone of the peer.
        #[arg(allow_hyphen_values = true)]
        peer: String,
    },
    /// Forgets a removed or damaged peer with its messages.
    Forget {
        /// Site id of the peer.
        #[arg(allow_hyphen_values = true)]
        peer: String,
    },
    /// Starts the peer server, now and with every start of the site. If the site is sealed, asks for the
    /// pass phrase of the site key and unseals it first.
    Start,
    /// Stops the peer server until it is started again; connections with peers end.
    Stop,
    /// Shows whether the peer server runs, and where.
    Status,
    /// Checks the peer server and each peer, and says what to do; exit code 8 if something is wrong.
    Doctor,
    /// Sends a message to a person of a peer.
    Send(Send),
    /// Lists the messages from people of peers, in the order in which they arrived.
    Inbox {
        /// Account name of the person.
        person: String,
    },
    /// Lists the messages that wait for peers, or that peers refused.
    Outbox {
        /// Account name of the person.
        person: String,
    },
    /// Deletes a message from the inbox or the outbox of a person, or all messages that wait for peers.
    Discard {
        /// Account name of the person.
        person: String,
        /// Id of the message.
        #[arg(required_unless_present = "all_waiting")]
        id: Option<String>,
        /// Deletes all messages of the person that wait for peers, as after the theft of a session.
        #[arg(long, conflicts_with = "id")]
        all_waiting: bool,
    },
}

/// What a peer may ask for.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Permission {
    /// To deliver messages to the people of this site.
    Messages,
    /// To have the heads of its audit log countersigned.
    #[value(name = "audit_heads", alias = "audit-heads")]
    AuditHeads,
    /// To ask for tickets for its applications, which call applications of this site.
    Tickets,
}

impl Permission {
    const fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::AuditHeads => "audit_heads",
            Self::Tickets => "tickets",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Ticket {
    /// Account name of the person who gives the ticket away.
    person: String,
    /// How long the ticket can be used, such as 1h or 7d, at most 7d [default: 1h].
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    expires: Option<u32>,
    #[command(flatten)]
    codes: Codes,
}

#[derive(Debug, Args)]
pub(crate) struct Join {
    /// The ticket: `countersign://…` or its JSON (`-`: read it from standard input) [default: asked for at
    /// a prompt]. Other users of the machine can see an argument.
    ticket: Option<String>,
    /// Reads the ticket from this file (`-`: standard input).
    #[arg(long, value_name = "FILE", conflicts_with = "ticket")]
    ticket_file: Option<PathBuf>,
    /// Account name of the person of this site whose business it is.
    #[arg(long = "for", value_name = "PERSON")]
    person: String,
}

#[derive(Debug, Args)]
pub(crate) struct Send {
    /// The recipient, as name@zone of a peer.
    to: String,
    /// The text [default: read from standard input].
    text: Option<String>,
    /// Account name of the sender.
    #[arg(long, value_name = "PERSON")]
    from: String,
}

pub(crate) fn run(common: &Common, verb: Verb) -> Result<(), Failure> {
    let call = |command: &str, params: Value| admin_call(common, "peer", command, &given(params));
    match verb {
        Verb::Ticket(command) => {
            let params = given(json!({
                "person": command.person,
                "expires_in": command.expires,
            }));
            issue_shown(common, ("peer", "ticket"), &params, &command.codes)
        }
        Verb::Join(command) => join(common, &command),
        Verb::List => list(common, "peer", "list", json!({})),
        Verb::Show { peer } => call("show", json!({ "peer": peer })),
        Verb::Permit { peer, allows, .. } => {
            let allows: Vec<_> = allows.into_iter().map(Permission::name).collect();
            permit(common, &peer, &allows)
        }
        Verb::Suspend { peer, reason } => {
            call("suspend", json!({ "peer": peer, "reason": reason }))
        }
        Verb::Resume { peer } => call("resume", json!({ "peer": peer })),
        Verb::Remove { peer } => call("remove", json!({ "peer": peer })),
        Verb::Forget { peer } => call("forget", json!({ "peer": peer })),
        Verb::Start => start(common),
        Verb::Stop => call("stop", json!({})),
        Verb::Status => call("status", json!({})),
        Verb::Doctor => doctor(common),
        Verb::Send(command) => send(common, &command),
        Verb::Inbox { person } => list(common, "peer", "inbox", json!({ "person": person })),
        Verb::Outbox { person } => list(common, "peer", "outbox", json!({ "person": person })),
        Verb::Discard {
            person,
            id,
            all_waiting,
        } => {
            let command = if all_waiting {
                "discard_waiting"
            } else {
                "discard"
            };
            let params = json!({ "person": person, "id": id });
            call(command, params)
        }
    }
}

/// Starts the peer server. A sealed site is unsealed first, with the pass phrase of the site key in its
/// file or typed at the terminal.
fn start(common: &Common) -> Result<(), Failure> {
    let start = || Admin::connect(&common.data)?.run("peer", "start", &json!({}));
    let mut outcome = start()?;
    let can_unseal = || common.secret_file(Secret::Site).is_some() || stdin().is_terminal();
    if outcome.code == Code::SEALED && can_unseal() {
        say("The site is sealed, and the peer server needs its key.");
        site::unseal(common, Secret::Site)?;
        say("The site is unsealed.");
        outcome = start()?;
    }
    show_of("peer start", &outcome, common.format())?;
    let started: Started = of(&outcome)?;
    problems(
        started.state == "running",
        "the peer server is switched on, and does not run",
    )
}

/// Sets what a peer may ask for. Asks before it takes anything away: tickets that applications of the peer
/// have end with the permission, and messages wait there.
fn permit(common: &Common, peer: &str, allows: &[&str]) -> Result<(), Failure> {
    let shown = Admin::connect(&common.data)?.data("peer", "show", &json!({ "peer": peer }))?;
    let may = shown.get("allows").and_then(Value::as_array);
    let may = may.into_iter().flatten().filter_map(Value::as_str);
    let withdrawn: Vec<_> = may.filter(|may| !allows.contains(may)).collect();
    let params = json!({ "peer": peer, "allows": allows });
    if !withdrawn.is_empty() {
        let effect = format!("takes away {}", withdrawn.join(", "));
        confirm::agree(
            common,
            &confirm::question("peer", "permit", &params, &effect),
        )?;
    }
    confirmed_call(common, "peer", "permit", &params)
}

fn join(common: &Common, command: &Join) -> Result<(), Failure> {
    let argument = command.ticket.as_deref().filter(|text| *text != STANDARD);
    let ticket = match (argument, &command.ticket) {
        (Some(ticket), _) => ticket.to_owned(),
        (None, Some(_)) => read_text(Some(Path::new(STANDARD)))?,
        (None, None) => read_text(command.ticket_file.as_deref())?,
    };
    let params = json!({ "ticket": ticket.trim(), "person": command.person });
    admin_call(common, "peer", "join", &params)
}

fn send(common: &Common, command: &Send) -> Result<(), Failure> {
    let text = match &command.text {
        Some(text) => text.clone(),
        None => input::text(Path::new(STANDARD))?.trim_end().to_owned(),
    };
    let params = json!({ "from": command.from, "to": command.to, "text": text });
    admin_call(common, "peer", "send", &params)
}

/// The part of the result of `peer start` that decides the exit code.
#[derive(Deserialize)]
struct Started {
    state: String,
}

/// The part of the result of `peer doctor` that decides the exit code.
#[derive(Deserialize)]
struct Checks {
    ok: bool,
}

fn of<T: DeserializeOwned>(outcome: &Outcome) -> Result<T, Failure> {
    serde_json::from_str(outcome.data.get())
        .map_err(|error| Failure::new(Exit::Failure, "protocol", error))
}

fn problems(ok: bool, message: &str) -> Result<(), Failure> {
    match ok {
        true => Ok(()),
        false => Err(Failure::new(Exit::Problems, "problems", message)),
    }
}

fn doctor(common: &Common) -> Result<(), Failure> {
    let outcome = Admin::connect(&common.data)?.run("peer", "doctor", &json!({}))?;
    if outcome.code != Code::SUCCESS {
        return Err(Failure::outcome(&outcome));
    }
    show(&outcome, common.format())?;
    let checks: Checks = of(&outcome)?;
    problems(checks.ok, "the checks of the peers found problems")
}
