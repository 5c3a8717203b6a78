//! Conditions of requests: entity tags and idempotency keys.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::access::Role;
use countersign_core::content::Content;
use countersign_core::engine::rest::RestMethod;
use countersign_core::engine::{Answer, Entry};
use countersign_core::store::Change;
use countersign_testkit::harness::{TestSite, party, time};
use serde_json::json;
use tokio::sync::{Notify, mpsc};

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
    let shown = shown.json();
    let of = |revision: u64| format!("\"{}-{revision}\"", shown["id"].as_str().unwrap());
    assert_eq!(tag, of(1));
    assert_eq!(format!("\"{}\"", shown["etag"].as_str().unwrap()), tag);
    let change = async |tag: &str, name: &str| {
        let body = json!({ "full_name": name }).to_string();
        admin
            .call_with("PATCH", "/persons/bob", &[("if-match", tag)], &body)
            .await
    };
    let changed = change(&tag, "Bob").await;
    assert_eq!((changed.status, changed.field("etag")), (200, of(2)));
    let weak = format!("W/{}", of(2));
    for old in [&tag, &of(7), &weak, "\"2\"", "\"other\""] {
        let refused = change(old, "Mallory").await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (412, "precondition_failed"),
            "{old}"
        );
    }
    let either = format!("{}, {}", of(9), of(2));
    assert_eq!(change(&either, "Robert").await.status, 200);
    assert_eq!(change("*", "Bob").await.status, 200);
    assert_eq!(change("2", "Bob").await.status, 400);
    let deleted = admin
        .call_with("DELETE", "/persons/bob", &[("if-match", &of(1))], "")
        .await;
    assert_eq!(deleted.status, 412);
    let deleted = admin
        .call_with("DELETE", "/persons/bob", &[("if-match", &of(4))], "")
        .await;
    assert_eq!(deleted.status, 200);
}

/// The tag was the revision alone. An admin read bob, another one deleted him and made another bob, and the
/// first one's change, with the tag of what was read, made the new bob an admin.
#[tokio::test]
async fn the_entity_tag_of_a_deleted_object_is_not_that_of_one_with_its_name() {
    let served = TestSite::builder().maria().serve().await;
    served.billing_and_ledger().await;
    let names = [
        "person.show",
        "person.update",
        "person.delete",
        "person.create",
        "app.show",
        "app.create",
        "app.update",
        "app.delete",
    ];
    let names = names.map(str::to_owned);
    let admin = Program::maria(&served, &served.maria().await, &names).await;
    let key = party().public().to_pem();
    let app = json!({ "id": "printer", "edition": "v2", "public_keys": [key] });
    let other_key = party().public().to_pem();
    let other_app = json!({ "id": "printer", "edition": "v2", "public_keys": [other_key] });
    let bob = json!({ "name": "bob" });
    let role = json!({ "role": "admin" });
    let lifetime = json!({ "settings": { "keys_last": 600_000 } });
    for (all, name, made, made_again, change) in [
        ("/persons", "bob", &bob, &bob, &role),
        ("/apps", "printer", &app, &other_app, &lifetime),
    ] {
        let path = format!("{all}/{name}");
        let created = admin.call("POST", all, &made.to_string()).await;
        assert_eq!(created.status, 201, "{created:?}");
        let tag = admin.call("GET", &path, "").await.field("etag");
        assert_eq!(admin.call("DELETE", &path, "").await.status, 200);
        let created = admin.call("POST", all, &made_again.to_string()).await;
        assert_eq!(created.status, 201, "{created:?}");
        let fields = [("if-match", tag.as_str())];
        for (method, body) in [("PATCH", change.to_string()), ("DELETE", String::new())] {
            let refused = admin.call_with(method, &path, &fields, &body).await;
            let found = (refused.status, refused.code());
            assert_eq!(found, (412, "precondition_failed".to_owned()), "{path}");
        }
        let tag = admin.call("GET", &path, "").await.field("etag");
        let fields = [("if-match", tag.as_str())];
        let body = change.to_string();
        let changed = admin.call_with("PATCH", &path, &fields, &body).await;
        assert_eq!(changed.status, 200, "{path}");
    }
}

/// The condition was looked at only when a change was written, so that reads, changes of what has no
/// revision and `*` had none, although the description offered it everywhere.
#[tokio::test]
async fn a_condition_that_cannot_be_checked_is_refused_by_every_operation() {
    let served = TestSite::builder().maria().serve().await;
    let admin = with_bob(&served).await;
    let mut refused = 0;
    for entry in served.site.table().entries() {
        let Some(route) = entry.rest().route().filter(|_| !entry.is_revised()) else {
            continue;
        };
        let path = at(route.path, &[]);
        for tag in ["\"1\"", "*"] {
            let fields = [("if-match", tag), ("accept", "text/event-stream")];
            let reply = admin
                .call_with(route.method.as_str(), &path, &fields, "")
                .await;
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (400, "invalid_request"),
                "{}",
                entry.name()
            );
            assert_eq!(reply.json()["field"], "if-match", "{}", entry.name());
        }
        refused += 1;
    }
    assert!(refused > 70, "{refused}");
}

/// `lock` of what was locked already changed nothing, and so checked no condition; `app delete` compared it
/// with the revision of an application that may call the deleted one.
#[tokio::test]
async fn every_operation_on_an_object_with_a_revision_checks_the_condition_always() {
    let served = TestSite::builder().maria().serve().await;
    with_bob(&served).await;
    served
        .admin("service.create", json!({ "name": "mailer" }))
        .await;
    // `billing`, which changes a few times, may call `ledger`, which is deleted.
    served.billing_and_ledger().await;
    for keys_last in [600_000, 700_000] {
        let params = json!({ "id": "billing", "settings": { "keys_last": keys_last } });
        served.admin("app.update", params).await;
    }
    let revised = served.site.table().entries().filter(|one| one.is_revised());
    let mut revised: Vec<_> = revised.collect();
    revised.sort_by_key(|entry| entry.command() == "delete");
    let names: Vec<String> = revised.iter().map(|one| one.name().to_owned()).collect();
    let admin = Program::maria(&served, &served.maria().await, &names).await;
    for entry in revised {
        let body = match entry.name() {
            "person.update" => json!({ "full_name": "Bob" }).to_string(),
            "person.set_data" | "self.set_data" => json!({ "language": "de" }).to_string(),
            "app.update" => json!({ "settings": { "keys_last": 600_000 } }).to_string(),
            "app.rotate_key" => json!({ "public_key": party().public().to_pem() }).to_string(),
            _ => String::new(),
        };
        let route = entry.rest().route().unwrap();
        let name = match entry.group() {
            "person" => "bob",
            _ => "mailer",
        };
        let path = at(route.path, &[("name", name), ("id", "ledger")]);
        let call = async |tag: &str| {
            let fields = [("if-match", tag)];
            admin
                .call_with(route.method.as_str(), &path, &fields, &body)
                .await
        };
        let refused = async |expected: (u16, &str)| {
            let refused = call("\"99\"").await;
            let found = (refused.status, refused.code());
            assert_eq!(
                found,
                (expected.0, expected.1.to_owned()),
                "{}",
                entry.name()
            );
        };
        refused((412, "precondition_failed")).await;
        let done = call("*").await;
        assert_eq!(done.status, 200, "{}: {done:?}", entry.name());
        match entry.command() {
            "delete" => refused((404, "not_found")).await,
            // Nothing is left to change.
            _ => refused((412, "precondition_failed")).await,
        }
    }
}

/// The revision of the object was compared with that of another one, which the deletion changes too.
#[tokio::test]
async fn an_application_is_deleted_with_its_own_entity_tag() {
    let served = TestSite::builder().maria().serve().await;
    served.billing_and_ledger().await;
    let params = json!({ "id": "billing", "settings": { "keys_last": 600_000 } });
    served.admin("app.update", params).await;
    let names = ["app.show", "app.delete"].map(str::to_owned);
    let admin = Program::maria(&served, &served.maria().await, &names).await;
    let delete = async |tag: &str| {
        let fields = [("if-match", tag)];
        admin.call_with("DELETE", "/apps/ledger", &fields, "").await
    };
    let of_billing = admin.call("GET", "/apps/billing", "").await.field("etag");
    assert_eq!(delete(&of_billing).await.status, 412);
    let own = admin.call("GET", "/apps/ledger", "").await.field("etag");
    assert_eq!(delete(&own).await.status, 200);
}

/// The path of a route with these parameters; others are `x`.
fn at(path: &str, parameters: &[(&str, &str)]) -> String {
    let segments = path.split('/').map(|segment| {
        let name = segment
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        let value = |name| parameters.iter().find(|(one, _)| *one == name);
        name.map_or(segment, |name| value(name).map_or("x", |(_, value)| value))
    });
    segments.collect::<Vec<_>>().join("/")
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

/// A demoted admin got the ticket for another person once more, with the token and the key of the request.
#[tokio::test]
async fn an_answer_about_another_person_is_not_repeated_to_an_admin_who_became_a_member() {
    let served = TestSite::builder().maria().serve().await;
    let session = served.maria().await;
    served
        .admin("person.create", json!({ "name": "dora" }))
        .await;
    let program = Program::maria(&served, &session, &["ticket.issue".to_owned()]).await;
    let issue = async || {
        let fields = [("idempotency-key", "one")];
        let body = r#"{"person":"dora","kind":"passphrase"}"#;
        program
            .call_with("POST", "/enrolment-tickets", &fields, body)
            .await
    };
    let issued = issue().await;
    assert_eq!(issued.status, 201, "{issued:?}");
    assert_eq!(issue().await.body, issued.body);
    served
        .admin(
            "person.update",
            json!({ "name": "maria", "role": "member" }),
        )
        .await;
    let refused = issue().await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (409, "already_done")
    );
}

/// An operation that is carried out when the test lets it, and returns as much text as it is asked for.
fn slow(carry_out: Arc<Notify>, started: mpsc::UnboundedSender<()>) -> Entry {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Length {
        /// The length of the result, in bytes.
        length: usize,
    }
    Entry::new("test", "slow")
        .summary("Returns text.")
        .allow(&Role::ALL)
        .changes()
        .rest(RestMethod::Post, "/slow")
        .handler(move |context, params: Length| {
            let carry_out = carry_out.clone();
            let _ = started.send(());
            async move {
                carry_out.notified().await;
                context
                    .commit(Vec::<Change>::new(), None, json!({}))
                    .await?;
                Ok(Answer::new("x".repeat(params.length)))
            }
        })
}

/// The page said nothing of answers above 16 KiB, which are not kept.
#[tokio::test]
async fn a_repeated_request_gets_the_response_that_the_page_promises() {
    let carry_out = Arc::new(Notify::new());
    let (started, mut running) = mpsc::unbounded_channel();
    let entry = {
        let carry_out = carry_out.clone();
        move || vec![slow(carry_out.clone(), started.clone())]
    };
    let served = TestSite::builder().operations(entry).serve().await;
    let robot = Program::robot(&served, &["test.slow"]).await;
    let call = async |key: &str, length: usize| {
        let body = json!({ "length": length }).to_string();
        let fields = [("idempotency-key", key)];
        robot.call_with("POST", "/slow", &fields, &body).await
    };
    // While the first one runs.
    let first = call("one", 10);
    let second = async {
        running.recv().await.unwrap();
        let second = call("one", 10).await;
        carry_out.notify_one();
        second
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(
        (second.status, second.code().as_str()),
        (409, "in_progress")
    );
    assert_eq!(second.field("retry-after"), "1");
    assert_eq!(call("one", 10).await.field("idempotency-replayed"), "true");
    let other = call("one", 11).await;
    assert_eq!((other.status, other.code().as_str()), (422, "key_reused"));
    // With quotes, one byte below and one above the limit.
    carry_out.notify_one();
    assert_eq!(call("two", 16 * 1024 - 2).await.status, 200);
    assert_eq!(call("two", 16 * 1024 - 2).await.status, 200);
    carry_out.notify_one();
    assert_eq!(call("three", 16 * 1024 - 1).await.status, 200);
    let again = call("three", 16 * 1024 - 1).await;
    assert_eq!((again.status, again.code().as_str()), (409, "already_done"));
}

/// Answers may contain tickets, and were in memory until the site restarted, also while it was sealed.
#[tokio::test]
async fn a_site_that_was_sealed_has_forgotten_its_answers() {
    let served = TestSite::builder().maria().serve().await;
    let admin = with_bob(&served).await;
    let create = async || {
        let fields = [("idempotency-key", "one")];
        let body = r#"{"name":"dora"}"#;
        admin.call_with("POST", "/persons", &fields, body).await
    };
    assert_eq!(create().await.status, 201);
    assert_eq!(create().await.field("idempotency-replayed"), "true");
    served.admin("site.seal", json!({})).await;
    time::pass(Duration::from_secs(2)).await;
    assert_eq!(create().await.status, 503);
    served.unseal().await;
    let again = create().await;
    assert_eq!((again.status, again.code().as_str()), (409, "already_done"));
}

/// Operations with content, which programs that embed a site have.
fn with_content() -> Vec<Entry> {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    let entry = |command| {
        let entry = Entry::new("test", command).summary("Has content.");
        entry.allow(&Role::ALL)
    };
    let content = || Content::new(futures_util::stream::iter([Ok(vec![7; 10])]));
    vec![
        entry("takes")
            .takes_content()
            .rest(RestMethod::Post, "/takes")
            .handler(|_, _: Nothing| async { Ok(Answer::new(())) }),
        entry("gives")
            .gives_content()
            .rest(RestMethod::Post, "/gives")
            .handler(move |_, _: Nothing| async move { Ok(Answer::new(()).with(content())) }),
    ]
}

/// The description offered the key for operations with content, which refused it; the second of two requests
/// for content with one key returned JSON instead.
#[tokio::test]
async fn an_operation_with_content_refuses_an_idempotency_key() {
    let served = TestSite::builder().operations(with_content).serve().await;
    let robot = Program::robot(&served, &["test.takes", "test.gives"]).await;
    for path in ["/takes", "/gives"] {
        let fields = [("idempotency-key", "one")];
        let reply = robot.call_with("POST", path, &fields, "").await;
        assert_eq!(reply.status, 400, "{path}: {reply:?}");
        assert_eq!(reply.json()["field"], "idempotency-key", "{path}");
        assert_eq!(robot.call("POST", path, "").await.status, 200, "{path}");
    }
}
