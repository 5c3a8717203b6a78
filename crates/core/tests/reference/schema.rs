//! A validator for the JSON Schemas of the description. A keyword that it does not know is an error, so
//! that no schema passes unread.

use regex_automata::meta::Regex;
use serde_json::{Map, Value};

/// The keywords that describe and do not restrict.
const ANNOTATIONS: [&str; 5] = [
    "title",
    "description",
    "default",
    "contentEncoding",
    "examples",
];

/// What is wrong with a value, each with its path; empty if the schema allows it. References lead into
/// `document`.
pub(super) fn problems(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut validator = Validator {
        document,
        problems: Vec::new(),
    };
    validator.check("", schema, value);
    validator.problems
}

struct Validator<'a> {
    document: &'a Value,
    problems: Vec<String>,
}

impl Validator<'_> {
    fn check(&mut self, at: &str, schema: &Value, value: &Value) {
        let schema = match schema {
            Value::Object(schema) => schema,
            Value::Bool(true) => return,
            other => return self.wrong(at, &format!("the schema is {other}")),
        };
        for (keyword, argument) in schema {
            self.keyword(at, (keyword, argument), schema, value);
        }
    }

    fn keyword(
        &mut self,
        at: &str,
        (keyword, argument): (&str, &Value),
        schema: &Map<String, Value>,
        value: &Value,
    ) {
        let length = value.as_str().map(|text| text.chars().count() as f64);
        let count = value.as_array().map(|items| items.len() as f64);
        let at_least = |found: Option<f64>| found.is_none_or(|found| found >= number(argument));
        let at_most = |found: Option<f64>| found.is_none_or(|found| found <= number(argument));
        let fits = match keyword {
            "$ref" => {
                let pointer = argument.as_str().unwrap().strip_prefix('#').unwrap();
                let target = self.document.pointer(pointer).unwrap();
                return self.check(at, &target.clone(), value);
            }
            "type" => has_type(argument, value),
            "const" => argument == value,
            "enum" => argument.as_array().unwrap().contains(value),
            "minimum" => at_least(value.as_f64()),
            "maximum" => at_most(value.as_f64()),
            "minLength" => at_least(length),
            "maxLength" => at_most(length),
            "minItems" => at_least(count),
            "maxItems" => at_most(count),
            "pattern" => {
                let pattern = Regex::new(argument.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "format" => value
                .as_str()
                .is_none_or(|text| has_format(argument.as_str().unwrap(), text)),
            "allOf" => {
                for one in argument.as_array().unwrap() {
                    self.check(at, one, value);
                }
                true
            }
            "anyOf" => self.allowing(argument, value) >= 1,
            "oneOf" => self.allowing(argument, value) == 1,
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    self.check(&format!("{at}[{index}]"), argument, item);
                }
                true
            }
            "required" => {
                let names = argument.as_array().unwrap().iter();
                let has = |name: &Value| value.get(name.as_str().unwrap()).is_some();
                !value.is_object() || names.clone().all(has)
            }
            "properties" | "additionalProperties" => {
                return self.property(at, keyword, schema, value);
            }
            annotation => {
                assert!(ANNOTATIONS.contains(&annotation), "unknown: {annotation}");
                true
            }
        };
        if !fits {
            self.wrong(at, &format!("{keyword} {argument}: {value}"));
        }
    }

    fn property(&mut self, at: &str, keyword: &str, schema: &Map<String, Value>, value: &Value) {
        let named = schema.get("properties").and_then(Value::as_object);
        for (name, value) in value.as_object().into_iter().flatten() {
            let at = format!("{at}.{name}");
            let known = named.and_then(|named| named.get(name));
            match (keyword, known, &schema[keyword]) {
                ("properties", Some(known), _) => self.check(&at, known, value),
                ("additionalProperties", None, Value::Bool(false)) => {
                    self.wrong(&at, "there is no such property");
                }
                ("additionalProperties", None, other) => self.check(&at, other, value),
                _ => {}
            }
        }
    }

    /// How many of the schemas allow a value.
    fn allowing(&self, schemas: &Value, value: &Value) -> usize {
        let schemas = schemas.as_array().unwrap().iter();
        let allows = |schema: &&Value| problems(self.document, schema, value).is_empty();
        schemas.filter(allows).count()
    }

    fn wrong(&mut self, at: &str, problem: &str) {
        self.problems.push(format!("{at}: {problem}"));
    }
}

/// A text that a path or a query has for a parameter of this schema; `None` if none can.
pub(super) fn sendable(document: &Value, schema: &Value) -> Option<String> {
    let samples = ["1", "true", "00:00", "0000000000000000", "text"];
    let samples = samples.into_iter().map(str::to_owned).chain([
        "019523d0-5c00-7000-8000-000000000000".to_owned(),
        "2026-03-01T12:00:00.000Z".to_owned(),
    ]);
    let forms = |text: &str| {
        let text = Value::from(text);
        let parsed = text
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok());
        [Some(Value::from(vec![text.clone()])), Some(text), parsed]
    };
    let own = choices(document, schema);
    own.into_iter().chain(samples).find(|text| {
        let mut forms = forms(text).into_iter().flatten();
        forms.any(|value| problems(document, schema, &value).is_empty())
    })
}

/// The texts that a schema names.
fn choices(document: &Value, schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    match schema {
        Value::Object(fields) => {
            for (keyword, argument) in fields {
                match (keyword.as_str(), argument) {
                    ("const", Value::String(text)) => found.push(text.clone()),
                    ("enum", Value::Array(all)) => {
                        found.extend(all.iter().filter_map(Value::as_str).map(str::to_owned));
                    }
                    ("$ref", Value::String(text)) => {
                        let target = document.pointer(text.trim_start_matches('#'));
                        found.extend(choices(document, target.unwrap()));
                    }
                    (_, inner) => found.extend(choices(document, inner)),
                }
            }
        }
        Value::Array(items) => {
            found.extend(items.iter().flat_map(|item| choices(document, item)));
        }
        _ => {}
    }
    found
}

fn number(argument: &Value) -> f64 {
    argument.as_f64().unwrap()
}

fn has_type(kinds: &Value, value: &Value) -> bool {
    let is = |kind: &str| match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("unknown type {other}"),
    };
    match kinds {
        Value::String(one) => is(one),
        several => several
            .as_array()
            .unwrap()
            .iter()
            .any(|one| is(one.as_str().unwrap())),
    }
}

fn has_format(format: &str, text: &str) -> bool {
    let form = |pattern: &str| Regex::new(pattern).unwrap().is_match(text);
    match format {
        "uuid" => form("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"),
        "date-time" => form(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$"),
        "email" => form("^[^@ ]+@[^@ ]+$"),
        "uri" => form("^[a-z][a-z0-9+.-]*:"),
        // The name of a format of ours.
        "countersign person" => true,
        // Texts are not numbers: `type` says that.
        "uint" | "uint16" | "uint32" | "uint64" | "int64" => true,
        other => panic!("unknown format {other}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wrong_value_is_found_for_each_keyword() {
        let document = json!({ "d": { "Id": { "type": "string", "pattern": "^[0-9]$" } } });
        let schema = json!({
            "type": "object",
            "required": ["a"],
            "additionalProperties": false,
            "properties": {
                "a": { "$ref": "#/d/Id" },
                "b": { "type": ["array", "null"], "items": { "enum": [1, 2] }, "maxItems": 2 },
                "c": { "oneOf": [{ "const": 1 }, { "type": "integer", "minimum": 1, "maximum": 3 }] },
                "d": { "format": "uuid" },
                "e": { "minLength": 1, "maxLength": 2 },
            },
        });
        let found = |value| problems(&document, &schema, &value).len();
        let right = json!({ "a": "1", "b": [1, 2], "c": 3, "e": "ab" });
        assert_eq!(found(right), 0);
        assert_eq!(found(json!({ "a": "1", "b": null })), 0);
        for wrong in [
            json!([]),
            json!({}),
            json!({ "a": "x" }),
            json!({ "a": "1", "b": [3] }),
            json!({ "a": "1", "b": [1, 1, 1] }),
            json!({ "a": "1", "c": 1 }),
            json!({ "a": "1", "c": 4 }),
            json!({ "a": "1", "d": "text" }),
            json!({ "a": "1", "e": "" }),
            json!({ "a": "1", "e": "abc" }),
            json!({ "a": "1", "other": 1 }),
        ] {
            assert_eq!(found(wrong.clone()), 1, "{wrong}");
        }
    }
}
