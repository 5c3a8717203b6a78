//! Requests with an idempotency key.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::access::Role;
use countersign_core::content::Content;
use countersign_core::engine::rest::RestMethod;
use countersign_core::engine::{Answer, Entry};
use countersign_core::store::Change;
use countersign_testkit::harness::{TestSite, time};
use serde_json::json;
use tokio::sync::{Notify, mpsc};

use super::client::Program;
use super::conditional::with_bob;

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
    served.takes_enrolments();
    for (name, role) in [("dora", "member"), ("root", "admin")] {
        let person = json!({ "name": name, "role": role });
        served.admin("person.create", person).await;
    }
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
