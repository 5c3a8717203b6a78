//! Hints name what to do next, between backticks, in one of two languages: `countersign …` is a command for a shell of
//! the system, and `GROUP COMMAND` is an operation, which is typed in `countersign shell` and `countersign call`.
//!
//! Here they become what the reader of the command line can type: an operation the command that runs it, and a command
//! one for the site's folder, if that is not the default one.

use std::path::Path;

use countersign_core::operations;
use countersign_proto::operation::{Code, Outcome};
use serde_json::Value;

const PROGRAM: &str = "countersign";
const DEFAULT_FOLDER: &str = "./site";

/// What operations are called as commands, where that is another name.
const COMMANDS: [(&str, &str); 9] = [
    ("key add", "service key add"),
    ("key list", "service key list"),
    ("key revoke", "service key revoke"),
    ("person passphrase_finish", "person passphrase"),
    ("person passphrase_start", "person passphrase"),
    ("site backup", "backup create"),
    ("site key_passphrase", "site key passphrase"),
    ("site key_recovery", "site key recovery"),
    ("site key_slots", "site key list"),
];

/// Operations without a command: programs run them, or `countersign call` does.
const OF_PROGRAMS: [&str; 5] = [
    "person withdraw_key",
    "self",
    "broker ticket",
    "broker ticket_keys",
    "site backup_done",
];

/// What no site's folder has to do with.
const WITHOUT_FOLDER: [&str; 8] = [
    "app call",
    "call",
    "completions",
    "config example",
    "dev",
    "key",
    "passphrase",
    "shell",
];

/// The text with its commands for the site in this folder.
pub(crate) fn in_folder(text: &str, folder: &Path) -> String {
    spans(text, |span| command_in(span, folder))
}

/// A command for the site in this folder.
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
    // What cannot be quoted has a NUL in it, and names no folder.
    match shlex::try_quote(&folder) {
        Ok(folder) => format!("{command} --data {folder}"),
        Err(_) => command.to_owned(),
    }
}

/// The outcome of an operation of the admin socket, in the words of the command line.
pub(crate) fn of_commands(mut outcome: Outcome, folder: &Path) -> Outcome {
    let say = |text: &str| in_folder(&spans(text, command), folder);
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

/// The command that runs an operation; other text as it is.
fn command(span: &str) -> String {
    let known = || {
        let (group, command) = span.split_once(' ')?;
        operations::table().ok()?.find(group, command)?;
        let is_of_programs = OF_PROGRAMS.iter().any(|start| begins_with(span, start));
        let other = COMMANDS.iter().find(|(operation, _)| *operation == span);
        let same = format!("{group} {}", command.replace('_', "-"));
        let words = other.map_or(same, |(_, words)| (*words).to_owned());
        (!is_of_programs).then(|| format!("{PROGRAM} {words}"))
    };
    known().unwrap_or_else(|| span.to_owned())
}

fn begins_with(words: &str, start: &str) -> bool {
    words
        .strip_prefix(start)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// The text with what stands between backticks changed.
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
