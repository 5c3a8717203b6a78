//! The one rule for questions: what may take something away is asked about, whatever command leads to it. `--yes`
//! answers them; where there is no terminal to ask at, it is needed.
//!
//! Which operations these are, the table of operations says; [`consequence`] adds those that take something away with
//! some parameters only. A new pass phrase that is typed twice or named in a file is a confirmation by itself.

use std::io::{BufRead, IsTerminal};

use countersign_core::operations;
use countersign_proto::session::{EncryptionOption, Strength};
use serde_json::Value;

use crate::escape;
use crate::failure::{Exit, Failure};
use crate::global::Common;
use crate::output::say;

/// The parameters that tell what an operation is about.
const TARGETS: [&str; 6] = ["name", "id", "thumbprint", "source", "new_name", "floor"];

/// What this program knows of an operation.
pub(crate) enum Known {
    /// It may take something away: the question before it.
    Disruptive(String),
    /// It takes nothing away.
    Harmless,
    /// It is not in the table that this program was built with; another program's site may have it.
    Unknown,
}

/// Looks an operation with these parameters up.
pub(crate) fn known(group: &str, command: &str, params: &Value) -> Known {
    let table = operations::table();
    let table = table.as_ref().ok();
    let Some(entry) = table.and_then(|table| table.find(group, command)) else {
        return Known::Unknown;
    };
    let summary = entry.is_disruptive().then(|| entry.summary().to_owned());
    match summary.or_else(|| consequence(group, command, params)) {
        Some(summary) => Known::Disruptive(question(group, command, params, &summary)),
        None => Known::Harmless,
    }
}

/// What an operation takes away with these parameters, though not with every value of them.
fn consequence(group: &str, command: &str, params: &Value) -> Option<String> {
    match (group, command) {
        ("penalty", "forget") => params
            .get("source")
            .is_none_or(Value::is_null)
            .then(|| "forgets what every source did".to_owned()),
        ("option", "enable") => {
            let option: EncryptionOption = params.get("name")?.as_str()?.parse().ok()?;
            let strength = option.strength();
            (strength < Strength::Hybrid)
                .then(|| format!("it is {strength} and lets sessions be weaker"))
        }
        _ => None,
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
    match known(group, command, params) {
        Known::Disruptive(question) => agree(common, &question),
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
            assert!(matches!(
                known(group, command, &params),
                Known::Disruptive(_)
            ));
        }
        assert!(matches!(known("person", "list", &params), Known::Harmless));
        assert!(matches!(known("test", "echo", &params), Known::Unknown));
    }

    #[test]
    fn what_takes_something_away_with_some_parameters_only_asks_with_these() {
        let asks =
            |group, command, params| matches!(known(group, command, &params), Known::Disruptive(_));
        let (every, one) = (json!({}), json!({ "source": "192.0.2.7" }));
        assert!(asks("penalty", "forget", every) && !asks("penalty", "forget", one));
        assert!(asks("penalty", "forget", json!({ "source": null })));
        let named = |option: EncryptionOption| json!({ "name": option.name() });
        for option in EncryptionOption::ALL {
            let is_weak = option.strength() < Strength::Hybrid;
            assert_eq!(asks("option", "enable", named(option)), is_weak, "{option}");
        }
    }
}
