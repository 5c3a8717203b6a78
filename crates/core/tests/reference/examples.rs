//! The examples of the description: recorded from a site, and allowed by their schemas.

use std::collections::BTreeSet;

use countersign_core::access::Caller;
use countersign_core::engine::{Entry, rest};
use countersign_core::operations;
use countersign_proto::operation::Code;
use countersign_testkit::entropy::SeededEntropy;
use countersign_testkit::harness::tour::{OF_SERVICES, Tour, steps};
use countersign_testkit::harness::{NOW, TestSite, operation};
use serde_json::{Map, Value, json};

use super::{is_up_to_date, schema};

/// Longer texts are cut: keys, certificates and sealed messages.
const MAX_TEXT: usize = 96;
/// The hash that stands for the head of the audit log.
const HEAD: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// What remains of them, in characters.
const CUT: usize = 60;

/// Regression test: the examples of results were made from their schemas, so that `GET /services` showed a
/// person with the role of an admin, and most texts were `text`.
#[tokio::test]
async fn the_examples_are_what_a_site_returns() {
    let recorded = recorded().await;
    let table = operations::table().unwrap();
    let offered = table.entries().filter(|one| one.rest().route().is_some());
    let mut offered: BTreeSet<&str> = offered.map(Entry::name).collect();
    offered.retain(|name| !OF_SERVICES.contains(name));
    let has: BTreeSet<&str> = recorded.keys().map(String::as_str).collect();
    assert_eq!(has, offered);
    let text = serde_json::to_string_pretty(&recorded).unwrap() + "\n";
    is_up_to_date("../../crates/core/src/engine/rest/examples.json", &text);
}

async fn recorded() -> Map<String, Value> {
    let entropy = SeededEntropy::new(1);
    let test = TestSite::builder().entropy(entropy).build().await;
    let operator = json!({ "name": "operator", "role": "admin" });
    test.admin("person.create", operator).await;
    let mut tour = Tour::begin(&test).await;
    let caller = Tour::caller(&test).await;
    let mut recorded = Map::new();
    for step in steps() {
        let params = tour.prepare(&test, &step).await;
        let name = step.operation;
        let (group, command) = name.split_once('.').unwrap();
        let entry = test.site.table().find(group, command).unwrap();
        if entry.gives_content() {
            let content = content(&test, &caller, name, &params).await;
            recorded.insert(
                name.to_owned(),
                json!({ "params": params, "content": content }),
            );
            continue;
        }
        let outcome = test.site.run(&caller, &operation(name, &params), NOW).await;
        let result: Value = serde_json::from_str(outcome.data.get()).unwrap();
        assert_eq!(outcome.code, Code::SUCCESS, "{name} {params}: {result}");
        // `token list` was shown as JSON to persons too: the command line has no other text for a list that it
        // knows no columns of.
        let entries = result["entries"].as_array();
        let has_text = !outcome.output.is_empty();
        assert!(
            entries.is_none_or(Vec::is_empty) || has_text,
            "{name} has no text"
        );
        tour.keep(&test, &step, &result).await;
        let mut example = json!({ "params": cut(params), "result": cut(result) });
        if name == "audit.verify" {
            // The log names an RSA key, which no seed determines.
            example["result"]["head"] = HEAD.into();
        }
        let before = recorded.insert(name.to_owned(), example);
        assert_eq!(before, None, "{name} is in the tour twice");
    }
    recorded.sort_keys();
    recorded
}

/// The content that an operation returns, of lines of JSON.
async fn content(test: &TestSite, caller: &Caller, name: &str, params: &Value) -> String {
    let operation = operation(name, params);
    let run = test.site.run_with_content(caller, &operation, None, NOW);
    let (outcome, content) = run.await;
    assert_eq!(outcome.code, Code::SUCCESS, "{name} {params}");
    let (mut content, mut text) = (content.unwrap(), String::new());
    while let Some(piece) = content.next().await {
        text += str::from_utf8(&piece.unwrap()).unwrap();
    }
    text
}

fn cut(value: Value) -> Value {
    match value {
        Value::String(text) if text.chars().count() > MAX_TEXT => {
            let head: String = text.chars().take(CUT).collect();
            format!("{}…", head.trim_end()).into()
        }
        Value::Array(items) => items.into_iter().map(cut).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (name, cut(value)));
            Value::Object(fields.collect())
        }
        other => other,
    }
}

/// Regression test: the example of `event_list` had an id that its own schema refuses.
#[test]
fn each_example_is_allowed_by_its_schema() {
    let document = rest::document(&operations::table().unwrap());
    let mut checked = 0;
    let mut wrong = Vec::new();
    visit(&document, "", &mut |at, holder| {
        if let (Some(schema), Some(example)) = (holder.get("schema"), holder.get("example")) {
            checked += 1;
            let problems = schema::problems(&document, schema, example);
            wrong.extend(problems.into_iter().map(|problem| format!("{at}{problem}")));
        }
    });
    assert_eq!(wrong, Vec::<String>::new());
    assert!(checked > 250, "{checked}");
}

/// Each response with JSON or content, and each request with required fields, has an example.
///
/// Regression test: the content of `GET /audit/export` had none.
#[test]
fn each_request_and_response_has_an_example() {
    let document = rest::document(&operations::table().unwrap());
    let mut without = Vec::new();
    visit(&document, "", &mut |at, holder| {
        let is_json = at.ends_with("/application/json") || at.ends_with("+json");
        let is_content = at.contains("/responses/") && at.ends_with("/application/octet-stream");
        if (is_json || is_content) && holder.get("example").is_none() {
            without.push(at.to_owned());
        }
    });
    assert_eq!(without, Vec::<String>::new());
}

fn visit(value: &Value, at: &str, visitor: &mut impl FnMut(&str, &Map<String, Value>)) {
    match value {
        Value::Object(fields) => {
            visitor(at, fields);
            for (name, field) in fields {
                visit(field, &format!("{at}/{name}"), visitor);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                visit(item, &format!("{at}/{index}"), visitor);
            }
        }
        _ => {}
    }
}
