//! Operations as a user of `call` and `shell` types them: `peer resume peer=b.example`.

use std::borrow::Cow;

use clap::Command;
use countersign_core::access::Channel;
use countersign_core::engine::{Entry, Table};
use serde_json::Value;

/// Writes an operation that has the arguments of its command line with parameters instead. `None` for other
/// text, and for an operation that cannot be typed so: only the admin socket takes it, its command line does
/// more than it, or the text does not give its required parameters. `program` is this program, whose commands
/// know the names of their arguments.
pub(super) fn operation(table: &Table, program: &Command, span: &str) -> Option<String> {
    let (entry, arguments) = table.named_in(span)?;
    if !entry.access().channels().contains(&Channel::Session) {
        return None;
    }
    let words = entry.command_line()?;
    let mut leaf = Some(program);
    for word in words.split(' ') {
        leaf = leaf?.find_subcommand(word);
    }
    let params = params(entry, leaf?, shlex::split(arguments)?)?;
    let required = entry.params().get("required").and_then(Value::as_array);
    let is_given = |name: &Value| {
        let name = name.as_str();
        params.iter().any(|(given, _)| Some(*given) == name)
    };
    let is_complete = required.is_none_or(|names| names.iter().all(is_given));
    is_complete.then(|| {
        let typed = params.iter().map(|(_, typed)| typed.as_str());
        let operation = [entry.group(), entry.command()];
        operation
            .into_iter()
            .chain(typed)
            .collect::<Vec<_>>()
            .join(" ")
    })
}

/// The parameters that the arguments of a command give: each with its name, and as it is typed.
fn params<'a>(
    entry: &Entry,
    command: &'a Command,
    arguments: Vec<String>,
) -> Option<Vec<(&'a str, String)>> {
    let mut params = Vec::new();
    let mut leaf = command;
    let mut positionals = leaf.get_positionals();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        if let Some(next) = leaf.find_subcommand(&argument) {
            (leaf, positionals) = (next, next.get_positionals());
            continue;
        }
        let (given, value) = match argument.strip_prefix("--") {
            Some(name) => {
                let named = |given: &&clap::Arg| given.get_long() == Some(name);
                let given = leaf.get_arguments().find(named)?;
                let value = match given.get_action().takes_values() {
                    true => arguments.next()?,
                    false => true.to_string(),
                };
                (given, value)
            }
            None => (positionals.next()?, argument),
        };
        // The target of `lockdown lift person NAME` is the parameter `person`.
        let names = [given.get_id().as_str(), leaf.get_name()];
        let properties = entry.params().get("properties")?;
        let found = names
            .into_iter()
            .find_map(|name| Some((name, properties.get(name)?)));
        let (name, schema) = found?;
        params.push((
            name,
            typed(entry.params().as_value(), name, &value, schema)?,
        ));
    }
    // The site as a target has no name to give.
    let is_whole = leaf.get_name() == command.get_name() || !params.is_empty();
    is_whole.then_some(params)
}

/// A parameter as it is typed; `None` if it is neither text, a number, a truth value nor a list of texts.
fn typed(root: &Value, name: &str, value: &str, schema: &Value) -> Option<String> {
    let schema = resolved(root, schema)?;
    let quoted = |text: &str| shlex::try_quote(text).map(Cow::into_owned).ok();
    match type_of(schema)? {
        "string" => Some(format!("{name}={}", quoted(value)?)),
        "array" if type_of(resolved(root, schema.get("items")?)?)? == "string" => {
            let list = serde_json::to_string(&[value]).ok()?;
            Some(format!("{name}:={}", quoted(&list)?))
        }
        "integer" | "boolean" => Some(format!("{name}:={value}")),
        _ => None,
    }
}

/// The first schema with a type: a schema refers to another one, or names several, of which the first one is
/// that of a value which is not null.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    let mut schema = schema;
    while schema.get("type").is_none() {
        schema = match schema.get("$ref") {
            Some(reference) => root.pointer(reference.as_str()?.strip_prefix('#')?)?,
            None => schema
                .get("anyOf")
                .or_else(|| schema.get("oneOf"))?
                .get(0)?,
        };
    }
    Some(schema)
}

fn type_of(schema: &Value) -> Option<&str> {
    let given = schema.get("type")?;
    given.as_str().or_else(|| given.get(0)?.as_str())
}
