//! Path, query and body as the parameters of an operation.

use std::collections::HashSet;
use std::fmt;

use schemars::Schema;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::engine::params::problem_of;
use crate::engine::{Entry, Refusal};

/// The maximum number of fields of a body. No operation has as many parameters.
const MAX_FIELDS: usize = 128;

/// The parts of a request that have parameters. Names and values are decoded.
#[derive(Debug, Clone, Copy, Default)]
pub struct Given<'a> {
    /// The parameters in the path.
    pub path: &'a [(&'static str, String)],
    /// The parameters in the query, in their order.
    pub query: &'a [(String, String)],
    /// The body: a JSON object, or empty.
    pub body: &'a str,
}

/// Returns the parameters of an operation as JSON. A text in path or query becomes a number, a
/// boolean or a list where the parameter is one; other texts stay texts, so that the operation
/// itself refuses a wrong one and names the field.
///
/// # Errors
/// `invalid_params` if the body is not a JSON object or has more than 128 fields, if a parameter is
/// given twice, or if one of an operation with a JSON body is in the query.
pub fn params(entry: &Entry, given: Given<'_>) -> Result<Box<RawValue>, Refusal> {
    if given.path.is_empty() && given.query.is_empty() && given.body.is_empty() {
        return Ok(RawValue::from_string("{}".to_owned())?);
    }
    let body = match given.body.trim() {
        "" => Fields(Vec::new()),
        text => serde_json::from_str(text).map_err(|error| {
            let problem = problem_of(&error);
            Refusal::malformed_params("", format_args!("the body is not a JSON object: {problem}"))
        })?,
    };
    in_its_place(entry, given, &body)?;
    let mut fields: Vec<(&str, Box<RawValue>)> = Vec::new();
    for (name, value) in given.path {
        fields.push((name, one(entry.params(), name, value)?));
    }
    let mut lists: Vec<(&str, Vec<Value>)> = Vec::new();
    for (name, value) in given.query {
        if !is_list(entry.params(), name) {
            fields.push((name, one(entry.params(), name, value)?));
            continue;
        }
        let value = Value::from(value.as_str());
        match lists.iter_mut().find(|(list, _)| list == name) {
            Some((_, values)) => values.push(value),
            None => lists.push((name, vec![value])),
        }
    }
    for (name, values) in lists {
        fields.push((name, to_raw_value(&values)?));
    }
    let of_body = body.0.iter();
    fields.extend(of_body.map(|(name, value)| (name.as_str(), value.clone())));
    object(&fields)
}

/// Refuses a parameter that is where the operation does not take it.
fn in_its_place(entry: &Entry, given: Given<'_>, body: &Fields) -> Result<(), Refusal> {
    let of_query = given.query.iter().map(|(name, _)| (name, "query"));
    let of_body = body.0.iter().map(|(name, _)| (name, "body"));
    let is_in_path = |name: &String| given.path.iter().any(|(own, _)| own == name);
    if let Some((name, part)) = of_query.chain(of_body).find(|(name, _)| is_in_path(name)) {
        let problem = format!("is in the path; leave it out of the {part}");
        return Err(Refusal::invalid(name, problem));
    }
    let route = entry.rest().route();
    let takes_json = route.is_some_and(|route| route.method.has_body()) && !entry.takes_content();
    match given.query.first() {
        Some((name, _)) if takes_json => {
            let problem = "is in the query; put it into the JSON object of the body";
            Err(Refusal::invalid(name, problem))
        }
        _ => Ok(()),
    }
}

/// The JSON object with these fields.
///
/// # Errors
/// `invalid_params` if a field is given twice.
pub(in crate::engine) fn object(
    fields: &[(&str, Box<RawValue>)],
) -> Result<Box<RawValue>, Refusal> {
    let mut names = HashSet::new();
    if let Some((name, _)) = fields.iter().find(|(name, _)| !names.insert(*name)) {
        return Err(Refusal::invalid(*name, "is given twice; give it once"));
    }
    let mut text = String::from("{");
    for (at, (name, value)) in fields.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(&serde_json::to_string(name)?);
        text.push(':');
        text.push_str(value.get());
    }
    text.push('}');
    Ok(RawValue::from_string(text)?)
}

/// A text as the JSON value that the schema has for this parameter.
fn one(schema: &Schema, name: &str, text: &str) -> Result<Box<RawValue>, Refusal> {
    let value = if has_type(schema, name, "integer") || has_type(schema, name, "number") {
        text.parse::<serde_json::Number>().ok().map(Value::Number)
    } else if has_type(schema, name, "boolean") {
        match text {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => None,
        }
    } else {
        None
    };
    Ok(to_raw_value(&value.unwrap_or_else(|| Value::from(text)))?)
}

fn is_list(schema: &Schema, name: &str) -> bool {
    has_type(schema, name, "array")
}

/// Whether the parameter can have this type.
fn has_type(schema: &Schema, name: &str, wanted: &str) -> bool {
    let root = schema.as_value();
    let property = root.get("properties").and_then(|all| all.get(name));
    property.is_some_and(|property| allows(root, property, wanted))
}

fn allows(root: &Value, schema: &Value, wanted: &str) -> bool {
    let reference = schema.get("$ref").and_then(Value::as_str);
    let target = reference
        .and_then(|reference| reference.strip_prefix('#'))
        .and_then(|pointer| root.pointer(pointer));
    let choices = ["anyOf", "oneOf", "allOf"]
        .into_iter()
        .filter_map(|key| schema.get(key).and_then(Value::as_array))
        .flatten();
    let named = match schema.get("type") {
        Some(Value::String(one)) => one == wanted,
        Some(Value::Array(several)) => several.iter().any(|one| one == wanted),
        _ => false,
    };
    named
        || target.is_some_and(|target| allows(root, target, wanted))
        || choices
            .into_iter()
            .any(|choice| allows(root, choice, wanted))
}

/// The fields of a JSON object in their order. A field that is given twice is not lost.
pub(in crate::engine) struct Fields(pub(in crate::engine) Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    if fields.len() >= MAX_FIELDS {
                        let problem = format_args!("more than {MAX_FIELDS} fields");
                        return Err(A::Error::custom(problem));
                    }
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Answer;
    use crate::engine::rest::RestMethod;
    use crate::operations;

    fn given(
        name: &str,
        path: &[(&'static str, &str)],
        query: &[(&str, &str)],
        body: &str,
    ) -> Result<String, Refusal> {
        let table = operations::table().unwrap();
        let (group, command) = name.split_once('.').unwrap();
        let entry = table.find(group, command).unwrap();
        let path: Vec<_> = path
            .iter()
            .map(|(name, text)| (*name, (*text).to_owned()))
            .collect();
        let query: Vec<_> = query
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        let given = Given {
            path: &path,
            query: &query,
            body,
        };
        params(entry, given).map(|params| params.get().to_owned())
    }

    #[test]
    fn parameters_come_from_path_query_and_body() {
        let update = given(
            "person.update",
            &[("name", "maria")],
            &[],
            r#"{"full_name":"M"}"#,
        );
        assert_eq!(update.unwrap(), r#"{"name":"maria","full_name":"M"}"#);
        assert_eq!(given("self.show", &[], &[], "").unwrap(), "{}");
        let list = given("person.list", &[], &[("limit", "10"), ("after", "7")], "");
        assert_eq!(list.unwrap(), r#"{"limit":10,"after":"7"}"#);
    }

    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only described")]
    struct Find {
        cut: bool,
        names: Vec<String>,
    }

    #[test]
    fn a_text_becomes_what_the_parameter_is() {
        let list = |value| given("person.list", &[], &[("limit", value)], "").unwrap();
        assert_eq!(list("10"), r#"{"limit":10}"#);
        assert_eq!(list("ten"), r#"{"limit":"ten"}"#);
        assert_eq!(list("10}"), r#"{"limit":"10}"}"#);
        // A number in a name stays text.
        let show = given("person.show", &[("name", "007")], &[], "");
        assert_eq!(show.unwrap(), r#"{"name":"007"}"#);
        let entry = Entry::new("test", "find")
            .rest(RestMethod::Get, "/found")
            .handler(|_, _: Find| async { Ok(Answer::new(())) });
        let query = [("cut", "true"), ("names", "a"), ("names", "b")];
        let query = query.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let given = Given {
            query: &query,
            ..Given::default()
        };
        let found = params(&entry, given).unwrap();
        assert_eq!(found.get(), r#"{"cut":true,"names":["a","b"]}"#);
    }

    /// "name: is given twice" did not tell that the other one is in the path. A query of a request with a body
    /// was taken, against the documentation: a proxy's log has it.
    #[test]
    fn a_parameter_is_in_one_place() {
        let maria = [("name", "maria")];
        let root = r#"{"name":"root"}"#;
        for (refused, message) in [
            (
                given("person.update", &maria, &[], root),
                "name: is in the path; leave it out of the body",
            ),
            (
                given("person.show", &maria, &[("name", "root")], ""),
                "name: is in the path; leave it out of the query",
            ),
            (
                given("person.create", &[], &[("name", "root")], "{}"),
                "name: is in the query; put it into the JSON object of the body",
            ),
            (
                given(
                    "person.update",
                    &[],
                    &[],
                    r#"{"name":"maria","name":"root"}"#,
                ),
                "name: is given twice; give it once",
            ),
            (
                given("person.list", &[], &[("limit", "1"), ("limit", "2")], ""),
                "limit: is given twice; give it once",
            ),
        ] {
            let refused = refused.unwrap_err();
            assert_eq!(refused.message(), message);
            assert!(
                refused
                    .field()
                    .is_some_and(|field| message.starts_with(field))
            );
        }
    }

    #[test]
    fn a_body_that_is_not_an_object_is_refused() {
        for body in ["[]", "7", "null", "{", "{} {}", "\"{}\""] {
            let refused = given("person.create", &[], &[], body);
            assert_eq!(refused.unwrap_err().field(), None, "{body}");
        }
    }

    /// Each field was compared with all before it: one body of a mebibyte kept a processor busy for a
    /// minute, before anything had checked what its sender may do.
    #[test]
    fn a_body_with_too_many_fields_is_refused_while_it_is_read() {
        let body = |fields: usize| {
            let fields: Vec<_> = (0..fields).map(|at| format!(r#""f{at}":1"#)).collect();
            format!("{{{}}}", fields.join(","))
        };
        assert!(given("self.show", &[], &[], &body(MAX_FIELDS)).is_ok());
        // What follows the last allowed field is not looked at.
        let unread = body(MAX_FIELDS + 1).replace('}', ",,,,");
        let refused = given("self.show", &[], &[], &unread).unwrap_err();
        assert!(refused.to_string().contains("more than 128 fields"));
    }
}
