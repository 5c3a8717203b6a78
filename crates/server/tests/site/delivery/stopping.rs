//! The order of messages, and a server that stops.

use std::path::Path;
use std::time::Duration;

use countersign_proto::webhook::{BodyFormat, BodyTemplate};
use countersign_server::delivery::{Channels, Webhook, WebhookReceiver};
use countersign_testkit::harness::ServedSite;
use countersign_testkit::harness::python::PythonServer;
use serde_json::json;

use super::{folder, raise, site_with_ada};

fn receiver(behaviours: &[&str]) -> PythonServer {
    let script = folder().join("webhook_receiver.py");
    let words = [&["MDEy"], behaviours].concat();
    PythonServer::start(Path::new("python3"), &script, &words)
}

fn deliver(served: &ServedSite, port: u16, timeout: Duration) {
    let receiver = WebhookReceiver {
        url: format!("http://127.0.0.1:{port}/"),
        allow_plaintext: false,
        headers: Vec::new(),
        authorization: None,
        body: BodyTemplate::parse(BodyFormat::Text, "{{text}}").unwrap(),
        key: None,
        ca: None,
        timeout,
    };
    served.server.deliver_over(Channels {
        webhook: Some(Webhook::new(receiver).unwrap()),
        ..Channels::default()
    });
}

/// Messages that wait behind the first one: enough to be taken in several rounds.
const MESSAGES: usize = 6;

/// ALM-3.
#[tokio::test]
async fn messages_of_one_severity_to_one_person_arrive_in_their_order() {
    let mut receiver = receiver(&["500"]);
    let served = site_with_ada().await;
    deliver(&served, receiver.port, Duration::from_secs(60));
    for number in 0..MESSAGES {
        raise(&served, "critical", &format!("Number {number}.")).await;
    }
    let failed = receiver.next().await;
    assert!(failed["body"].as_str().unwrap().ends_with("Number 0."));
    super::delivery(&served, "waiting", 1).await;
    super::back_off().await;
    for number in 0..MESSAGES {
        let request = receiver.next().await;
        let text = request["body"].as_str().unwrap();
        assert!(text.ends_with(&format!("Number {number}.")), "{text}");
    }
}

/// ALM-4.
#[tokio::test]
async fn an_acknowledged_alarm_is_not_sent_any_more() {
    let mut receiver = receiver(&["500"]);
    let served = site_with_ada().await;
    deliver(&served, receiver.port, Duration::from_secs(60));
    let alarm = raise(&served, "critical", "First.").await;
    receiver.next().await;
    super::delivery(&served, "waiting", 1).await;
    served
        .admin("alarm.acknowledge", json!({ "id": alarm["id"] }))
        .await;
    super::back_off().await;
    raise(&served, "critical", "Second.").await;
    let next = receiver.next().await;
    assert!(next["body"].as_str().unwrap().ends_with("Second."));
}

#[tokio::test]
async fn a_server_that_stops_waits_for_a_message_that_is_being_sent() {
    let mut receiver = receiver(&["hang"]);
    let served = site_with_ada().await;
    deliver(&served, receiver.port, Duration::from_secs(1));
    raise(&served, "critical", "Down.").await;
    receiver.next().await;
    let stopped = served.stop().await;
    let all = stopped.admin("alarm.deliveries", json!({})).await;
    assert_eq!(all["entries"][0]["attempts"], 1, "the failure is recorded");
}
