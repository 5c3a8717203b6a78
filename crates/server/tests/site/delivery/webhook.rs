//! Short texts through the webhook.

use std::path::Path;
use std::time::Duration;

use countersign_proto::webhook::{BodyFormat, BodyTemplate, SigningKey};
use countersign_server::delivery::{Channels, Webhook, WebhookReceiver};
use countersign_testkit::harness::ServedSite;
use countersign_testkit::harness::python::PythonServer;
use countersign_testkit::harness::time::{pass, until};
use serde_json::{Value, json};

use super::{BACKOFF, back_off, delivery, folder, raise, site_with_ada};

const SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";
const AUTHORIZATION: &str = "Bearer open-sesame";

fn receiver(behaviours: &[&str]) -> PythonServer {
    let script = folder().join("webhook_receiver.py");
    let words = [&[SECRET], behaviours].concat();
    PythonServer::start(Path::new("python3"), &script, &words)
}

fn settings(port: u16) -> WebhookReceiver {
    let body = r#"{"number":"{{to}}","message":"{{text}}","site":"{{site}}","id":"{{id}}"}"#;
    WebhookReceiver {
        url: format!("http://127.0.0.1:{port}/send?from=site"),
        allow_plaintext: false,
        headers: vec![("X-Team".to_owned(), "night".to_owned())],
        authorization: Some(AUTHORIZATION.to_owned().into()),
        body: BodyTemplate::parse(BodyFormat::Json, body).unwrap(),
        key: Some(SigningKey::parse(SECRET).unwrap()),
        ca: None,
        timeout: Duration::from_secs(60),
    }
}

fn deliver(served: &ServedSite, receiver: WebhookReceiver) {
    served.server.deliver_over(Channels {
        webhook: Some(Webhook::new(receiver).unwrap()),
        ..Channels::default()
    });
}

/// A site whose texts go to a receiver with these behaviours, and an alarm for ada.
async fn raised(behaviours: &[&str]) -> (ServedSite, PythonServer) {
    let receiver = receiver(behaviours);
    let served = site_with_ada().await;
    deliver(&served, settings(receiver.port));
    raise(&served, "critical", "Line \"A\" is down \\ & out").await;
    (served, receiver)
}

/// ALM-11, ALM-12.
#[tokio::test]
async fn a_text_arrives_signed_and_is_verified_by_another_implementation() {
    let (served, mut receiver) = raised(&[]).await;
    let request = receiver.next().await;
    assert_eq!(request["verified"], true);
    assert_eq!(request["path"], "/send?from=site");
    let headers = &request["headers"];
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["x-team"], "night");
    assert_eq!(headers["authorization"], AUTHORIZATION);
    assert_eq!(headers["idempotency-key"], headers["webhook-id"]);
    let body: Value = serde_json::from_str(request["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        body,
        json!({
            "number": "+491701234567",
            "message": "[example.org] Critical, local admin: Line \"A\" is down \\ & out",
            "site": "example.org",
            "id": headers["webhook-id"],
        })
    );
    delivery(&served, "sent", 0).await;
}

/// ALM-10, ALM-13, ALM-14, ALM-17. The receiver fails, ends the connection, or does not speak HTTP.
#[tokio::test]
async fn a_receiver_that_fails_gets_the_same_request_again() {
    for behaviour in [
        "500",
        "503",
        "408",
        "429",
        "cut",
        "garbage",
        "huge",
        "301:Location:/other",
    ] {
        let (served, mut receiver) = raised(&[behaviour]).await;
        let first = receiver.next().await;
        let failed = delivery(&served, "waiting", 1).await;
        let error = failed["last_error"].as_str().unwrap();
        assert!(error.starts_with("the webhook"), "{behaviour}: {error}");
        assert!(!error.contains("sesame"), "{error}");
        assert_eq!(
            receiver.ready(),
            None,
            "{behaviour}: no second request follows"
        );
        back_off().await;
        let second = receiver.next().await;
        assert_eq!(second["verified"], true, "{behaviour}");
        for header in ["webhook-id", "idempotency-key"] {
            assert_eq!(
                first["headers"][header], second["headers"][header],
                "{behaviour}"
            );
        }
        assert_eq!(first["body"], second["body"], "{behaviour}");
        delivery(&served, "sent", 1).await;
    }
}

/// ALM-13.
#[tokio::test]
async fn a_receiver_that_does_not_answer_gets_the_request_again() {
    let mut receiver = receiver(&["hang"]);
    let served = site_with_ada().await;
    let timeout = Duration::from_secs(1);
    deliver(
        &served,
        WebhookReceiver {
            timeout,
            ..settings(receiver.port)
        },
    );
    raise(&served, "critical", "Down.").await;
    receiver.next().await;
    let failed = delivery(&served, "waiting", 1).await;
    let error = failed["last_error"].as_str().unwrap();
    assert!(error.contains("timed out"), "{error}");
    deliver(&served, settings(receiver.port));
    back_off().await;
    receiver.next().await;
    delivery(&served, "sent", 1).await;
}

/// ALM-2, ALM-10. The receiver has the text each time; the site cannot know.
#[tokio::test]
async fn a_text_whose_answer_comes_too_late_arrives_again_with_the_same_id() {
    let mut receiver = receiver(&["late", "late"]);
    let served = site_with_ada().await;
    let timeout = Duration::from_secs(1);
    deliver(
        &served,
        WebhookReceiver {
            timeout,
            ..settings(receiver.port)
        },
    );
    raise(&served, "critical", "Down.").await;
    let first = receiver.next().await;
    delivery(&served, "waiting", 1).await;
    back_off().await;
    let second = receiver.next().await;
    delivery(&served, "waiting", 2).await;
    deliver(&served, settings(receiver.port));
    pass(2 * BACKOFF).await;
    let third = receiver.next().await;
    delivery(&served, "sent", 2).await;
    for again in [&second, &third] {
        assert_eq!(again["verified"], true);
        assert_eq!(again["body"], first["body"]);
        assert_eq!(
            again["headers"]["webhook-id"],
            first["headers"]["webhook-id"]
        );
    }
    assert_eq!(receiver.ready(), None, "it was accepted once");
}

/// ALM-15.
#[tokio::test]
async fn a_receiver_that_rejects_a_text_gets_it_again_only_when_an_admin_retries() {
    let (served, mut receiver) = raised(&["422"]).await;
    receiver.next().await;
    let dead = delivery(&served, "dead", 0).await;
    let error = dead["last_error"].as_str().unwrap();
    assert_eq!(
        error,
        "the webhook replied 422: {\"error\":\"no such number\"}"
    );
    back_off().await;
    assert_eq!(receiver.ready(), None);
    served
        .admin("alarm.retry", json!({ "id": dead["id"] }))
        .await;
    receiver.next().await;
    delivery(&served, "sent", 0).await;
}

/// ALM-23.
#[tokio::test]
async fn a_receiver_that_repeats_the_authorization_does_not_get_it_into_the_site() {
    let (served, mut receiver) = raised(&["echo"]).await;
    receiver.next().await;
    let dead = delivery(&served, "dead", 0).await;
    assert_eq!(dead["last_error"], "the webhook replied 400: [secret]");

    // The token alone, and cut in the middle by the limit of 120 characters.
    let (served, mut receiver) = raised(&["echo-late"]).await;
    receiver.next().await;
    let dead = delivery(&served, "dead", 0).await;
    let error = dead["last_error"].as_str().unwrap();
    assert!(error.ends_with("xx[secr"), "{error}");
}

/// ALM-16. The backoff would be over after 10 s.
#[tokio::test]
async fn a_receiver_can_ask_to_wait_longer_than_the_backoff() {
    let (served, mut receiver) = raised(&["429:Retry-After:100"]).await;
    receiver.next().await;
    delivery(&served, "waiting", 1).await;
    back_off().await;
    back_off().await;
    // Another alarm goes out meanwhile, so the worker has looked.
    served
        .admin("person.create", json!({ "name": "bob" }))
        .await;
    let preferences = json!({ "person": "bob", "text_to": "bob" });
    served.admin("alarm.preferences", preferences).await;
    let alarm = json!({ "to": "bob", "severity": "critical", "text": "For bob." });
    served.admin("alarm.raise", alarm).await;
    let other = receiver.next().await;
    assert!(other["body"].as_str().unwrap().contains("For bob."));
    // Else the reply would be late, and the site would send it again.
    until(async || {
        let sent = served.admin("alarm.deliveries", json!({ "state": "sent" }));
        sent.await["entries"] != json!([])
    })
    .await;
    pass(Duration::from_secs(90)).await;
    let second = receiver.next().await;
    assert!(second["body"].as_str().unwrap().contains("is down"));
}

#[tokio::test]
async fn a_form_and_a_plain_text_are_sent_as_such() {
    for (format, content_type, body) in [
        (
            BodyFormat::Form,
            "application/x-www-form-urlencoded",
            "to=%2B491701234567&text=%5Bexample.org%5D+Critical%2C+local+admin%3A+A+%26+B",
        ),
        (
            BodyFormat::Text,
            "text/plain; charset=utf-8",
            "[example.org] Critical, local admin: A & B",
        ),
    ] {
        let mut receiver = receiver(&[]);
        let served = site_with_ada().await;
        deliver(
            &served,
            WebhookReceiver {
                body: BodyTemplate::parse(format, format.usual_template()).unwrap(),
                ..settings(receiver.port)
            },
        );
        raise(&served, "critical", "A & B").await;
        let request = receiver.next().await;
        assert_eq!(request["headers"]["content-type"], content_type);
        assert_eq!(request["body"], body);
    }
}
