//! Conditions of requests: entity tags and idempotency keys.

use countersign_testkit::harness::TestSite;
use serde_json::json;

use super::client::Program;

async fn with_bob(served: &countersign_testkit::harness::ServedSite) -> Program<'_> {
    served
        .admin("person.create", json!({ "name": "bob" }))
        .await;
    let names = [
        "person.show",
        "person.update",
        "person.lock",
        "person.delete",
        "person.create",
        "person.set_data",
        "ticket.issue",
        "alarm.raise",
        "alarm.list",
    ];
    let names = names.map(str::to_owned);
    Program::maria(served, &served.maria().await, &names).await
}

#[tokio::test]
async fn a_change_with_an_old_entity_tag_is_refused() {
    let served = TestSite::builder().maria().serve().await;
    let admin = with_bob(&served).await;
    let shown = admin.call("GET", "/persons/bob", "").await;
    let tag = shown.field("etag");
    assert_eq!(tag, "\"1\"");
    let change = async |tag: &str, name: &str| {
        let body = json!({ "full_name": name }).to_string();
        admin
            .call_with("PATCH", "/persons/bob", &[("if-match", tag)], &body)
            .await
    };
    let changed = change(&tag, "Bob").await;
    assert_eq!(
        (changed.status, changed.field("etag").as_str()),
        (200, "\"2\"")
    );
    for old in [tag.as_str(), "\"7\"", "W/\"2\"", "\"other\""] {
        let refused = change(old, "Mallory").await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (412, "precondition_failed"),
            "{old}"
        );
    }
    assert_eq!(change("\"9\", \"2\"", "Robert").await.status, 200);
    assert_eq!(change("*", "Bob").await.status, 200);
    assert_eq!(change("2", "Bob").await.status, 400);
    let deleted = admin
        .call_with("DELETE", "/persons/bob", &[("if-match", "\"1\"")], "")
        .await;
    assert_eq!(deleted.status, 412);
    let deleted = admin
        .call_with("DELETE", "/persons/bob", &[("if-match", "\"4\"")], "")
        .await;
    assert_eq!(deleted.status, 200);
}

#[tokio::test]
async fn a_condition_that_cannot_be_checked_is_refused() {
    let served = TestSite::builder().maria().serve().await;
    let admin = with_bob(&served).await;
    let fields = [("if-match", "\"1\"")];
    let created = admin
        .call_with("POST", "/persons", &fields, r#"{"name":"carl"}"#)
        .await;
    assert_eq!(created.status, 400, "{created:?}");
    assert_eq!(admin.call("GET", "/persons/carl", "").await.status, 404);
}

#[tokio::test]
async fn a_request_with_an_idempotency_key_is_carried_out_once() {
    let served = TestSite::builder().maria().serve().await;
    let admin = with_bob(&served).await;
    let alarm = json!({ "to": "bob", "severity": "info", "text": "The tank is full." }).to_string();
    let raise = async |key: &str, body: &str| {
        admin
            .call_with("POST", "/alarms", &[("idempotency-key", key)], body)
            .await
    };
    let first = raise("one", &alarm).await;
    assert_eq!(first.status, 200, "{first:?}");
    let again = raise("one", &alarm).await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    assert_eq!(again.field("idempotency-replayed"), "true");
    assert_eq!(again.field("content-type"), first.field("content-type"));
    let listed = async || {
        let listed = admin.call("GET", "/alarms", "").await.json();
        listed["entries"].as_array().unwrap().len()
    };
    assert_eq!(listed().await, 1);
    let other = raise("one", &alarm.replace("full", "empty")).await;
    assert_eq!((other.status, other.code().as_str()), (422, "key_reused"));
    assert_eq!(raise("two", &alarm).await.status, 200);
    assert_eq!(listed().await, 2);
    for wrong in ["", "a b", &"k".repeat(256)] {
        assert_eq!(raise(wrong, &alarm).await.status, 400, "{wrong}");
    }
    // A refusal is not kept: the request can be corrected, or repeated later.
    let missing = alarm.replace("bob", "carl");
    assert!((400..500).contains(&raise("three", &missing).await.status));
    served
        .admin("person.create", json!({ "name": "carl" }))
        .await;
    assert_eq!(raise("three", &missing).await.status, 200);
    // A created object has its place in the answer that is repeated too.
    let create = async || {
        let fields = [("idempotency-key", "four")];
        admin
            .call_with("POST", "/persons", &fields, r#"{"name":"dora"}"#)
            .await
    };
    let (created, repeated) = (create().await, create().await);
    assert_eq!((created.status, repeated.status), (201, 201));
    assert_eq!(repeated.field("location"), created.field("location"));
    assert_eq!(repeated.field("etag"), created.field("etag"));
}

/// After a restart, the answer is gone but the change is known: it is not made again.
#[tokio::test]
async fn a_request_that_was_carried_out_before_a_restart_is_not_repeated() {
    let served = TestSite::builder().maria().serve().await;
    let token = with_bob(&served).await.token;
    let body = r#"{"name":"dora"}"#;
    let fields = [("idempotency-key", "one")];
    let create = async |served: &_, body: &str| {
        let admin = Program {
            served,
            token: token.clone(),
        };
        admin.call_with("POST", "/persons", &fields, body).await
    };
    assert_eq!(create(&served, body).await.status, 201);
    let served = served.listen_again().await;
    let again = create(&served, body).await;
    assert_eq!((again.status, again.code().as_str()), (409, "already_done"));
    let other = create(&served, r#"{"name":"erik"}"#).await;
    assert_eq!((other.status, other.code().as_str()), (422, "key_reused"));
}

/// The answer may contain a secret: it is for the credential that got it, while that may call the
/// operation.
#[tokio::test]
async fn an_answer_is_repeated_only_to_its_credential_while_that_may_call_the_operation() {
    let served = TestSite::builder().maria().serve().await;
    let session = served.maria().await;
    let token = async |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Program::maria(&served, &session, &names).await
    };
    let first = token(&["person.create"]).await;
    let (same, other) = (
        token(&["person.create"]).await,
        token(&["person.show"]).await,
    );
    let create = async |program: &Program<'_>| {
        let fields = [("idempotency-key", "one")];
        let body = r#"{"name":"dora"}"#;
        program.call_with("POST", "/persons", &fields, body).await
    };
    let created = create(&first).await;
    assert_eq!(created.status, 201, "{created:?}");
    let refused = create(&other).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (403, "not_permitted")
    );
    let refused = create(&same).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (409, "already_done")
    );
    let level = json!({ "level": "enrolment" });
    served.admin("lockdown.site", level).await;
    let refused = create(&first).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "lockdown"));
    served.admin("lockdown.lift", json!({ "site": true })).await;
    let again = create(&first).await;
    assert_eq!((again.status, &again.body), (201, &created.body));
}
