//! The definitions that the schemas of all operations share.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// The definitions by their name in the document.
#[derive(Default)]
pub(super) struct Components {
    schemas: BTreeMap<String, Value>,
    /// Each definition with everything that it refers to, which tells equal names apart.
    wholes: BTreeMap<String, Value>,
}

impl Components {
    /// Returns a schema whose definitions are in the document. Two definitions with one name and
    /// different content get different names.
    pub(super) fn adopt(&mut self, operation: &str, root: &Value) -> Value {
        let defined = root.get("$defs").and_then(Value::as_object);
        let mut names = BTreeMap::new();
        for name in defined.into_iter().flat_map(Map::keys) {
            let whole = whole(root, name);
            let known = self.wholes.get(name);
            let unique = match known.is_none_or(|known| *known == whole) {
                true => name.clone(),
                false => format!("{name}_of_{}", operation.replace('.', "_")),
            };
            self.wholes.insert(unique.clone(), whole);
            names.insert(name.clone(), unique);
        }
        for (name, schema) in defined.into_iter().flatten() {
            if let Some(unique) = names.get(name) {
                let schema = with_names(schema, &names);
                self.schemas.insert(unique.clone(), schema);
            }
        }
        let mut schema = with_names(root, &names);
        if let Some(schema) = schema.as_object_mut() {
            for key in ["$defs", "$schema", "title"] {
                schema.remove(key);
            }
        }
        schema
    }

    /// All definitions, with that of a problem.
    pub(super) fn into_schemas(self) -> Value {
        let mut schemas: Map<String, Value> = self.schemas.into_iter().collect();
        schemas.insert("Problem".to_owned(), problem());
        Value::Object(schemas)
    }
}

/// A definition and all that it refers to.
fn whole(root: &Value, name: &str) -> Value {
    let mut found = BTreeSet::from([name.to_owned()]);
    let mut left = vec![name.to_owned()];
    let mut all = Map::new();
    while let Some(name) = left.pop() {
        let schema = root.get("$defs").and_then(|all| all.get(&name));
        let schema = schema.cloned().unwrap_or_default();
        references(&schema, &mut |reference| {
            if found.insert(reference.to_owned()) {
                left.push(reference.to_owned());
            }
        });
        all.insert(name, schema);
    }
    Value::Object(all)
}

fn references(schema: &Value, found: &mut impl FnMut(&str)) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                let name = value.as_str().filter(|_| key == "$ref");
                if let Some(name) = name.and_then(|text| text.strip_prefix("#/$defs/")) {
                    found(name);
                }
                references(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

/// The schema with its references to definitions of the document.
fn with_names(schema: &Value, names: &BTreeMap<String, String>) -> Value {
    match schema {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| {
                let name = value.as_str().filter(|_| key == "$ref");
                let name = name.and_then(|text| text.strip_prefix("#/$defs/"));
                let value = match name.and_then(|name| names.get(name)) {
                    Some(unique) => format!("#/components/schemas/{unique}").into(),
                    None => with_names(value, names),
                };
                (key.clone(), value)
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => items.iter().map(|item| with_names(item, names)).collect(),
        other => other.clone(),
    }
}

/// The fields of the head of responses.
pub(super) fn headers() -> Value {
    let field = |meaning: &str, schema: Value| json!({ "description": meaning, "schema": schema });
    let text = || json!({ "type": "string" });
    json!({
        "RequestId": field("Names the request. The site's log has the id of a refused one.", text()),
        "Location": field("The path of what was created.", text()),
        "ETag": field(
            "The entity tag: which object it is, and its revision. `If-Match` of a change takes it.",
            json!({ "type": "string", "pattern": "^\"[0-9a-f-]+-[0-9]+\"$" }),
        ),
        "IdempotencyReplayed": field(
            "Present if the response is that of an earlier request with the same idempotency key.",
            json!({ "const": "true" }),
        ),
        "WwwAuthenticate": field("How a client authenticates (RFC 9110).", text()),
        "RetryAfter": field(
            "The number of seconds after which the request can be repeated; with 429 and 503, and with the 409 of `in_progress`.",
            json!({ "type": "integer", "minimum": 0 }),
        ),
    })
}

fn problem() -> Value {
    let text = |meaning| json!({ "type": "string", "description": meaning });
    json!({
        "type": "object",
        "description": "Why a request had no effect (RFC 9457).",
        "required": ["type", "title", "status", "code", "request_id"],
        "properties": {
            "type": text("`urn:countersign:` and the code."),
            "title": text("The kind of problem, in words."),
            "status": { "type": "integer", "description": "The HTTP status." },
            "code": text("The stable code for programs."),
            "detail": text("What happened."),
            "hint": text("What to do about it."),
            "field": text("The path of the parameter that is wrong."),
            "request_id": text("Names the request in the site's log."),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_definitions_are_shared_and_different_ones_are_not() {
        let schema = |kind: &str| {
            json!({
                "properties": { "a": { "$ref": "#/$defs/A" } },
                "$defs": {
                    "A": { "items": { "$ref": "#/$defs/B" } },
                    "B": { "type": kind },
                },
            })
        };
        let mut components = Components::default();
        let first = components.adopt("demo.one", &schema("string"));
        assert_eq!(components.adopt("demo.two", &schema("string")), first);
        assert_eq!(first["properties"]["a"]["$ref"], "#/components/schemas/A");
        // A is written alike, but refers to another B.
        let other = components.adopt("demo.other", &schema("integer"));
        let reference = &other["properties"]["a"]["$ref"];
        assert_eq!(reference, "#/components/schemas/A_of_demo_other");
        let schemas = components.into_schemas();
        let items = &schemas["A_of_demo_other"]["items"]["$ref"];
        assert_eq!(items, "#/components/schemas/B_of_demo_other");
        assert_eq!(schemas["B"]["type"], "string");
    }
}
