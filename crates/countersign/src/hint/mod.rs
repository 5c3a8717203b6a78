//! Adapts hints to the command line.
//!
//! Between backticks, a text of a site names either an operation of this site (`GROUP COMMAND`), if needed
//! with the arguments of its command, or a command of the system's shell (`countersign …`) that runs
//! elsewhere: at another site, or on another machine. This module replaces an operation by the command that
//! runs it, with `--data` if the site's folder is not the default one, and leaves the other command as it
//! is. The program's own texts name commands only ([`in_folder`]).

use std::path::Path;

use countersign_core::operations;
use countersign_proto::operation::{Code, Outcome};
use serde_json::Value;

const PROGRAM: &str = "countersign";
const DEFAULT_FOLDER: &str = "./site";

/// The commands of operations, where their names differ.
const COMMANDS: [(&str, &str); 24] = [
    ("alarm preferences_show", "alarm preferences"),
    ("broker key_list", "broker key list"),
    ("broker key_new", "broker key new"),
    ("broker key_retire", "broker key retire"),
    ("key add", "service key add"),
    ("key list", "service key list"),
    ("key revoke", "service key revoke"),
    ("peer discard_waiting", "peer discard"),
    ("person passphrase_finish", "person passphrase"),
    ("person passphrase_start", "person passphrase"),
    ("site backup", "backup create"),
    ("site config_show", "site config"),
    ("site doctor", "doctor"),
    ("site key_events", "site key events"),
    ("site key_new", "site key new"),
    ("site key_passphrase", "site key passphrase"),
    ("site key_recovery", "site key recovery"),
    ("site key_slot_add", "site key slots add"),
    ("site key_slot_remove", "site key slots remove"),
    ("site key_slot_test", "site key slots test"),
    ("site key_slots", "site key slots list"),
    ("site setup_new", "site setup new"),
    ("site setup_retire", "site setup retire"),
    ("site setup_status", "site setup status"),
];

/// Operations without a command of their own: programs run them, or `countersign call`.
const OF_PROGRAMS: [&str; 12] = [
    "person withdraw_key",
    "self",
    "broker ticket",
    "broker ticket_keys",
    "broker foreign_ticket",
    "broker foreign_void",
    "event list",
    "peer address",
    "peer audit_head",
    "peer deliver",
    "peer ping",
    "site backup_done",
];

/// Commands that do not use a site's folder.
const WITHOUT_FOLDER: [&str; 13] = [
    "alarm test",
    "alarm watch",
    "app call",
    "call",
    "completions",
    "config example",
    "console",
    "dev",
    "enrol",
    "key",
    "passphrase",
    "profile",
    "shell",
];

/// Adds `--data` to the commands in a text of this program, for the site in this folder.
pub(crate) fn in_folder(text: &str, folder: &Path) -> String {
    spans(text, |span| command_in(span, folder))
}

/// Adds `--data` to a command, for the site in this folder.
pub(crate) fn command_in(command: &str, folder: &Path) -> String {
    let Some(words) = command
        .strip_prefix(PROGRAM)
        .and_then(|rest| rest.strip_prefix(' '))
    else {
        return command.to_owned();
    };
    if folder == Path::new(DEFAULT_FOLDER)
        || words.contains("--data")
        || WITHOUT_FOLDER.iter().any(|start| begins_with(words, start))
    {
        return command.to_owned();
    }
    let folder = folder.to_string_lossy();
    // Only a path with NUL cannot be quoted, and no folder has one.
    match shlex::try_quote(&folder) {
        Ok(folder) => format!("{command} --data {folder}"),
        Err(_) => command.to_owned(),
    }
}

/// Replaces operations by commands in a text of the site in this folder.
pub(crate) fn commands_in(text: &str, folder: &Path) -> String {
    spans(text, |span| match command(span) {
        Some(command) => command_in(&command, folder),
        None => span.to_owned(),
    })
}

/// Replaces operations by commands in the outcome of an operation on the admin socket.
pub(crate) fn of_commands(mut outcome: Outcome, folder: &Path) -> Outcome {
    let say = |text: &str| commands_in(text, folder);
    outcome.output = say(&outcome.output);
    if outcome.code != Code::SUCCESS
        && let Ok(mut data) = serde_json::from_str::<Value>(outcome.data.get())
        && let Some(hint) = data.get_mut("hint")
    {
        *hint = hint.as_str().map_or(Value::Null, |text| say(text).into());
        outcome.data = serde_json::value::to_raw_value(&data).unwrap_or(outcome.data);
    }
    outcome
}

/// The command that runs an operation; `None` for other text.
fn command(span: &str) -> Option<String> {
    words(span).map(|words| format!("{PROGRAM} {words}"))
}

/// The words of the command that runs an operation, with the arguments that follow it in a text, without the
/// name of the program; `None` for other text.
pub(crate) fn words(span: &str) -> Option<String> {
    let (group, rest) = span.split_once(' ')?;
    let (command, arguments) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
    operations::table().ok()?.find(group, command)?;
    let operation = format!("{group} {command}");
    let is_of_programs = OF_PROGRAMS
        .iter()
        .any(|start| begins_with(&operation, start));
    let other = COMMANDS.iter().find(|(name, _)| *name == operation);
    let same = format!("{group} {}", command.replace('_', "-"));
    let words = other.map_or(same, |(_, words)| (*words).to_owned());
    (!is_of_programs).then(|| format!("{words}{arguments}"))
}

fn begins_with(words: &str, start: &str) -> bool {
    words
        .strip_prefix(start)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// Changes each text between backticks.
fn spans(text: &str, change: impl Fn(&str) -> String) -> String {
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(number, part)| match number % 2 {
        0 => part.to_owned(),
        _ => change(part),
    });
    parts.collect::<Vec<_>>().join("`")
}

#[cfg(test)]
mod tests;
