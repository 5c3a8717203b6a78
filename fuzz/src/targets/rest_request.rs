//! A request of the REST API from any text: path, query and body, a line each. A path that is read has an
//! operation for some method or is unknown, and the parameters of an operation are one JSON object, in which
//! each parameter of path and query is the text that was given, a number, a boolean or a list.

use std::collections::HashMap;
use std::sync::LazyLock;

use countersign_core::engine::rest::{Given, RestMethod, Routes, params, query, segments};
use countersign_core::operations;
use serde_json::Value;
use serde_json::value::RawValue;

use super::text;

static ROUTES: LazyLock<Routes> = LazyLock::new(|| Routes::of(&operations::table().unwrap()));

pub(super) fn run(input: &[u8]) {
    let mut lines = text(input).splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (path, asked, body) = (line(), line(), line());
    let query = query(Some(asked)).unwrap_or_default();
    let Some(resource) = segments(path).and_then(|segments| ROUTES.find(&segments)) else {
        return;
    };
    let found = RestMethod::ALL
        .into_iter()
        .filter_map(|method| resource.of(method));
    for found in found {
        let given = Given {
            path: &found.path,
            query: &query,
            body,
        };
        let Ok(params) = params(&found.entry, given) else {
            continue;
        };
        let read: HashMap<String, Box<RawValue>> = serde_json::from_str(params.get()).unwrap();
        for (name, value) in &found.path {
            assert!(is_given(&read[*name], value), "{name}={value}");
        }
        for (name, value) in &query {
            assert!(is_given(&read[name], value), "{name}={value}");
        }
    }
}

fn is_given(read: &RawValue, text: &str) -> bool {
    match &serde_json::from_str::<Value>(read.get()).unwrap() {
        Value::String(string) => string == text,
        Value::Number(_) => text.parse::<serde_json::Number>().is_ok(),
        Value::Bool(bool) => bool.to_string() == text,
        Value::Array(all) => all.iter().any(|one| one == text),
        Value::Null | Value::Object(_) => false,
    }
}
