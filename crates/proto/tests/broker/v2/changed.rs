//! Changes of a message without a key: each field is altered, omitted, repeated, given another
//! type, or added.

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::party::SealingSuite;
use countersign_proto::broker::v2::Refusal;
use countersign_proto::broker::v2::consumer::ConsumerError;
use serde_json::{Value, json};

use super::parties::{B, NOW, Parties};

/// Every change of one field of an object, as JSON text.
pub(super) fn changes(whole: &Value) -> Vec<String> {
    let fields = whole.as_object().unwrap();
    let mut changes = Vec::new();
    for (name, value) in fields {
        let mut with = |value: Value| {
            let mut other = whole.clone();
            other[name] = value;
            changes.push(other.to_string());
        };
        for other in [
            json!(null),
            json!(7),
            json!(""),
            json!([value]),
            json!({ "a": value }),
        ] {
            with(other);
        }
        if let Some(text) = value.as_str() {
            for at in [0, text.len() / 2, text.len() - 1] {
                let mut text = text.to_owned();
                let other = if &text[at..=at] == "A" { "B" } else { "A" };
                text.replace_range(at..=at, other);
                with(json!(text));
            }
            with(json!(format!("{text}A")));
            with(json!(format!("{text}=")));
            with(json!(text[..text.len() - 1]));
        }
        let mut without = whole.clone();
        without.as_object_mut().unwrap().remove(name);
        changes.push(without.to_string());
        let twice = format!("{{\"{name}\":{value},{}", &whole.to_string()[1..]);
        changes.push(twice);
    }
    let mut more = whole.clone();
    more["more"] = json!(1);
    changes.push(more.to_string());
    changes
}

// [BRK-1]
#[test]
fn a_changed_request_is_rejected() {
    let parties = Parties::new(SealingSuite::XWing);
    let (_, request) = parties.consumer.ask(B, NOW, &mut SystemEntropy).unwrap();
    let whole = serde_json::to_value(&request).unwrap();
    let changes = changes(&whole);
    assert!(changes.len() > 80);
    for change in changes {
        let refused = serde_json::from_str(&change).map_or(Err(Refusal::NotVerified), |request| {
            parties.answer(&request, NOW)
        });
        assert_eq!(refused, Err(Refusal::NotVerified), "{change}");
    }
    assert!(parties.answer(&request, NOW).is_ok());
}

// [BRK-8]
#[test]
fn a_changed_response_is_rejected() {
    let parties = Parties::new(SealingSuite::XWing);
    let (_, request) = parties.consumer.ask(B, NOW, &mut SystemEntropy).unwrap();
    let whole: Value = serde_json::from_str(&parties.answer(&request, NOW).unwrap()).unwrap();
    for change in changes(&whole) {
        let (asked, _) = parties.consumer.ask(B, NOW, &mut SystemEntropy).unwrap();
        let refused = parties
            .consumer
            .read_response(asked, change.as_bytes())
            .map(|_| ());
        assert_eq!(refused, Err(ConsumerError::FailedVerification), "{change}");
    }
}

// [BRK-10]
#[test]
fn a_changed_presentation_is_rejected() {
    let parties = Parties::new(SealingSuite::XWing);
    let (_, presentation) = parties.presented();
    let whole: Value = serde_json::from_str(&presentation).unwrap();
    let mut tried = changes(&whole);
    for change in changes(&whole["ticket"]) {
        let rest = format!("{{\"id\":{},\"ticket\":{change}}}", whole["id"]);
        tried.push(rest);
    }
    // Combinations of two presentations.
    let (_, other) = parties.presented();
    let other: Value = serde_json::from_str(&other).unwrap();
    tried.push(json!({ "id": other["id"], "ticket": whole["ticket"] }).to_string());
    for change in tried {
        assert_eq!(
            parties.accept(&change, NOW),
            Err(Refusal::NotVerified),
            "{change}"
        );
    }
    assert_eq!(parties.accept(&presentation, NOW), Ok(()));
}

#[test]
fn a_changed_acknowledgement_is_rejected() {
    let parties = Parties::new(SealingSuite::XWing);
    let (_, presentation) = parties.presented();
    let accept = || {
        let presented = parties
            .provider
            .accept(presentation.as_bytes(), NOW)
            .unwrap();
        presented
            .acknowledge(NOW, &mut SystemEntropy)
            .unwrap()
            .answer
    };
    let whole: Value = serde_json::from_str(&accept()).unwrap();
    for change in changes(&whole) {
        let (presenting, _) = parties.presented();
        let refused = presenting
            .read_acknowledgement(change.as_bytes())
            .map(|_| ());
        assert_eq!(
            refused.err(),
            Some(ConsumerError::FailedVerification),
            "{change}"
        );
    }
}

/// A message of one kind is rejected as another kind, for every recipient.
#[test]
fn a_message_of_one_kind_is_rejected_as_another() {
    let parties = Parties::new(SealingSuite::XWing);
    let (asked, request) = parties.consumer.ask(B, NOW, &mut SystemEntropy).unwrap();
    let answer = parties.answer(&request, NOW).unwrap();
    let reflected = serde_json::to_string(&request).unwrap();
    let refused = parties
        .consumer
        .read_response(asked, reflected.as_bytes())
        .map(|_| ());
    assert_eq!(refused, Err(ConsumerError::FailedVerification));
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let presentation = json!({ "id": "AAAA", "ticket": answer }).to_string();
    assert_eq!(
        parties.accept(&presentation, NOW),
        Err(Refusal::NotVerified)
    );
    let as_request = serde_json::from_value(answer).unwrap();
    assert_eq!(parties.answer(&as_request, NOW), Err(Refusal::NotVerified));
}
