//! Adapts the texts of a site to the place where they are read.
//!
//! Between backticks, a text of a site names either an operation of this site (`GROUP COMMAND`), if needed
//! with the arguments of its command line, or a command of the system's shell (`countersign …`) that runs
//! elsewhere: at another site, or on another machine. For a reader at the machine of the site, this module
//! replaces an operation by the command that runs it, with `--data` if the site's folder is not the default
//! one ([`commands_in`]). For a reader who types operations, it writes the arguments as parameters
//! ([`typed`]). The other command stays as it is. The program's own texts name commands only ([`in_folder`]).

mod typed;

use std::path::Path;
use std::sync::LazyLock;

use clap::Command;
use countersign_core::alarms::quoted;
use countersign_core::engine::Table;
use countersign_core::operations;
use countersign_core::text::change_spans;
use countersign_proto::operation::{Code, Outcome};
use serde_json::Value;

const PROGRAM: &str = "countersign";
/// The folder of a site that a command uses without `--data`.
pub(crate) const DEFAULT_FOLDER: &str = "./site";
/// The operations of this program.
static TABLE: LazyLock<Table> = LazyLock::new(|| operations::table().unwrap_or_default());

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
    change_spans(text, |span| command_in(span, folder))
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

/// Replaces operations by commands in a text that is read away from the machine of the site.
pub(crate) fn commands(text: &str) -> String {
    commands_in(text, Path::new(DEFAULT_FOLDER))
}

/// Replaces operations by commands in a text of the site in this folder.
pub(crate) fn commands_in(text: &str, folder: &Path) -> String {
    change_spans(text, |span| match command(span) {
        Some(command) => command_in(&command, folder),
        None => span.to_owned(),
    })
}

/// The text of an alarm: a text of the site as `reword` says it, and any other between quotation marks, since it
/// must not speak as the site.
pub(crate) fn alarm_text(raised_by: &str, text: &str, reword: impl Fn(&str) -> String) -> String {
    match raised_by {
        // The name of any other raiser has a zone or a space.
        "site" => reword(text),
        _ => quoted(text),
    }
}

/// Replaces operations in a text by what a user of `call` and `shell`, commands of this program, types for
/// them.
pub(crate) fn typed(text: &str, program: &Command) -> String {
    change_spans(text, |span| {
        let typed = typed::operation(&TABLE, program, span);
        typed
            .or_else(|| command(span))
            .unwrap_or_else(|| span.to_owned())
    })
}

/// Replaces operations by commands in the outcome of an operation on the admin socket.
pub(crate) fn of_commands(outcome: Outcome, folder: &Path) -> Outcome {
    said(outcome, |text| commands_in(text, folder))
}

/// Replaces operations by what a user types for them, in the outcome of an operation that was typed.
pub(crate) fn of_typed(outcome: Outcome, program: &Command) -> Outcome {
    said(outcome, |text| typed(text, program))
}

/// Changes the texts of an outcome: its output, and the hint of a refusal.
fn said(mut outcome: Outcome, say: impl Fn(&str) -> String) -> Outcome {
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
    TABLE.command_line(span)
}

fn begins_with(words: &str, start: &str) -> bool {
    words
        .strip_prefix(start)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

#[cfg(test)]
mod tests;
