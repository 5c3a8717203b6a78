//! The questions before disruptive operations, the same for every command. `--yes` answers them; without
//! a terminal it is required.
//!
//! The table of operations says which operations are disruptive, and with which parameters. A new pass
//! phrase, typed twice or read from a file, counts as a confirmation.

use std::io::{BufRead, IsTerminal};

use countersign_core::operations;
use serde_json::Value;

use crate::escape;
use crate::failure::{Exit, Failure};
use crate::global::Common;
use crate::hint;
use crate::output::say;

/// The parameters that name the target of an operation.
const TARGETS: [&str; 8] = [
    "name",
    "id",
    "peer",
    "thumbprint",
    "source",
    "new_name",
    "floor",
    "level",
];

/// What this program knows about an operation.
pub(crate) enum Known {
    /// The operation is disruptive; the question to ask.
    Disruptive(String),
    /// The operation is not disruptive.
    Harmless,
    /// The operation is not in the table of this program; the site of another program may have it.
    Unknown,
}

/// Looks up an operation with these parameters.
pub(crate) fn known(group: &str, command: &str, params: &Value) -> Known {
    let table = operations::table();
    let table = table.as_ref().ok();
    let Some(entry) = table.and_then(|table| table.find(group, command)) else {
        return Known::Unknown;
    };
    match entry.disruption(params) {
        Some(effect) => Known::Disruptive(question(group, command, params, effect)),
        None => Known::Harmless,
    }
}

/// The question before a disruptive operation: its command, its target and its effect.
pub(crate) fn question(group: &str, command: &str, params: &Value, effect: &str) -> String {
    let operation = format!("{group} {command}");
    let name = hint::words(&operation).unwrap_or(operation);
    let targets = TARGETS.iter().filter_map(|name| params.get(name)?.as_str());
    let words = std::iter::once(name.as_str()).chain(targets);
    let words: Vec<String> = words.map(escape::line).collect();
    format!("{}: {}", words.join(" "), effect.trim_end_matches('.'))
}

/// Asks before an operation, if it is disruptive.
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

/// Asks the user to agree to a consequence.
pub(crate) fn agree(common: &Common, consequence: &str) -> Result<(), Failure> {
    if common.yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(unasked(consequence));
    }
    say(format_args!("{consequence}. Type yes to continue:"));
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    if read.is_ok() && line.trim() == "yes" {
        Ok(())
    } else {
        Err(declined())
    }
}

/// The failure if there is no terminal to ask in.
pub(crate) fn unasked(question: &str) -> Failure {
    let message = format_args!("there is no terminal to ask for a confirmation in. {question}");
    Failure::new(Exit::Usage, "not_confirmed", message).hint("pass --yes to confirm it without one")
}

/// The failure if the answer is not yes.
pub(crate) fn declined() -> Failure {
    Failure::new(Exit::Failure, "declined", "nothing was changed")
}

#[cfg(test)]
mod tests {
    use countersign_core::peers::PeerPermission;
    use countersign_proto::session::{EncryptionOption, Strength};
    use serde_json::json;

    use super::*;

    /// The shell asked an unspecific question, and `person lock` did not ask at all.
    #[test]
    fn a_question_names_the_operation_and_its_target_and_no_secret() {
        let params = json!({ "name": "maria\u{7}", "passphrase": "hidden", "label": "x" });
        assert_eq!(
            question("person", "lock", &params, "Keeps a person from logging in."),
            r"person lock maria\u{7}: Keeps a person from logging in"
        );
        assert_eq!(
            question(
                "site",
                "key_new",
                &json!({}),
                "Makes the next key the current one."
            ),
            "site key new: Makes the next key the current one"
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
    fn an_operation_that_is_disruptive_with_some_parameters_asks_with_these_only() {
        let asks =
            |group, command, params| matches!(known(group, command, &params), Known::Disruptive(_));
        let (every, one) = (json!({}), json!({ "source": "192.0.2.7" }));
        assert!(asks("penalty", "forget", every) && !asks("penalty", "forget", one));
        assert!(asks("penalty", "forget", json!({ "source": null })));
        let allows = |names: &[&str]| json!({ "peer": "b.example", "allows": names });
        assert!(asks("peer", "permit", allows(&[])));
        assert!(asks("peer", "permit", allows(&["messages"])));
        let all = PeerPermission::ALL.map(PeerPermission::as_str);
        assert!(!asks("peer", "permit", allows(&all)));
        let named = |option: EncryptionOption| json!({ "name": option.name() });
        for option in EncryptionOption::ALL {
            let is_weak = option.strength() < Strength::Hybrid;
            assert_eq!(asks("option", "enable", named(option)), is_weak, "{option}");
        }
    }
}
