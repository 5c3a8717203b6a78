//! Generates the reference page of the operations from the table.

use std::fmt::Write as _;

use countersign_proto::operation::Operation;
use schemars::Schema;
use serde_json::{Map, Value};

use crate::access::{Channel, Role};
use crate::engine::rest::{BASE, Rest};
use crate::engine::{Entry, Table};

/// Returns the reference page in Markdown.
#[must_use]
pub fn markdown(table: &Table) -> String {
    let mut page = String::from(HEAD);
    let mut group = "";
    for entry in table.entries() {
        if entry.group() != group {
            group = entry.group();
            let _ = write!(page, "\n## {group}\n");
        }
        operation(&mut page, entry);
    }
    page
}

const HEAD: &str = "\
# Operations

This page lists every operation of a site. An operation is `{id, group, command, params}` and its
result is `{id, code, data, output}`, on every channel ([operations](../protocol/operations.md)).
Some operations take content or return it: a sequence of bytes of any length that follows the
envelope. A code other than 0 comes with data `{code, message, hint, field}`, where `field` is the
path of the parameter that is wrong.

*This page is generated from the table of operations. To change it, change the table and run the
tests of `countersign-core` with `COUNTERSIGN_BLESS=1`.*
";

fn operation(page: &mut String, entry: &Entry) {
    let _ = write!(page, "\n### {} {}\n\n", entry.group(), entry.command());
    wrap(page, entry.summary());
    page.push('\n');
    let _ = writeln!(page, "- Who: {}", who(entry));
    let audited = match (entry.is_audited(), entry.is_disruptive()) {
        (_, true) => "yes, including attempts without permission",
        (true, false) => "yes",
        (false, false) => "no",
    };
    let _ = writeln!(page, "- HTTP: {}", over_http(entry));
    let _ = writeln!(page, "- Audited: {audited}");
    if entry.is_disruptive() {
        page.push_str(
            "- Disruptive: it may interrupt or remove something that another user is using\n",
        );
    }
    for when in entry.disruptive_when() {
        wrap(page, &format!("- Disruptive {when}"));
    }
    if entry.works_while_sealed() {
        page.push_str("- Available while the site is sealed\n");
    }
    if entry.takes_content() {
        page.push_str("- Takes content\n");
    }
    if entry.gives_content() {
        page.push_str("- Returns content\n");
    }
    let params = entry.params();
    if fields(params.as_value()).is_some_and(|fields| !fields.is_empty()) {
        page.push_str("\nParameters:\n\n");
        fields_table(page, params);
        example(page, entry);
    } else {
        page.push_str("- Parameters: none\n");
    }
    if fields(entry.result().as_value()).is_some_and(|fields| !fields.is_empty()) {
        page.push_str("\nResult:\n\n");
        fields_table(page, entry.result());
    }
}

/// Appends a paragraph in lines of at most 100 columns, as on every page.
fn wrap(page: &mut String, paragraph: &str) {
    let mut columns = 0;
    for word in paragraph.split_whitespace() {
        let length = word.chars().count();
        if columns > 0 && columns + 1 + length > 100 {
            page.push('\n');
            columns = 0;
        } else if columns > 0 {
            page.push(' ');
            columns += 1;
        }
        page.push_str(word);
        columns += length;
    }
    page.push('\n');
}

/// Writes the whole envelope, as one line at the admin socket.
fn example(page: &mut String, entry: &Entry) {
    let line = serde_json::value::to_raw_value(entry.example()).and_then(|params| {
        let operation = Operation::new(1, entry.group(), entry.command(), params);
        serde_json::to_string(&operation)
    });
    if let Ok(line) = line {
        let _ = write!(page, "\n```json\n{line}\n```\n");
    }
}

/// The method and path, or why there is none.
fn over_http(entry: &Entry) -> String {
    match entry.rest() {
        Rest::Route(route) => {
            let condition = match entry.is_revised() {
                true => ", with `If-Match`",
                false => "",
            };
            format!("`{} {BASE}{}`{condition}", route.method, route.path)
        }
        Rest::None(reason) => format!("no, because {reason}"),
        Rest::Undecided => "no, because it is available at the local admin socket only".to_owned(),
    }
}

fn who(entry: &Entry) -> String {
    let access = entry.access();
    if access.channels() == [Channel::AdminSocket] {
        return "local users with access to the site's folder (admin socket only)".to_owned();
    }
    let names = |roles: &[Role]| roles.iter().map(Role::to_string).collect::<Vec<_>>();
    let mut who = names(access.roles());
    if !access.own_roles().is_empty() {
        let own = names(access.own_roles()).join(", ");
        who.push(format!("{own} (their own only)"));
    }
    who.join(", ")
}

fn fields_table(page: &mut String, schema: &Schema) {
    page.push_str("| field | type | meaning |\n|---|---|---|\n");
    rows(page, schema.as_value(), schema.as_value(), "");
}

/// Writes one row per field. The fields of an object, or of the entries of a list, follow with the
/// path as a prefix.
fn rows(page: &mut String, root: &Value, object: &Value, path: &str) {
    let required = object.get("required").and_then(Value::as_array);
    for (name, field) in fields(object).into_iter().flatten() {
        let resolved = resolve(root, field);
        let needed = required.is_some_and(|names| names.contains(&Value::from(name.as_str())));
        let meaning = text(field, "description").or_else(|| text(resolved, "description"));
        let _ = writeln!(
            page,
            "| `{path}{name}` | {}{} | {} |",
            type_of(root, resolved),
            if needed { "" } else { ", optional" },
            meaning.unwrap_or_default().replace('\n', " ")
        );
        if fields(resolved).is_some() {
            rows(page, root, resolved, &format!("{path}{name}."));
        } else if let Some(entries) = resolved.get("items") {
            rows(
                page,
                root,
                resolve(root, entries),
                &format!("{path}{name}[]."),
            );
        }
    }
}

fn fields(object: &Value) -> Option<&Map<String, Value>> {
    object.get("properties").and_then(Value::as_object)
}

fn text<'a>(schema: &'a Value, key: &str) -> Option<&'a str> {
    schema.get(key).and_then(Value::as_str)
}

/// Follows a reference into the definitions, and an optional value to its non-null type.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let target = text(schema, "$ref").and_then(|reference| reference.strip_prefix('#'));
    if let Some(found) = target.and_then(|pointer| root.pointer(pointer)) {
        return found;
    }
    let choices = schema.get("anyOf").and_then(Value::as_array);
    let value = choices
        .into_iter()
        .flatten()
        .find(|choice| text(choice, "type") != Some("null"));
    match value {
        Some(value) => resolve(root, value),
        None => schema,
    }
}

fn type_of(root: &Value, schema: &Value) -> String {
    if let Some(words) = words(schema) {
        return words.join(" or ");
    }
    let plain = match schema.get("type") {
        Some(Value::String(one)) => one.clone(),
        Some(Value::Array(several)) => several
            .iter()
            .filter_map(Value::as_str)
            .find(|one| *one != "null")
            .unwrap_or("any")
            .to_owned(),
        _ => "any".to_owned(),
    };
    if plain == "array" {
        let entries = schema.get("items").map(|entries| resolve(root, entries));
        return match entries {
            Some(entries) => format!("list of {}", type_of(root, entries)),
            None => "list".to_owned(),
        };
    }
    match text(schema, "format").or_else(|| text(schema, "contentEncoding")) {
        Some(format) if plain == "string" => format!("string ({format})"),
        _ => plain,
    }
}

/// Returns the values that an enumeration allows.
fn words(schema: &Value) -> Option<Vec<String>> {
    let quoted = |word: &Value| word.as_str().map(|word| format!("`{word}`"));
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return words.iter().map(quoted).collect();
    }
    if let Some(word) = schema.get("const") {
        return quoted(word).map(|word| vec![word]);
    }
    let choices = schema.get("oneOf").and_then(Value::as_array)?;
    let all: Option<Vec<Vec<String>>> = choices.iter().map(words).collect();
    Some(all?.into_iter().flatten().collect())
}
