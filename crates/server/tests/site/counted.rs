//! Events that are counted before they are audited, over the network.

use std::time::Duration;

use countersign_proto::operation::Code;
use countersign_testkit::harness::{PASSPHRASE, ServedSite};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::operations::site;

/// A timeout that no test reaches unless it fails.
const SOON: Duration = Duration::from_secs(60);

/// A summary of the audit log of a stopped site, from some entry on.
async fn stopped(served: ServedSite, operation: &str) -> Vec<(String, String, Value)> {
    let entries = served.stop().await.audit().await;
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or("-").to_owned();
    entries
        .iter()
        .filter(|entry| entry["operation"] == operation)
        .map(|entry| {
            let (actor, outcome) = (text(entry, "actor"), text(entry, "outcome"));
            (actor, outcome, entry["details"].clone())
        })
        .collect()
}

/// Failed logins were not audited. Counted events are written at the latest when the server stops.
#[tokio::test]
async fn failed_logins_are_audited_by_their_source_and_number() {
    let served = site().maria().serve().await;
    for _ in 0..3 {
        let refused = served.log_in("maria", "not her pass phrase").await;
        assert!(refused.is_err());
    }
    served.log_in("maria", PASSPHRASE).await.unwrap();
    let failed = stopped(served, "session.login").await;
    let counts = failed.iter().map(|(actor, outcome, details)| {
        assert_eq!((actor.as_str(), outcome.as_str()), ("127.0.0.1", "failed"));
        assert_eq!(details["name"], "maria@example.org");
        details["count"].as_u64().unwrap_or(1)
    });
    assert_eq!(
        counts.sum::<u64>(),
        3,
        "the successful login is not counted"
    );
}

/// HTTP requests that fail verification.
#[tokio::test]
async fn failed_ticket_requests_are_audited_by_their_source() {
    let served = site().serve().await;
    let mut socket = TcpStream::connect(served.server.http_address().unwrap())
        .await
        .unwrap();
    let request = b"POST /authenticate HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
        content-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    socket.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 401"));
    let failed = stopped(served, "broker.ticket").await;
    let [(actor, outcome, _)] = failed.as_slice() else {
        panic!("{failed:?}");
    };
    assert_eq!((actor.as_str(), outcome.as_str()), ("127.0.0.1", "failed"));
}

/// The repeated refusals of a service in a loop are reported to admins with a session.
#[tokio::test]
async fn repeated_refusals_reach_admins() {
    let served = site().maria().serve().await;
    let (maria, robot) = (served.maria().await, served.robot().await);
    let mut events = maria.events();
    for _ in 0..120 {
        let params = serde_json::value::to_raw_value(&json!({ "name": "maria" })).unwrap();
        let refused = robot.outcome("person", "delete", params).await.unwrap();
        assert_eq!(refused.code, Code::NOT_PERMITTED);
    }
    let event = timeout(SOON, events.next()).await.unwrap().unwrap();
    assert_eq!((&*event.group, &*event.event), ("audit", "repeated"));
    let event_data: Value = serde_json::from_str(event.data.get()).unwrap();
    assert_eq!(
        event_data,
        json!({
            "actor": "robot@example.org", "operation": "person.delete",
            "outcome": "not_permitted", "count": 100,
        })
    );
}
