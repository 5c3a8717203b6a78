//! The fields of a JSON Schema as rows of a table.

use serde_json::Value;

use super::markup::Markup;
use super::text_of;

/// The maximum nesting of objects without a name in one table.
const MAX_DEPTH: usize = 4;

/// A row of a table of fields.
pub(super) struct Field<'a> {
    pub(super) name: String,
    pub(super) place: Option<&'a str>,
    pub(super) required: bool,
    pub(super) schema: &'a Value,
    pub(super) meaning: &'a str,
}

/// The fields of an object; `a.b` and `a[].b` for fields of objects without a name.
pub(super) fn fields<'a>(schema: &'a Value, place: Option<&'a str>) -> Vec<Field<'a>> {
    let mut all = Vec::new();
    collect(&mut all, "", schema, place, 0);
    all
}

fn collect<'a>(
    all: &mut Vec<Field<'a>>,
    above: &str,
    schema: &'a Value,
    place: Option<&'a str>,
    depth: usize,
) {
    let required = schema.get("required").and_then(Value::as_array);
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, field) in properties.into_iter().flatten() {
        let required = required.is_some_and(|all| all.iter().any(|one| one == name.as_str()));
        let name = format!("{above}{name}");
        all.push(Field {
            name: name.clone(),
            place,
            required,
            schema: field,
            meaning: text_of(field, "description"),
        });
        if depth < MAX_DEPTH {
            collect(all, &format!("{name}."), field, place, depth + 1);
            if let Some(items) = field.get("items") {
                collect(all, &format!("{name}[]."), items, place, depth + 1);
            }
        }
    }
}

/// Adds rows with the name, the place, the type and the meaning of each field.
pub(super) fn table(page: &mut Markup, what: &str, fields: &[Field<'_>]) {
    let has_places = fields.iter().any(|field| field.place.is_some());
    let heads: &[&str] = match has_places {
        true => &[what, "in", "type", "meaning"],
        false => &[what, "type", "meaning"],
    };
    page.table(heads, |page| {
        for field in fields {
            page.html("<tr><td>");
            page.element("code", &field.name);
            if !field.required {
                page.html(" <span class=\"optional\">optional</span>");
            }
            page.html("</td>");
            if has_places {
                page.element("td", field.place.unwrap_or_default());
            }
            page.html("<td>");
            kind(page, field.schema);
            page.html("</td><td>");
            page.prose(field.meaning);
            bounds(page, field.meaning, field.schema);
            page.html("</td></tr>\n");
        }
    });
}

/// Adds the type of a value. The name of a definition is a link to it.
pub(super) fn kind(page: &mut Markup, schema: &Value) {
    if let Some(name) = reference(schema) {
        return page.link(&format!("type-{name}"), name);
    }
    if let Some(value) = schema.get("const") {
        return page.element("code", &in_words(value));
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return alternatives(page, values, |page, value| {
            page.element("code", &in_words(value));
        });
    }
    let choices = ["anyOf", "oneOf"]
        .into_iter()
        .find_map(|key| schema.get(key).and_then(Value::as_array));
    if let Some(choices) = choices {
        return alternatives(page, choices, kind);
    }
    if let Some(one) = schema.get("allOf").and_then(|all| all.get(0)) {
        return kind(page, one);
    }
    match schema.get("type") {
        Some(Value::String(name)) => named(page, name, schema),
        Some(Value::Array(names)) => {
            alternatives(page, names, |page, name| {
                named(page, name.as_str().unwrap_or_default(), schema);
            });
        }
        _ => page.text("any"),
    }
}

fn named(page: &mut Markup, name: &str, schema: &Value) {
    match (
        name,
        schema.get("items"),
        schema.get("additionalProperties"),
    ) {
        ("array", Some(items), _) => {
            page.text("list of ");
            kind(page, items);
        }
        ("object", _, Some(values)) if values.is_object() => {
            page.text("map of ");
            kind(page, values);
        }
        ("string", ..) => page.text(match text_of(schema, "format") {
            "uuid" => "UUID",
            "date-time" => "time",
            "email" => "email address",
            "uri" => "URI",
            _ => "text",
        }),
        (other, ..) => page.text(other),
    }
}

fn alternatives(page: &mut Markup, all: &[Value], add: impl Fn(&mut Markup, &Value)) {
    for (index, one) in all.iter().enumerate() {
        if index > 0 {
            page.text(" or ");
        }
        add(page, one);
    }
}

/// Adds what restricts a value, and its default unless its meaning says that: a sentence after the meaning.
fn bounds(page: &mut Markup, meaning: &str, schema: &Value) {
    let bound = |key: &str| schema.get(key).map(in_words);
    let mut texts = Vec::new();
    for (least, most, unit) in [
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " entries"),
    ] {
        // The least value of an unsigned integer tells nothing.
        let least = bound(least).filter(|least| least != "0");
        match (least, bound(most)) {
            (Some(least), Some(most)) => texts.push(format!("{least} to {most}{unit}")),
            (Some(least), None) => texts.push(format!("at least {least}{unit}")),
            (None, Some(most)) => texts.push(format!("at most {most}{unit}")),
            (None, None) => {}
        }
    }
    let default = bound("default").filter(|text| text != "null" && !text.is_empty());
    let default = default.filter(|_| !meaning.contains("default"));
    texts.extend(default.map(|value| format!("default `{value}`")));
    if !texts.is_empty() {
        let mut sentence = texts.join(", ") + ".";
        // ASCII: a number, `at` or `default`.
        if let Some(first) = sentence.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        page.html(" <span class=\"bounds\">");
        page.prose(&sentence);
        page.html("</span>");
    }
}

/// The name of the definition that a schema refers to.
fn reference(schema: &Value) -> Option<&str> {
    let reference = schema.get("$ref").and_then(Value::as_str)?;
    reference.strip_prefix("#/components/schemas/")
}

fn in_words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_type_is_in_words_and_a_definition_is_a_link() {
        let written = |schema| {
            let mut page = Markup::default();
            kind(&mut page, &schema);
            page.0
        };
        let list = json!({ "type": "array", "items": { "$ref": "#/components/schemas/Key" } });
        assert_eq!(written(list), "list of <a href=\"#type-Key\">Key</a>");
        let optional = json!({ "type": ["string", "null"], "format": "uuid" });
        assert_eq!(written(optional), "UUID or null");
        let state = json!({ "oneOf": [{ "const": "open" }, { "const": "over" }] });
        assert_eq!(written(state), "<code>open</code> or <code>over</code>");
        assert_eq!(written(json!({})), "any");
    }

    /// The page had "The full name. at most 200 characters", and a default that the meaning has a second time.
    #[test]
    fn what_restricts_a_value_is_a_sentence_and_the_default_is_there_once() {
        let row = |meaning: &str, schema: Value| {
            let mut page = Markup::default();
            page.prose(meaning);
            bounds(&mut page, meaning, &schema);
            page.0
                .replace(" <span class=\"bounds\">", " | ")
                .replace("</span>", "")
        };
        let name = json!({ "maxLength": 200, "default": "" });
        assert_eq!(
            row("The name.", name),
            "The name. | At most 200 characters."
        );
        let role = json!({ "default": "member" });
        let said = "The role; default `member`.";
        assert_eq!(
            row(said, role.clone()),
            "The role; default <code>member</code>."
        );
        assert_eq!(
            row("The role.", role),
            "The role. | Default <code>member</code>."
        );
        let limit = json!({ "minimum": 1, "maximum": 1000, "default": 100 });
        let once = "1 to 1000, default <code>100</code>.";
        assert_eq!(row("The limit.", limit), format!("The limit. | {once}"));
    }

    #[test]
    fn fields_of_objects_without_a_name_have_their_path() {
        let schema = json!({
            "required": ["entries"],
            "properties": { "entries": { "type": "array", "items": {
                "properties": { "id": { "type": "string" } },
            } } },
        });
        let fields = fields(&schema, None);
        let names: Vec<_> = fields
            .iter()
            .map(|one| (one.name.as_str(), one.required))
            .collect();
        assert_eq!(names, [("entries", true), ("entries[].id", false)]);
    }
}
