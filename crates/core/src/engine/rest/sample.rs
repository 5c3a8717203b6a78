//! A value of a JSON Schema, as an example for readers.

use serde_json::{Map, Value};

/// The maximum nesting of an example. Deeper values are left out.
const MAX_DEPTH: usize = 8;

/// Returns a value that the schema allows. `root` has the definitions that it refers to.
pub(super) fn sample(root: &Value, schema: &Value) -> Value {
    value(root, schema, 0)
}

fn value(root: &Value, schema: &Value, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return Value::Null;
    }
    let reference = schema.get("$ref").and_then(Value::as_str);
    if let Some(pointer) = reference.and_then(|reference| reference.strip_prefix('#')) {
        let target = root.pointer(pointer);
        return target.map_or(Value::Null, |target| value(root, target, depth + 1));
    }
    if let Some(fixed) = schema.get("const").or_else(|| schema.get("default")) {
        return fixed.clone();
    }
    if let Some(first) = schema.get("enum").and_then(|all| all.get(0)) {
        return first.clone();
    }
    let choices = ["anyOf", "oneOf", "allOf"]
        .into_iter()
        .find_map(|key| schema.get(key).and_then(Value::as_array));
    let is_null = |choice: &&Value| choice.get("type").is_some_and(|kind| kind == "null");
    if let Some(choice) = choices.and_then(|all| all.iter().find(|choice| !is_null(choice))) {
        let mut chosen = value(root, choice, depth + 1);
        // The fields that all choices have.
        if let (Value::Object(chosen), "object") = (&mut chosen, kind(schema))
            && let Value::Object(common) = object(root, schema, depth)
        {
            chosen.extend(common);
        }
        return chosen;
    }
    match kind(schema) {
        "object" => object(root, schema, depth),
        "array" => {
            let items = schema.get("items");
            let items = items.map(|items| value(root, items, depth + 1));
            Value::Array(items.into_iter().collect())
        }
        "string" => text(schema).into(),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or_else(|| 1.into()),
        "boolean" => false.into(),
        _ => Value::Null,
    }
}

/// The first type that is not null.
fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(one)) => one,
        Some(Value::Array(several)) => {
            let mut names = several.iter().filter_map(Value::as_str);
            names.find(|one| *one != "null").unwrap_or_default()
        }
        _ if schema.get("properties").is_some() => "object",
        _ => "",
    }
}

/// An object with the fields that it must have.
fn object(root: &Value, schema: &Value, depth: usize) -> Value {
    let required = schema.get("required").and_then(Value::as_array);
    let names = required.into_iter().flatten().filter_map(Value::as_str);
    let fields = names.filter_map(|name| {
        let field = schema.get("properties")?.get(name)?;
        Some((name.to_owned(), value(root, field, depth + 1)))
    });
    Value::Object(fields.collect::<Map<_, _>>())
}

fn text(schema: &Value) -> &'static str {
    match schema.get("format").and_then(Value::as_str) {
        Some("uuid") => "019523d0-5c00-7000-8000-000000000000",
        Some("date-time") => "2026-03-01T12:00:00.000Z",
        Some("uri") => "https://tools.example.org",
        _ => "text",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_example_has_the_required_fields_of_its_schema() {
        let schema = json!({
            "type": "object",
            "required": ["id", "state", "list", "of"],
            "properties": {
                "id": { "type": "string", "format": "uuid" },
                "state": { "enum": ["open", "over"] },
                "list": { "type": "array", "items": { "$ref": "#/$defs/Count" } },
                "of": { "anyOf": [{ "type": "null" }, { "type": ["boolean", "null"] }] },
                "other": { "type": "string" },
            },
            "$defs": { "Count": { "type": "integer", "minimum": 3 } },
        });
        let example = sample(&schema, &schema);
        let id = "019523d0-5c00-7000-8000-000000000000";
        let expected = json!({ "id": id, "state": "open", "list": [3], "of": false });
        assert_eq!(example, expected);
    }

    #[test]
    fn a_schema_that_contains_itself_has_an_example() {
        let schema = json!({
            "$ref": "#/$defs/Tree",
            "$defs": { "Tree": {
                "type": "object",
                "required": ["tree"],
                "properties": { "tree": { "$ref": "#/$defs/Tree" } },
            } },
        });
        assert!(sample(&schema, &schema).is_object());
    }
}
