//! The description of the REST API as OpenAPI 3.1, from the table of operations.

mod components;
mod refusals;

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use self::components::Components;
use super::RestRoute;
use super::examples::Examples;
use super::sample::sample;
use crate::access::Role;
use crate::engine::{Entry, Table};

/// Returns the description of the API. It is the same for the same table.
#[must_use]
pub fn document(table: &Table) -> Value {
    let mut components = Components::default();
    let examples = Examples::read();
    let mut paths: Map<String, Value> = Map::new();
    let mut groups: Vec<&str> = Vec::new();
    for entry in table.entries() {
        let Some(route) = entry.rest().route().copied() else {
            continue;
        };
        if groups.last() != Some(&entry.group()) {
            groups.push(entry.group());
        }
        let described = operation(entry, route, &examples, &mut components);
        let path = paths.entry(route.path.to_owned());
        let path = path.or_insert_with(|| Value::Object(Map::new()));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.method.as_str().to_ascii_lowercase(), described);
        }
    }
    let tags: Vec<Value> = groups
        .iter()
        .map(|group| json!({ "name": group }))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Countersign",
            "version": "1",
            "summary": "The operations of a Countersign site over HTTP.",
            "description": DESCRIPTION,
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
        },
        // Relative to the document: the site may be served below another path.
        "servers": [{ "url": "../v1" }],
        "security": [{ "access_token": [] }, { "signature": [] }, { "device": [] }],
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": {
                "access_token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "cst_…",
                    "description": "An access token, which names the operations that it permits.",
                },
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Signature",
                    "description": "A signature of the request by the key of a service (RFC 9421).",
                },
                "device": {
                    "type": "mutualTLS",
                    "description": "The key of an enrolled device, in the TLS handshake of a listener with TLS.",
                },
            },
            "parameters": {
                "IdempotencyKey": {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "description": "1 to 255 visible characters that the client chooses for this request. A repetition with the same key is carried out once.",
                    "schema": { "type": "string", "minLength": 1, "maxLength": 255 },
                },
                "LastEventId": {
                    "name": "Last-Event-ID",
                    "in": "header",
                    "description": "The id of the last event that the client received; empty if it received none. A stream continues after it.",
                    "schema": { "type": "string", "pattern": "^([0-9a-f]{16})?$" },
                },
                "IfMatch": {
                    "name": "If-Match",
                    "in": "header",
                    "description": "The entity tag of what the request changes, from an earlier response. The request is refused if it has changed since.",
                    "schema": { "type": "string" },
                },
            },
            "headers": components::headers(),
            "responses": refusals::components(),
            "schemas": components.into_schemas(),
        },
    })
}

const DESCRIPTION: &str = "Each path and method is one operation of the site, with the same \
    parameters, results and refusals as over a session. A list returns `next` with the cursor of \
    the following page. An error is a problem (RFC 9457) with a stable `code`.";

/// The beginning of an event stream, as an example.
const EVENT_STREAM: &str = "retry: 2000\nid: 91c2a5d3f0b64e17\n\n\
    id: 3e0c7b5a9d214f68\nevent: alarm.raised\ndata: {\"key\":\"queue\"}\n\n";

fn operation(
    entry: &Entry,
    route: RestRoute,
    examples: &Examples,
    components: &mut Components,
) -> Value {
    let params = components.adopt(entry.name(), entry.params().as_value());
    let result = components.adopt(entry.name(), entry.result().as_value());
    let in_path = path_parameters(route.path);
    let (required, properties) = (required(&params), properties(&params));
    let mut parameters = Vec::new();
    let mut body = Map::new();
    for (name, schema) in properties {
        let is_in_path = in_path.contains(&name.as_str());
        if !is_in_path && route.method.has_body() {
            body.insert(name, schema);
            continue;
        }
        let schema = without_null(schema);
        let example = example(entry, examples, &name, &schema);
        let mut parameter = json!({
            "name": name,
            "in": if is_in_path { "path" } else { "query" },
            "required": is_in_path || required.contains(&name),
            "schema": schema,
        });
        if let (Some(example), Some(parameter)) = (example, parameter.as_object_mut()) {
            parameter.insert("example".to_owned(), example);
        }
        parameters.push(parameter);
    }
    if entry.takes_idempotency_key() {
        parameters.push(json!({ "$ref": "#/components/parameters/IdempotencyKey" }));
    }
    if entry.is_revised() {
        parameters.push(json!({ "$ref": "#/components/parameters/IfMatch" }));
    }
    if entry.streams_events() {
        parameters.push(json!({ "$ref": "#/components/parameters/LastEventId" }));
    }
    let mut responses = success(entry, route, examples, &result);
    refusals::add(&mut responses, entry, route, &parameters);
    let mut described = json!({
        "operationId": entry.name().replace('.', "_"),
        "summary": entry.summary(),
        "description": who(entry),
        "tags": [entry.group()],
        "parameters": parameters,
        "responses": responses,
    });
    if let (Some(described), true) = (described.as_object_mut(), route.method.has_body()) {
        let content = if entry.takes_content() {
            json!({ "application/octet-stream": {} })
        } else {
            let required: Vec<&String> = required
                .iter()
                .filter(|name| body.contains_key(*name))
                .collect();
            let fields = examples.params(entry).as_object().into_iter().flatten();
            let example: Map<String, Value> = fields
                .filter(|(name, _)| body.contains_key(*name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            json!({ "application/json": {
                "schema": {
                    "type": "object",
                    "properties": body,
                    "required": required,
                    "additionalProperties": false,
                },
                "example": example,
            } })
        };
        let needed = entry.takes_content() || required.iter().any(|name| body.contains_key(name));
        let request = json!({ "required": needed, "content": content });
        described.insert("requestBody".to_owned(), request);
    }
    described
}

/// The schema of a parameter in path or query, where a value is text and cannot be null: such a parameter
/// is left out.
fn without_null(mut schema: Value) -> Value {
    let Some(fields) = schema.as_object_mut() else {
        return schema;
    };
    let left = |all: &Value, is_null: fn(&Value) -> bool| {
        let mut left = all.as_array()?.iter().filter(|one| !is_null(one));
        let one = left.next()?.clone();
        left.next().is_none().then_some(one)
    };
    let one = fields
        .get("type")
        .and_then(|names| left(names, |name| name == "null"));
    fields.extend(one.map(|one| ("type".to_owned(), one)));
    let is_null = |choice: &Value| choice.get("type").is_some_and(|name| name == "null");
    let one = fields
        .get("anyOf")
        .and_then(|choices| left(choices, is_null));
    if let Some(Value::Object(one)) = one {
        fields.remove("anyOf");
        fields.extend(one);
    }
    schema
}

/// The response of a success.
fn success(
    entry: &Entry,
    route: RestRoute,
    examples: &Examples,
    result: &Value,
) -> Map<String, Value> {
    let schema = result.clone();
    let mut content = if entry.gives_content() {
        match examples.content(entry) {
            Some(text) => json!({ "application/octet-stream": { "example": text } }),
            None => json!({ "application/octet-stream": {} }),
        }
    } else {
        json!({ "application/json": { "schema": schema, "example": examples.result(entry) } })
    };
    if let (Some(content), true) = (content.as_object_mut(), entry.streams_events()) {
        let stream = json!({ "schema": { "type": "string" }, "example": EVENT_STREAM });
        content.insert("text/event-stream".to_owned(), stream);
    }
    let created = route.creates.is_some();
    let success = json!({
        "description": "The result of the operation.",
        "headers": headers(entry, created),
        "content": content,
    });
    let status = if created { "201" } else { "200" };
    Map::from_iter([(status.to_owned(), success)])
}

/// The fields of the head of a successful response.
fn headers(entry: &Entry, created: bool) -> Value {
    let fields = [
        ("Request-Id", "RequestId", true),
        ("Location", "Location", created),
        ("ETag", "ETag", entry.shows_entity_tag()),
        (
            "Idempotency-Replayed",
            "IdempotencyReplayed",
            entry.takes_idempotency_key(),
        ),
    ];
    let fields = fields.into_iter().filter(|(.., is_sent)| *is_sent);
    let fields = fields.map(|(field, name, _)| {
        let reference = json!({ "$ref": format!("#/components/headers/{name}") });
        (field.to_owned(), reference)
    });
    Value::Object(fields.collect())
}

fn who(entry: &Entry) -> String {
    let access = entry.access();
    let names = |roles: &[Role]| roles.iter().map(Role::to_string).collect::<Vec<_>>();
    let mut who = names(access.roles());
    let own = names(access.own_roles()).into_iter();
    who.extend(own.map(|role| format!("{role} (their own only)")));
    let mut text = format!(
        "The operation `{}`. Roles: {}.",
        entry.name(),
        who.join(", ")
    );
    if entry.is_disruptive() {
        text.push_str(" It may interrupt or remove something that another user is using.");
    }
    for when in entry.disruptive_when() {
        let _ = write!(text, " Disruptive {when}.");
    }
    text
}

/// The example of a parameter: the recorded one, or one that the schema allows.
fn example(entry: &Entry, examples: &Examples, name: &str, schema: &Value) -> Option<Value> {
    let given = examples.params(entry).get(name).cloned();
    let root = entry.params().as_value();
    let own = root.get("properties").and_then(|all| all.get(name));
    let needed = required(root).contains(&name.to_owned());
    let made = needed.then(|| sample(root, own.unwrap_or(schema)));
    given.or(made).filter(|example| !example.is_null())
}

fn path_parameters(path: &'static str) -> Vec<&'static str> {
    let segments = path.split('/');
    let names = segments.filter_map(|one| one.strip_prefix('{')?.strip_suffix('}'));
    names.collect()
}

fn properties(schema: &Value) -> Map<String, Value> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.cloned().unwrap_or_default()
}

fn required(schema: &Value) -> Vec<String> {
    let names = schema.get("required").and_then(Value::as_array);
    let names = names.into_iter().flatten().filter_map(Value::as_str);
    names.map(str::to_owned).collect()
}
