//! `countersign passphrase`: the pass phrase of the person who runs the command.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::login::Login;
use crate::failure::Failure;
use crate::global::Common;
use crate::input::STANDARD;
use crate::output::show_data;
use crate::secret_input::new_passphrase;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Changes your own pass phrase. Your key stays the same and your other sessions end.
    Change(Change),
}

#[derive(Debug, Args)]
pub(crate) struct Change {
    #[command(flatten)]
    login: Login,
    /// Reads the new pass phrase from this file (`-`: standard input) instead of a prompt.
    #[arg(long, env = "COUNTERSIGN_NEW_PASSPHRASE_FILE", value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
}

pub(crate) fn run(common: &Common, verb: Verb) -> Result<(), Failure> {
    let Verb::Change(change) = verb;
    self::change(common, &change)
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
