//! `countersign shell`: a prompt over one session.

use std::path::PathBuf;

use countersign_client::Client;
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::{Config, Context, Editor, Helper, Highlighter, Hinter, Validator};
use serde_json::Value;
use serde_json::value::to_raw_value;

use super::call::Login;
use crate::cli::Common;
use crate::failure::{Exit, Failure};
use crate::output::{Format, print, say, show};
use crate::params;

const HELP: &str = "GROUP COMMAND [key=text …] [key:=JSON …] runs an operation; Tab completes.
help            lists the operations that you may call
help GROUP COMMAND  shows one with its parameters
exit            ends the session";

/// Completes groups, commands and parameters from what the site says it can be asked.
#[derive(Helper, Highlighter, Hinter, Validator)]
struct Operations {
    /// `group command` and the names of its parameters.
    known: Vec<(String, Vec<String>)>,
}

impl Completer for Operations {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = line.get(..at).unwrap_or_default();
        let start = typed.rfind(' ').map_or(0, |space| space + 1);
        let (before, word) = typed.split_at(start);
        let mut candidates: Vec<String> = match before.split_whitespace().collect::<Vec<_>>()[..] {
            [] => self
                .known
                .iter()
                .filter_map(|(name, _)| name.split(' ').next())
                .map(str::to_owned)
                .collect(),
            [group] => self
                .known
                .iter()
                .filter_map(|(name, _)| name.split_once(' '))
                .filter(|(known, _)| *known == group)
                .map(|(_, command)| command.to_owned())
                .collect(),
            [group, command, ..] => self
                .known
                .iter()
                .filter(|(name, _)| *name == format!("{group} {command}"))
                .flat_map(|(_, params)| params.iter().map(|param| format!("{param}=")))
                .collect(),
        };
        candidates.retain(|candidate| candidate.starts_with(word));
        candidates.sort();
        candidates.dedup();
        let pairs = candidates
            .into_iter()
            .map(|text| {
                // A value follows `name=` at once; after a word comes the next one.
                let end = if text.ends_with('=') { "" } else { " " };
                Pair {
                    replacement: format!("{text}{end}"),
                    display: text,
                }
            })
            .collect();
        Ok((start, pairs))
    }
}

pub(crate) fn run(common: &Common, login: &Login) -> Result<(), Failure> {
    let (runtime, client) = login.connect(common)?;
    let failed = |error: ReadlineError| Failure::new(Exit::Failure, "prompt", error);
    let described: Value =
        runtime.block_on(client.call("operation", "list", &serde_json::json!({})))?;
    let mut editor = Editor::with_config(Config::builder().history_ignore_space(true).build())
        .map_err(failed)?;
    editor.set_helper(Some(Operations {
        known: known(&described),
    }));
    let history = history_file();
    if let Some(history) = &history {
        let _ = editor.load_history(history);
    }
    say(format_args!(
        "Logged in as {}. `help` helps.",
        client.welcome().account
    ));
    let prompt = format!("{}> ", client.welcome().account);
    loop {
        let line = match editor.readline(&prompt) {
            Ok(line) => line,
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => break,
            Err(error) => return Err(failed(error)),
        };
        let _ = editor.add_history_entry(&line);
        match params::words(&line).map(|words| words.join("\u{0}")) {
            Ok(words) if words.is_empty() => {}
            Ok(words) if words == "exit" => break,
            Ok(words) => {
                let words: Vec<String> = words.split('\u{0}').map(str::to_owned).collect();
                if let Err(failure) =
                    command(&runtime, &client, &described, &words, common.format())
                {
                    failure.report();
                    if matches!(failure.code.as_str(), "session_ended" | "connection_lost") {
                        return Err(failure);
                    }
                }
            }
            Err(failure) => {
                failure.report();
            }
        }
    }
    if let Some(history) = &history {
        let _ = editor.save_history(history);
    }
    let _ = runtime.block_on(client.close());
    Ok(())
}

fn command(
    runtime: &tokio::runtime::Runtime,
    client: &Client,
    described: &Value,
    words: &[String],
    format: Format,
) -> Result<(), Failure> {
    match words {
        [help] if help == "help" => {
            let names: Vec<String> = known(described).into_iter().map(|(name, _)| name).collect();
            print(&format!("{HELP}\n\n{}", names.join("\n")))
        }
        [help, group, name] if help == "help" => match find(described, group, name) {
            Some(operation) => print(&serde_json::to_string_pretty(operation).unwrap_or_default()),
            None => Err(Failure::new(
                Exit::NotFound,
                "not_found",
                "there is no such operation",
            )),
        },
        [group, name, rest @ ..] => {
            let params = Value::Object(params::parse(rest)?);
            let params = to_raw_value(&params).map_err(Failure::usage)?;
            show(
                &runtime.block_on(client.outcome(group, name, params))?,
                format,
            )
        }
        _ => Err(Failure::usage("an operation is GROUP COMMAND [key=text …]").hint("`help` helps")),
    }
}

fn operations(described: &Value) -> impl Iterator<Item = &Value> {
    described
        .get("operations")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn find<'a>(described: &'a Value, group: &str, command: &str) -> Option<&'a Value> {
    operations(described).find(|operation| {
        operation.get("group").and_then(Value::as_str) == Some(group)
            && operation.get("command").and_then(Value::as_str) == Some(command)
    })
}

fn known(described: &Value) -> Vec<(String, Vec<String>)> {
    operations(described)
        .filter_map(|operation| {
            let group = operation.get("group")?.as_str()?;
            let command = operation.get("command")?.as_str()?;
            let properties = operation
                .get("params")
                .and_then(|schema| schema.get("properties"));
            let params = properties
                .and_then(Value::as_object)
                .map(|properties| properties.keys().cloned().collect());
            Some((format!("{group} {command}"), params.unwrap_or_default()))
        })
        .collect()
}

/// Lines that were typed; a line that starts with a space is not kept.
fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| {
            std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local").join("state"))
        })?;
    let folder = state.join("countersign");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}
