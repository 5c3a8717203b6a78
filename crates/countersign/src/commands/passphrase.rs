//! `countersign passphrase`: the pass phrase of the person who runs the command.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use countersign_client::passphrase_ticket::{self, PassphraseTicketError};
use countersign_proto::enrolment::TicketKind;
use countersign_proto::enrolment::passphrase::client::RegistrationError;
use countersign_proto::name::AccountName;
use serde_json::json;
use tokio::runtime::Runtime;

use super::login::Login;
use super::ticket_input::TicketInput;
use crate::failure::{Exit, Failure};
use crate::global::Common;
use crate::input::{self, STANDARD};
use crate::output::show_data;
use crate::secret_input::new_passphrase;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Changes your own pass phrase. Your key stays the same and your other sessions end.
    Change(Change),
    /// Sets your pass phrase with a ticket from an admin. You get a new key, and your sessions end. With
    /// the ticket of the first launch, creates the first admin.
    Set(Set),
}

#[derive(Debug, Args)]
pub(crate) struct Change {
    #[command(flatten)]
    login: Login,
    /// Reads the new pass phrase from this file (`-`: standard input) instead of a prompt.
    #[arg(long, env = "COUNTERSIGN_NEW_PASSPHRASE_FILE", value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Set {
    #[command(flatten)]
    ticket: TicketInput,
    /// Your name at the site, which the admin gave you; the first admin chooses it.
    #[arg(long, value_name = "NAME", value_parser = input::trimmed::<AccountName>)]
    id: AccountName,
    /// Reads the new pass phrase from this file (`-`: standard input) instead of a prompt.
    #[arg(long, env = "COUNTERSIGN_NEW_PASSPHRASE_FILE", value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
}

pub(crate) fn run(common: &Common, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Change(change) => self::change(common, &change),
        Verb::Set(set) => self::set(common, &set),
    }
}

fn set(common: &Common, set: &Set) -> Result<(), Failure> {
    let (id, file) = (&set.id, set.new_passphrase_file.as_deref());
    if set.ticket.is_standard() && file == Some(Path::new(STANDARD)) {
        return Err(Failure::usage(
            "standard input cannot provide both the ticket and the pass phrase",
        )
        .hint("name a file with --new-passphrase-file"));
    }
    let ticket = set.ticket.read()?;
    // Before the pass phrase is typed twice.
    if !matches!(ticket.kind(), TicketKind::Passphrase | TicketKind::Admin) {
        let wrong = RegistrationError::WrongKind(ticket.kind());
        return Err(Failure::from(PassphraseTicketError::Dialog(wrong)));
    }
    let passphrase = new_passphrase(&format!("New pass phrase of {id}"), file)?;
    let runtime = Runtime::new().map_err(|error| Failure::new(Exit::Failure, "runtime", error))?;
    let reply = runtime.block_on(passphrase_ticket::set(&ticket, id, &passphrase))?;
    let site = reply.site.as_ref().map(ToString::to_string);
    let mut text = match ticket.kind() {
        TicketKind::Admin => format!("Created the admin {}.", reply.id),
        _ => format!("Set the pass phrase of {}.", reply.id),
    };
    if let Some(site) = &site {
        text.push_str(&format!("\nLog in as {} at {site}.", reply.id));
    }
    let data = json!({ "id": reply.id.to_string(), "site": site, "repeated": reply.repeated });
    show_data(&data.to_string(), &text, common.format())
}

fn change(common: &Common, change: &Change) -> Result<(), Failure> {
    let files = [&common.passphrase_file, &change.new_passphrase_file];
    if files
        .iter()
        .all(|file| file.as_deref() == Some(Path::new(STANDARD)))
    {
        return Err(
            Failure::usage("standard input cannot provide both pass phrases")
                .hint("name a file with --passphrase-file or --new-passphrase-file"),
        );
    }
    let (name, present) = change.login.person(common)?;
    // Log in first: the user learns of a wrong pass phrase before typing a new one twice.
    let (runtime, client) = change.login.connect_as(name.clone(), present.clone())?;
    let changed = new_passphrase(
        &format!("New pass phrase of {name}"),
        change.new_passphrase_file.as_deref(),
    )
    .and_then(|new| Ok(runtime.block_on(client.change_passphrase(&present, &new))?));
    let account = client.welcome().account;
    // A GOODBYE that does not arrive makes no difference.
    let _ = runtime.block_on(client.close());
    let changed = changed?;
    let ended = match changed.sessions_ended {
        0 => "You had no other session.".to_owned(),
        1 => "Your other session was ended.".to_owned(),
        more => format!("Your {more} other sessions were ended."),
    };
    let text = format!("Changed the pass phrase of {account}. {ended}");
    show_data(&json!(changed).to_string(), &text, common.format())
}
