//! `countersign operation`: the operations of the site. The shell and `call` read the same list for
//! completion, for help, and to learn which operations are disruptive.

use clap::Subcommand;
use countersign_core::engine::DisruptiveWhen;
use rustyline::completion::{Completer, Pair};
use rustyline::{Context, Helper, Highlighter, Hinter, Validator};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::admin_call;
use crate::escape;
use crate::failure::Failure;
use crate::global::Common;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists the operations.
    List,
}

pub(crate) fn run(common: &Common, verb: &Verb) -> Result<(), Failure> {
    let Verb::List = verb;
    admin_call(common, "operation", "list", &json!({}))
}

const HELP: &str = "\
GROUP COMMAND [key=text …] [key:=JSON …] runs an operation; Tab completes.
help [GROUP [COMMAND]]  lists operations, or shows one with its parameters
exit                    ends the session";

/// The commands of the shell itself.
pub(super) const OWN_WORDS: [&str; 3] = ["help", "exit", "quit"];

/// The operations that this account may call: the result of `operation list`.
#[derive(Debug, Clone, Deserialize, Helper, Highlighter, Hinter, Validator)]
pub(crate) struct Operations {
    operations: Vec<Described>,
}

#[derive(Debug, Clone, Deserialize)]
struct Described {
    #[serde(deserialize_with = "line")]
    group: String,
    #[serde(deserialize_with = "line")]
    command: String,
    #[serde(deserialize_with = "line")]
    summary: String,
    disruptive: bool,
    /// Each is read by itself, since a later version of a site may have conditions of another form.
    #[serde(default)]
    disruptive_when: Vec<Value>,
    /// A JSON Schema.
    params: Value,
}

impl Operations {
    /// The effect of an operation, if it is disruptive with these parameters: it may take something away from
    /// an account that is using it, so the user is asked first.
    pub(crate) fn disruption(&self, group: &str, command: &str, params: &Value) -> Option<String> {
        let found = self.find(group, command)?;
        if found.disruptive {
            return Some(found.summary.clone());
        }
        let mut conditions = found.disruptive_when.iter();
        conditions.find_map(|when| match DisruptiveWhen::deserialize(when) {
            Ok(when) => when.holds(params).then(|| escape::line(&when.effect)),
            // It may hold.
            Err(_) => Some(found.summary.clone()),
        })
    }

    /// The help text about the words after `help`; `None` if there is no such group or operation.
    pub(super) fn help(&self, about: &[String]) -> Option<String> {
        match about {
            [] => Some(format!("{HELP}\n\n{}", self.overview(|_| true)?)),
            [group] => self.overview(|one| one.group == *group),
            [group, command] => self.find(group, command).map(Described::help),
            _ => None,
        }
    }

    fn overview(&self, wanted: impl Fn(&Described) -> bool) -> Option<String> {
        let found: Vec<_> = self.operations.iter().filter(|one| wanted(one)).collect();
        let names = found.iter().map(|one| one.name());
        let widest = names.map(|name| name.len()).max()?;
        let lines = found
            .iter()
            .map(|one| format!("{:widest$}  {}", one.name(), one.summary));
        Some(lines.collect::<Vec<_>>().join("\n"))
    }

    fn find(&self, group: &str, command: &str) -> Option<&Described> {
        self.operations
            .iter()
            .find(|one| one.group == group && one.command == command)
    }

    /// The completions of the last word of `typed`, and where that word begins.
    fn candidates(&self, typed: &str) -> (usize, Vec<String>) {
        let start = typed
            .rfind(char::is_whitespace)
            .map_or(0, |space| space + 1);
        let (before, word) = typed.split_at(start);
        let before: Vec<&str> = before.split_whitespace().collect();
        let mut candidates: Vec<String> = match before[..] {
            [] => {
                let groups = self.operations.iter().map(|one| one.group.as_str());
                groups.chain(OWN_WORDS).map(str::to_owned).collect()
            }
            ["help"] => self
                .operations
                .iter()
                .map(|one| one.group.clone())
                .collect(),
            [group] | ["help", group] => self
                .operations
                .iter()
                .filter(|one| one.group == group)
                .map(|one| one.command.clone())
                .collect(),
            ["help", ..] => Vec::new(),
            [group, command, ..] => self
                .find(group, command)
                .into_iter()
                .flat_map(Described::fields)
                .map(|(name, schema)| {
                    let sign = if is_text(schema) { "=" } else { ":=" };
                    format!("{}{sign}", escape::line(name))
                })
                .collect(),
        };
        candidates.retain(|candidate| candidate.starts_with(word));
        candidates.sort();
        candidates.dedup();
        (start, candidates)
    }
}

impl Completer for Operations {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, candidates) = self.candidates(line.get(..at).unwrap_or_default());
        let pairs = candidates.into_iter().map(|text| {
            // A value follows `name=` without a space; a word ends with one.
            let end = if text.ends_with('=') { "" } else { " " };
            Pair {
                replacement: format!("{text}{end}"),
                display: text,
            }
        });
        Ok((start, pairs.collect()))
    }
}

impl Described {
    fn name(&self) -> String {
        format!("{} {}", self.group, self.command)
    }

    fn fields(&self) -> impl Iterator<Item = (&String, &Value)> {
        let fields = self.params.get("properties").and_then(Value::as_object);
        fields.into_iter().flatten()
    }

    fn help(&self) -> String {
        let required = |name: &str| {
            let names = self.params.get("required").and_then(Value::as_array);
            names.is_some_and(|names| names.iter().any(|one| one == name))
        };
        let widest = self.fields().map(|(name, _)| name.len()).max();
        let widest = widest.unwrap_or_default();
        let mut help = format!("{}: {}", self.name(), self.summary);
        for (name, schema) in self.fields() {
            let need = if required(name) {
                "required"
            } else {
                "optional"
            };
            let meaning = schema.get("description").and_then(Value::as_str);
            help += &format!("\n  {name:widest$}  ({need})  {}", meaning.unwrap_or("-"));
        }
        help
    }
}

/// Reads a name or a sentence of the site and escapes control characters.
fn line<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(|text| escape::line(&text))
}

/// Whether a value is typed as text (`name=`) instead of JSON (`name:=`).
fn is_text(schema: &Value) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == "string",
        Some(Value::Array(several)) => several.iter().any(|one| one == "string"),
        // Named types are names, roles, addresses: text.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn operations() -> Operations {
        let none = json!({ "type": "object" });
        let create = json!({
            "properties": {
                "name": { "type": "string", "description": "Its name." },
                "seats": { "type": ["integer", "null"], "description": "How many." },
            },
            "required": ["name"],
        });
        let one = |group: &str, command: &str, disruptive: bool, params: &Value| {
            json!({ "group": group, "command": command, "summary": format!("Does {command}."),
                "disruptive": disruptive, "params": params })
        };
        let operations = [
            one("person", "create", false, &create),
            one("person", "delete", true, &create),
            one("site", "status", false, &none),
        ];
        serde_json::from_value(json!({ "operations": operations })).unwrap()
    }

    #[test]
    fn groups_commands_and_parameters_are_completed() {
        let completed = |typed| operations().candidates(typed);
        assert_eq!(completed("p"), (0, vec!["person".to_owned()]));
        assert_eq!(completed("person c"), (7, vec!["create".to_owned()]));
        assert_eq!(
            completed("person create "),
            (14, vec!["name=".to_owned(), "seats:=".to_owned()])
        );
        assert_eq!(
            completed("person create name=a s"),
            (21, vec!["seats:=".to_owned()])
        );
        assert_eq!(completed("help si"), (5, vec!["site".to_owned()]));
        assert_eq!(completed("help site "), (10, vec!["status".to_owned()]));
        assert_eq!(completed("unknown "), (8, vec![]));
    }

    #[test]
    fn help_is_for_all_for_a_group_and_for_an_operation() {
        let help = |about: &[&str]| {
            let about: Vec<String> = about.iter().copied().map(str::to_owned).collect();
            operations().help(&about)
        };
        assert!(help(&[]).unwrap().contains("site status    Does status."));
        assert_eq!(
            help(&["person", "create"]).unwrap(),
            "person create: Does create.\n  name   (required)  Its name.\n  seats  (optional)  How many."
        );
        assert!(!help(&["person"]).unwrap().contains("site"));
        assert_eq!((help(&["peer"]), help(&["site", "stats"])), (None, None));
    }

    #[test]
    fn names_from_the_site_reach_the_terminal_escaped() {
        let one = json!({ "group": "a\u{1b}[2J", "command": "b\u{7}", "summary": "c\nd",
            "disruptive": false, "params": { "properties": { "e\u{9b}": {} } } });
        let operations: Operations =
            serde_json::from_value(json!({ "operations": [one] })).unwrap();
        assert_eq!(operations.candidates("a").1, [r"a\u{1b}[2J"]);
        assert_eq!(operations.candidates(r"a\u{1b}[2J ").1, [r"b\u{7}"]);
        assert_eq!(
            operations.candidates(r"a\u{1b}[2J b\u{7} ").1,
            [r"e\u{9b}="]
        );
        assert!(
            operations
                .help(&[])
                .unwrap()
                .ends_with(r"a\u{1b}[2J b\u{7}  c\nd")
        );
    }

    #[test]
    fn only_disruptive_operations_are_asked_about() {
        let operations = operations();
        let none = json!({});
        let summary = operations.disruption("person", "delete", &none);
        assert_eq!(summary.as_deref(), Some("Does delete."));
        assert_eq!(operations.disruption("person", "create", &none), None);
        assert_eq!(operations.disruption("no", "such", &none), None);
    }

    /// An operation that this program does not know asks as those that it knows.
    #[test]
    fn an_operation_of_the_site_asks_with_the_parameters_that_the_site_names() {
        let when =
            json!({ "parameter": "name", "is": { "one_of": ["all"] }, "effect": "ends\u{7} all" });
        let one = json!({ "group": "a", "command": "b", "summary": "c", "disruptive": false,
            "disruptive_when": [when], "params": {} });
        let operations: Operations =
            serde_json::from_value(json!({ "operations": [one] })).unwrap();
        let effect = operations.disruption("a", "b", &json!({ "name": "all" }));
        assert_eq!(effect.as_deref(), Some(r"ends\u{7} all"));
        assert_eq!(
            operations.disruption("a", "b", &json!({ "name": "one" })),
            None
        );
    }

    /// A later version of a site had a condition of another form, and the list of all operations was not read: an
    /// operation that this program does not know then ran without a question.
    #[test]
    fn a_condition_that_this_program_does_not_know_asks() {
        let when = json!({ "parameter": "name", "is": { "longer_than": 3 }, "effect": "ends all" });
        let one = json!({ "group": "a", "command": "b", "summary": "Does b.", "disruptive": false,
            "disruptive_when": [when], "params": {} });
        let operations: Operations =
            serde_json::from_value(json!({ "operations": [one] })).unwrap();
        let effect = operations.disruption("a", "b", &json!({ "name": "one" }));
        assert_eq!(effect.as_deref(), Some("Does b."));
    }
}
