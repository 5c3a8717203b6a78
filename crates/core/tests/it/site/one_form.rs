//! The parameters of every operation have one form in JSON.

use countersign_core::access::Channel;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{TestSite, run};
use serde_json::{Value, json};

use super::lockdown::caller;

/// The schemas of parameters are not nested more deeply.
const MAX_DEPTH: usize = 8;
const OBJECT: &str = "give an object";
const STRING: &str = "give a text";

/// For each structure and each closed list in a schema: parameters with the other form of it that
/// derived readers accept, and nothing else that could be refused first, and how it must be refused.
fn other_forms(root: &Value, schema: &Value, depth: usize) -> Vec<(Value, &'static str)> {
    if depth > MAX_DEPTH {
        return Vec::new();
    }
    let next = |schema| other_forms(root, schema, depth + 1);
    let mut forms = Vec::new();
    if let Some(reference) = schema["$ref"].as_str() {
        forms.extend(next(root.pointer(&reference[1..]).unwrap()));
    }
    for choices in ["anyOf", "oneOf", "allOf"] {
        let choices = schema[choices].as_array().into_iter().flatten();
        forms.extend(choices.flat_map(next));
    }
    let words = schema["enum"].as_array().into_iter().flatten();
    let words = words.chain(schema.get("const")).filter_map(Value::as_str);
    forms.extend(words.map(|word| (json!({ word: null }), STRING)));
    let items = schema.get("items").into_iter().flat_map(next);
    forms.extend(items.map(|(form, refused)| (json!([form]), refused)));
    let members = schema["properties"].as_object();
    if members.is_some() || schema["additionalProperties"] == false {
        forms.push((json!([]), OBJECT));
    }
    for (name, member) in members.into_iter().flatten() {
        let inside = next(member).into_iter();
        forms.extend(inside.map(|(form, refused)| (json!({ name: form }), refused)));
    }
    forms
}

/// An array of the values of the members was read as parameters, also inside them, and an object with
/// the member `admin` as the role `"admin"`.
// OPS-13
#[tokio::test]
async fn parameters_in_another_form_are_refused_by_every_operation() {
    let test = TestSite::new().await;
    let root = test.person("root", "admin").await;
    let (mut objects, mut strings) = (0, 0);
    for entry in test.site.table().entries() {
        if entry.gives_content() || entry.takes_content() {
            // Nothing here carries content.
            continue;
        }
        let callers = Channel::ALL.map(|channel| caller(channel, &root));
        let mut permitted = callers.iter();
        let permitted = permitted.find(|caller| entry.access().scope(caller).is_some());
        let Some(caller) = permitted else {
            // For connected peers, whose lines have tests of their own.
            assert!(entry.access().channels().contains(&Channel::Peer));
            continue;
        };
        let schema = entry.params().as_value();
        for (params, expected) in other_forms(schema, schema, 0) {
            let name = entry.name();
            let (code, data) = run(&test.site, caller, name, params.clone()).await;
            assert_eq!(code, Code::INVALID_PARAMS, "{name} {params}: {data}");
            let message = data["message"].as_str().unwrap();
            assert!(message.contains(expected), "{name} {params}: {message}");
            objects += usize::from(expected == OBJECT);
            strings += usize::from(expected == STRING);
        }
    }
    assert!(objects >= 150 && strings >= 30, "{objects} {strings}");
}
