//! The one rule for questions: what may take something away is asked about, whatever command leads to it. `--yes`
//! answers them; where there is no terminal to ask at, it is needed.
//!
//! Which operations these are, the table of operations says. A new pass phrase that is typed twice or named in a
//! file is a confirmation by itself.

use std::io::{BufRead, IsTerminal};

use countersign_core::operations;
use serde_json::Value;

use crate::escape;
use crate::failure::{Exit, Failure};
use crate::global::Common;
use crate::output::say;

/// The parameters that tell what an operation is about.
const TARGETS: [&str; 6] = ["name", "id", "thumbprint", "source", "new_name", "floor"];

/// What the table that this program was built with says of an operation.
pub(crate) enum Known {
    /// It takes something away: its summary.
    Disruptive(&'static str),
    /// It takes nothing away.
    Harmless,
    /// Another program's site may have it.
    Unknown,
}

/// Looks an operation up.
pub(crate) fn known(group: &str, command: &str) -> Known {
    let table = operations::table();
    let entry = table
        .as_ref()
        .ok()
        .and_then(|table| table.find(group, command));
    match entry {
        Some(entry) if entry.is_disruptive() => Known::Disruptive(entry.summary()),
        Some(_) => Known::Harmless,
        None => Known::Unknown,
    }
}

/// The question before a disruptive operation: it names the operation, what it is about, and what it does.
pub(crate) fn question(group: &str, command: &str, params: &Value, summary: &str) -> String {
    let targets = TARGETS.iter().filter_map(|name| params.get(name)?.as_str());
    let words = [group, command].into_iter().chain(targets);
    let words: Vec<String> = words.map(escape::line).collect();
    format!("{}: {}", words.join(" "), summary.trim_end_matches('.'))
}

/// Asks before an operation of the admin socket, if it is disruptive.
pub(crate) fn before(
    common: &Common,
    group: &str,
    command: &str,
    params: &Value,
) -> Result<(), Failure> {
    match known(group, command) {
        Known::Disruptive(summary) => agree(common, &question(group, command, params, summary)),
        Known::Harmless | Known::Unknown => Ok(()),
    }
}

/// Asks before something that has this consequence.
pub(crate) fn agree(common: &Common, consequence: &str) -> Result<(), Failure> {
    if common.yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(unasked(consequence));
    }
    say(format_args!("{consequence}. Type yes to go on:"));
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    if read.is_ok() && line.trim() == "yes" {
        Ok(())
    } else {
        Err(declined())
    }
}

/// There is no terminal to ask at.
pub(crate) fn unasked(consequence: &str) -> Failure {
    Failure::new(Exit::Usage, "not_confirmed", consequence)
        .hint("pass --yes when there is no terminal")
}

/// The answer was not yes.
pub(crate) fn declined() -> Failure {
    Failure::new(Exit::Failure, "declined", "nothing was changed")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The shell asked "It may take something away from somebody", and `person lock` nothing at all.
    #[test]
    fn a_question_names_the_operation_and_the_thing_and_no_secret() {
        let params = json!({ "name": "maria\u{7}", "passphrase": "hidden", "label": "x" });
        assert_eq!(
            question("person", "lock", &params, "Keeps a person from logging in."),
            r"person lock maria\u{7}: Keeps a person from logging in"
        );
        for (group, command) in [
            ("person", "lock"),
            ("site", "key_recovery"),
            ("app", "delete"),
        ] {
            assert!(matches!(known(group, command), Known::Disruptive(_)));
        }
        assert!(matches!(known("person", "list"), Known::Harmless));
        assert!(matches!(known("test", "echo"), Known::Unknown));
    }
}
