//! The signatures of the site over the entries of lockdowns in its audit log.

use countersign_core::access::Caller;
use countersign_core::engine::Site;
use countersign_crypto::site_key_slots::SlotSecret;
use countersign_proto::operation::{Code, Operation};
use countersign_testkit::harness::{NOW, TestSite, run};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

/// The text and the JSON of `audit verify`.
async fn verified(site: &Site) -> (String, Value) {
    let operation = operation("audit.verify", &json!({}));
    let outcome = site.run(&Caller::admin_socket(), &operation, NOW).await;
    let data = serde_json::from_str(outcome.data.get()).unwrap();
    (outcome.output, data)
}

/// The number of the last entry of an operation.
async fn entry(test: &TestSite, operation: &str) -> u64 {
    let entries = test.audit().await;
    let mut last = entries.iter().rev();
    let found = last.find(|entry| entry["operation"] == operation);
    found.unwrap()["seq"].as_u64().unwrap()
}

/// A site without peers had chained entries of lockdowns, and no signature over any of them.
#[tokio::test]
async fn the_entry_of_each_change_of_lockdowns_is_signed_without_any_peer() {
    let test = TestSite::new().await;
    test.person("maria", "member").await;
    for (operation, params) in [
        ("lockdown.person", json!({ "name": "maria" })),
        ("lockdown.site", json!({ "level": "enrolment" })),
        ("lockdown.site", json!({ "level": "all" })),
        ("lockdown.lift", json!({ "site": true })),
        ("lockdown.lift", json!({ "person": "maria" })),
    ] {
        test.admin(operation, params).await;
        let entry = entry(&test, operation).await;
        // Entries after it are not signed yet.
        let name = format!("later{entry}");
        test.admin("person.create", json!({ "name": name })).await;
        let (text, data) = verified(&test.site).await;
        assert_eq!(data["signed"]["entry"], entry, "{operation}");
        assert_eq!(
            (&data["intact"], &data["unlike_signed"]),
            (&json!(true), &Value::Null)
        );
        let line = format!("The site signed the log up to entry {entry} at ");
        assert!(text.contains(&line), "{text}");
    }
}

/// A change at the local admin socket of a sealed site has no key to be signed with.
#[tokio::test]
async fn a_change_of_lockdowns_while_the_site_is_sealed_is_signed_at_unsealing() {
    let test = TestSite::new().await;
    let sealed = test.restarted().await;
    let local = Caller::admin_socket();
    let before = verified(&sealed).await.1["signed"]["entry"].as_u64();
    let imposed = run(
        &sealed,
        &local,
        "lockdown.site",
        json!({ "level": "logins" }),
    )
    .await;
    assert_eq!(imposed.0, Code::SUCCESS);
    let entries = test.audit().await;
    let imposed = entries.last().unwrap()["seq"].as_u64();
    assert!(before < imposed);
    assert_eq!(
        verified(&sealed).await.1["signed"]["entry"].as_u64(),
        before
    );
    let secret = SlotSecret::File(&test.slot);
    sealed.unseal(&local, secret, NOW).await.unwrap();
    let signed = verified(&sealed).await.1["signed"]["entry"].as_u64();
    assert!(signed > imposed, "{signed:?}");
}

/// An attacker with access to the database removes the entry of a lockdown and makes the chain whole.
#[tokio::test]
async fn a_log_that_was_rewritten_after_it_was_signed_is_found() {
    let test = TestSite::new().await;
    test.admin("lockdown.site", json!({ "level": "logins" }))
        .await;
    let imposed = entry(&test, "lockdown.site").await;
    test.admin("lockdown.lift", json!({ "site": true })).await;
    test.memory().forge_audit(|entries| {
        let mut head = countersign_core::audit::ChainHead::EMPTY;
        let drafts = entries.drain(..).map(|entry| entry.draft);
        let kept = drafts.filter(|draft| draft.operation != "lockdown.site");
        let forged: Vec<_> = kept.map(|draft| head.append(draft)).collect();
        *entries = forged;
    });
    let (text, data) = verified(&test.site).await;
    assert_eq!(data["broken"], Value::Null, "the chain itself is whole");
    assert_eq!(
        (&data["intact"], &data["unlike_signed"]),
        (&json!(false), &json!(imposed))
    );
    assert!(
        text.contains(&format!("entry {imposed} is not as the site signed it")),
        "{text}"
    );
}

/// What a stolen key signed is void, and the new key signs the log again with its first entry.
#[tokio::test]
async fn the_new_site_key_signs_the_log_after_a_theft() {
    let test = TestSite::new().await;
    let at = async |seconds, name: &str, params: Value| {
        let operation = operation(name, &params);
        let caller = Caller::admin_socket();
        let outcome = test
            .site
            .run(&caller, &operation, NOW.plus_seconds(seconds));
        let outcome = outcome.await;
        assert_eq!(outcome.code, Code::SUCCESS, "{}", outcome.output);
    };
    at(10, "lockdown.site", json!({ "level": "logins" })).await;
    let file = json!({ "slot_file": test.slot.to_text().expose() });
    let stolen = NOW.plus_seconds(5);
    let rotation = json!({ "secrets": [file], "slots": [file], "compromised_since": stolen });
    at(20, "site.key_new", rotation).await;
    let (_, data) = verified(&test.site).await;
    assert_eq!(data["signed"]["entry"], entry(&test, "site.key_new").await);
    assert_eq!(data["signed"]["key_event"], 1);
    assert_eq!(data["intact"], true);
}

fn operation(name: &str, params: &Value) -> Operation {
    let (group, command) = name.split_once('.').unwrap();
    Operation::new(1, group, command, to_raw_value(params).unwrap())
}
