//! Open sessions.

mod content;
mod delivered;
mod endings;
mod hostile;
mod keys;
mod login;
mod options;
mod passphrase_tickets;
mod pressure;
mod proxied;
mod raw;
mod resuming;
mod sealed_channel;
pub(crate) mod web_socket;

use std::sync::Arc;
use std::time::Duration;

use countersign_client::CallError;
use countersign_core::access::Role;
use countersign_core::sessions::{Audience, CloseReason};
use countersign_proto::operation::Event;
use countersign_proto::session::{Goodbye, WireError};
use countersign_server::limits::Limits;
use countersign_testkit::harness::time;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::operations::{site, wait_begins};

/// A timeout that no test reaches unless it fails.
const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn operations_run_concurrently_and_results_are_sent_as_they_complete() {
    let served = site().serve().await;
    let client = served.robot().await;
    let wait = |milliseconds: u64| {
        (
            "test",
            "wait",
            to_raw_value(&json!({ "milliseconds": milliseconds })).unwrap(),
        )
    };
    let waits = [wait(3_000), wait(0), wait(1_000)];
    let mut results = client.send(waits).await.unwrap();
    for (passes, first) in [(0, "0"), (1, "1000"), (2, "3000")] {
        time::pass(Duration::from_secs(passes)).await;
        let outcome = results.next().await.unwrap().unwrap();
        assert_eq!(outcome.data.get(), first);
    }
    assert!(results.next().await.is_none());
}

#[tokio::test]
async fn thousands_of_operations_get_results_on_one_session() {
    let served = site().serve().await;
    let client = served.robot().await;
    let show = || ("self", "show", to_raw_value(&json!({})).unwrap());
    let mut results = client.send((0..5_000).map(|_| show())).await.unwrap();
    let mut answered = 0;
    while let Some(outcome) = results.next().await {
        outcome.unwrap();
        answered += 1;
    }
    assert_eq!(answered, 5_000);
}

#[tokio::test]
async fn an_ended_session_closes_immediately_with_the_reason() {
    let served = site().serve().await;
    let client = served.robot().await;
    let sessions = served.admin("session.list", json!({})).await;
    let id = sessions["entries"][0]["id"].as_str().unwrap().to_owned();
    let params = json!({ "milliseconds": 60_000 });
    let call = client.call::<_, Value>("test", "wait", &params);
    let cut = async {
        wait_begins(&served).await;
        served.admin("session.cut", json!({ "id": id })).await;
    };
    let (ended, ()) = timeout(SOON, async { tokio::join!(call, cut) })
        .await
        .unwrap();
    assert!(
        matches!(ended, Err(CallError::Ended(Goodbye::Cut))),
        "{ended:?}"
    );
    assert_eq!(
        served.admin("session.list", json!({})).await["entries"],
        json!([])
    );
}

#[tokio::test]
async fn locking_deleting_and_revoking_end_the_affected_sessions() {
    let changes = [
        ("service.lock", json!({ "name": "robot" })),
        ("service.delete", json!({ "name": "robot" })),
    ];
    for (change, params) in changes {
        let served = site().serve().await;
        let client = served.robot().await;
        served.admin(change, params).await;
        let params = json!({ "milliseconds": 60_000 });
        let call = client.call::<_, Value>("test", "wait", &params);
        assert!(timeout(SOON, call).await.unwrap().is_err(), "{change}");
        assert!(served.try_robot().await.is_err());
    }
    let served = site().serve().await;
    let client = served.robot().await;
    let thumbprint = served.robot.certificate().thumbprint().to_string();
    served
        .admin(
            "key.revoke",
            json!({ "name": "robot", "thumbprint": thumbprint }),
        )
        .await;
    let params = json!({ "milliseconds": 60_000 });
    let call = client.call::<_, Value>("test", "wait", &params);
    assert!(timeout(SOON, call).await.unwrap().is_err());
    assert!(served.try_robot().await.is_err());
}

#[tokio::test]
async fn events_reach_their_audience() {
    let served = site().serve().await;
    let client = served.robot().await;
    let mut events = client.events();
    let event = Arc::new(Event {
        group: "test".to_owned(),
        event: "happened".to_owned(),
        data: to_raw_value(&json!({ "n": 1 })).unwrap(),
    });
    let publisher = served.site.events();
    assert_eq!(publisher.publish(&Audience::Role(Role::Admin), &event), 0);
    assert_eq!(publisher.publish(&Audience::Role(Role::Service), &event), 1);
    assert_eq!(
        timeout(SOON, events.next()).await.unwrap(),
        Some(Event::clone(&event))
    );
}

/// A shutdown waited for a connection without a completed login until its timeout.
#[tokio::test]
async fn a_client_that_does_not_log_in_does_not_delay_a_shutdown() {
    let served = site()
        .limits(Limits {
            shutdown_timeout: Duration::from_secs(600),
            unauthenticated_timeout: Duration::from_secs(600),
            ..Limits::default()
        })
        .serve()
        .await;
    let address = served.server.session_address().unwrap();
    let mut idle = TcpStream::connect(address).await.unwrap();
    // The server accepts this connection before the next one.
    served.robot().await.close().await.unwrap();
    let stopped = timeout(SOON, served.server.stop()).await;
    assert!(stopped.is_ok());
    let mut said = Vec::new();
    idle.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, WireError::Busy.to_wire());
}

#[tokio::test]
async fn a_site_sends_goodbye_when_it_stops() {
    let served = site().serve().await;
    let client = served.robot().await;
    let params = json!({ "milliseconds": 60_000 });
    let call = client.call::<_, Value>("test", "wait", &params);
    let stop = async {
        wait_begins(&served).await;
        served.server.stop().await;
    };
    let (ended, ()) = timeout(SOON, async { tokio::join!(call, stop) })
        .await
        .unwrap();
    assert!(
        matches!(ended, Err(CallError::Ended(Goodbye::Stopping))),
        "{ended:?}"
    );
}

/// The end of a connection cancelled its operations, also while their changes were being written: a person was
/// locked in the store but kept the session, and disabled options were still offered. A change whose caller
/// disconnects must be applied completely or not at all.
#[tokio::test]
async fn a_change_whose_caller_disconnects_is_applied_completely_or_not_at_all() {
    let served = site().maria().serve().await;
    let (maria, robot) = (served.maria().await, served.robot().await);
    let params = |params: Value| to_raw_value(&params).unwrap();
    let changes = [
        ("service", "lock", params(json!({ "name": "robot" }))),
        (
            "option",
            "disable",
            params(json!({ "name": "hybrid-aes256gcm" })),
        ),
    ];
    // GOODBYE follows immediately.
    let _results = maria.send(changes).await.unwrap();
    maria.close().await.unwrap();
    // The end of her session is written after every change that she began: the store keeps their order. The
    // session itself is gone before, while a change may still wait to be written.
    let done = json!({ "reason": CloseReason::Goodbye });
    time::until(async || {
        let entries = served.audit().await;
        entries
            .iter()
            .any(|entry| entry["operation"] == "session.closed" && entry["details"] == done)
    })
    .await;
    let shown = served
        .admin("service.show", json!({ "name": "robot" }))
        .await;
    let locked = shown["state"] == "locked";
    let answered = robot.call::<_, Value>("test", "begun", &json!({})).await;
    assert_eq!(
        answered.is_err(),
        locked,
        "the session of a locked service is ended"
    );
    let restarted = served.restarted().await;
    assert_eq!(served.site.options().ranked(), restarted.options().ranked());
}
