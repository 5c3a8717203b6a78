//! What happens to sessions that are open.

use std::sync::Arc;
use std::time::Duration;

use countersign_client::CallError;
use countersign_core::engine::Audience;
use countersign_core::policy::Role;
use countersign_proto::operation::Event;
use countersign_proto::session::{Goodbye, WireError};
use countersign_server::limits::Limits;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::founded::Founded;

const SOON: Duration = Duration::from_secs(1);

#[tokio::test]
async fn operations_run_side_by_side_and_results_come_as_they_are_ready() {
    let founded = Founded::new().await;
    let client = founded.service().await;
    let wait = |milliseconds: u64| {
        (
            "test",
            "wait",
            to_raw_value(&json!({ "milliseconds": milliseconds })).unwrap(),
        )
    };
    let mut results = client.send([wait(300), wait(0), wait(100)]).await.unwrap();
    let mut order = Vec::new();
    while let Some(outcome) = results.next().await {
        order.push(outcome.unwrap().data.get().to_owned());
    }
    assert_eq!(order, ["0", "100", "300"]);
}

#[tokio::test]
async fn thousands_of_operations_are_answered_on_one_session() {
    let founded = Founded::new().await;
    let client = founded.service().await;
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
async fn a_cut_session_ends_at_once_and_says_why() {
    let founded = Founded::new().await;
    let client = founded.service().await;
    let sessions = founded.admin("session", "list", json!({})).await;
    let id = sessions["entries"][0]["id"].as_str().unwrap().to_owned();
    let params = json!({ "milliseconds": 60_000 });
    let call = client.call::<_, Value>("test", "wait", &params);
    let cut = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        founded.admin("session", "cut", json!({ "id": id })).await;
    };
    let (ended, ()) = timeout(SOON, async { tokio::join!(call, cut) })
        .await
        .unwrap();
    assert!(
        matches!(ended, Err(CallError::Ended(Goodbye::Cut))),
        "{ended:?}"
    );
    assert_eq!(
        founded.admin("session", "list", json!({})).await["entries"],
        json!([])
    );
}

#[tokio::test]
async fn locking_deleting_and_revoking_cut_what_they_concern() {
    let changes = [
        ("service", "lock", json!({ "name": "robot" })),
        ("service", "delete", json!({ "name": "robot" })),
    ];
    for (group, command, params) in changes {
        let founded = Founded::new().await;
        let client = founded.service().await;
        founded.admin(group, command, params).await;
        let params = json!({ "milliseconds": 60_000 });
        let call = client.call::<_, Value>("test", "wait", &params);
        assert!(
            timeout(SOON, call).await.unwrap().is_err(),
            "{group}.{command}"
        );
        assert!(founded.try_service().await.is_err());
    }
    let founded = Founded::new().await;
    let client = founded.service().await;
    let thumbprint = founded.robot.certificate().thumbprint().to_string();
    founded
        .admin(
            "key",
            "revoke",
            json!({ "name": "robot", "thumbprint": thumbprint }),
        )
        .await;
    let params = json!({ "milliseconds": 60_000 });
    let call = client.call::<_, Value>("test", "wait", &params);
    assert!(timeout(SOON, call).await.unwrap().is_err());
    assert!(founded.try_service().await.is_err());
}

#[tokio::test]
async fn events_reach_those_they_are_meant_for() {
    let founded = Founded::new().await;
    let client = founded.service().await;
    let mut events = client.events();
    let event = Arc::new(Event {
        group: "test".to_owned(),
        event: "happened".to_owned(),
        data: to_raw_value(&json!({ "n": 1 })).unwrap(),
    });
    let publisher = founded.site.events();
    assert_eq!(publisher.publish(Audience::Role(Role::Admin), &event), 0);
    assert_eq!(publisher.publish(Audience::Role(Role::Service), &event), 1);
    assert_eq!(
        timeout(SOON, events.next()).await.unwrap(),
        Some(Event::clone(&event))
    );
}

/// A connection on which no client had logged in yet held up a stop for as long as that may take.
#[tokio::test]
async fn a_client_that_does_not_log_in_does_not_hold_up_a_stop() {
    let founded = Founded::with(Limits {
        stop_patience: Duration::from_secs(600),
        unproved_time: Duration::from_secs(600),
        ..Limits::default()
    })
    .await;
    let address = founded.server.session_address().unwrap();
    let mut idle = TcpStream::connect(address).await.unwrap();
    // Taken before the next one is.
    founded.service().await.close().await.unwrap();
    let stopped = timeout(Duration::from_secs(60), founded.server.stop()).await;
    assert!(stopped.is_ok());
    let mut said = Vec::new();
    idle.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, WireError::Busy.to_wire());
}

#[tokio::test]
async fn a_stopping_site_says_goodbye() {
    let founded = Founded::new().await;
    let client = founded.service().await;
    let params = json!({ "milliseconds": 60_000 });
    let call = client.call::<_, Value>("test", "wait", &params);
    let stop = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        founded.server.stop().await;
    };
    let (ended, ()) = timeout(5 * SOON, async { tokio::join!(call, stop) })
        .await
        .unwrap();
    assert!(
        matches!(ended, Err(CallError::Ended(Goodbye::Stopping))),
        "{ended:?}"
    );
}

/// A connection's end took its operations with it, those too whose change was being written: a person
/// was locked in the store and kept the session, and options that were disabled stayed on offer.
#[tokio::test]
async fn a_change_whose_caller_goes_away_is_carried_to_its_end() {
    let founded = Founded::with_person().await;
    let (maria, robot) = (founded.person().await, founded.service().await);
    let params = |params: Value| to_raw_value(&params).unwrap();
    let changes = [
        ("service", "lock", params(json!({ "name": "robot" }))),
        (
            "option",
            "disable",
            params(json!({ "name": "hybrid-aes256gcm" })),
        ),
    ];
    // The goodbye follows in the same breath.
    let _results = maria.send(changes).await.unwrap();
    maria.close().await.unwrap();
    let wait = json!({ "milliseconds": 60_000 });
    let cut = timeout(5 * SOON, robot.call::<_, Value>("test", "wait", &wait));
    assert!(cut.await.unwrap().is_err(), "a locked service is cut");
    let left = [countersign_proto::session::EncryptionOption::HybridChaCha20Poly1305];
    let offered = async {
        while founded.site.options().ranked() != left {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(5 * SOON, offered).await.unwrap();
}
