//! New keys and silence over real sockets.

use std::time::Duration;

use countersign_client::{CallError, Connector};
use countersign_proto::session::{EncryptionOption, Goodbye, OptionList};
use countersign_server::limits::Limits;
use serde_json::{Value, json};

use crate::founded::Founded;
use crate::proxy::Proxy;

async fn shown(founded: &Founded) -> Value {
    let sessions = founded.admin("session", "list", json!({})).await;
    sessions["entries"][0].clone()
}

/// [SES-44] and [SES-46]
#[tokio::test]
async fn fresh_keys_renew_the_session_while_operations_run() {
    let founded = Founded::new().await;
    let client = founded.service().await;
    let before = shown(&founded).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let wait = json!({ "milliseconds": 200 });
    let waiting = client.call::<_, Value>("test", "wait", &wait);
    let renewing = async {
        for _ in 0..10 {
            assert!(client.renew_keys(None).await.unwrap());
        }
    };
    let (waited, ()) = tokio::join!(waiting, renewing);
    waited.unwrap();
    let after = shown(&founded).await;
    assert!(after["expires"].as_str() > before["expires"].as_str());
    assert_eq!(after["ends"], before["ends"]);
}

/// [SES-47]: the admin's list decides, also inside a session; the change is in the audit log.
#[tokio::test]
async fn a_session_goes_over_to_another_option_within_itself() {
    let founded = Founded::new().await;
    let client = founded.service().await;
    assert_eq!(client.options().await.unwrap(), OptionList::default());
    let better = EncryptionOption::HybridChaCha20Poly1305;
    assert!(client.renew_keys(Some(better)).await.unwrap());
    assert_eq!(shown(&founded).await["option"], better.name());
    let weaker = EncryptionOption::X25519Aes128Gcm;
    assert!(!client.renew_keys(Some(weaker)).await.unwrap());
    assert_eq!(shown(&founded).await["option"], better.name());
    let _: Value = client.call("self", "show", &json!({})).await.unwrap();
    let audit = founded
        .admin("audit", "list", json!({ "limit": 1000 }))
        .await;
    let entries = audit["entries"].as_array().unwrap();
    let switched = entries
        .iter()
        .filter(|entry| entry["operation"] == "session.switched");
    assert_eq!(switched.count(), 1);
}

/// [SES-46]: a client renews by itself when it is told that the time is nearly over.
#[tokio::test]
async fn a_session_outlives_its_first_keys_without_being_asked() {
    let founded = Founded::new().await;
    let set = json!({ "key_lifetime": 30 });
    founded.admin("site", "config", set).await;
    let client = founded.service().await;
    let before = shown(&founded).await;
    tokio::time::sleep(Duration::from_secs(21)).await;
    let after = shown(&founded).await;
    assert!(after["expires"].as_str() > before["expires"].as_str());
    let _: Value = client.call("self", "show", &json!({})).await.unwrap();
}

/// [SES-46] and [SES-29]: here the client's offer does not arrive.
#[tokio::test]
async fn a_session_that_is_not_renewed_in_time_is_told_and_ended() {
    let founded = Founded::new().await;
    let set = json!({ "key_lifetime": 30 });
    founded.admin("site", "config", set).await;
    let proxy = Proxy::before(&founded).await;
    let connector = Connector::new(&proxy.uri).resumes_for(Duration::ZERO);
    let client = founded.service_by(&connector).await.unwrap();
    proxy.mute();
    let mut events = client.events();
    let told = events.next().await.unwrap();
    assert_eq!(
        (told.group.as_str(), told.event.as_str()),
        ("session", "expiring")
    );
    assert_eq!(events.next().await, None);
    let expired = json!({ "reason": "expired" });
    loop {
        let audit = founded
            .admin("audit", "list", json!({ "limit": 1000 }))
            .await;
        let entries = audit["entries"].as_array().unwrap();
        if entries.iter().any(|entry| entry["details"] == expired) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// [SES-51]: whoever keeps alive stays, at a limit of half a second.
#[tokio::test]
async fn a_silent_connection_is_ended_and_a_client_that_keeps_alive_stays() {
    let founded = Founded::with(Limits {
        idle_time: Duration::from_millis(500),
        ..Limits::default()
    })
    .await;
    let client = founded.service().await;
    assert_eq!(client.welcome().idle_limit, 500);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let _: Value = client.call("self", "show", &json!({})).await.unwrap();

    // One that says nothing any more is ended, though its connection is whole.
    let proxy = Proxy::before(&founded).await;
    let connector = Connector::new(&proxy.uri).resumes_for(Duration::ZERO);
    let silent = founded.service_by(&connector).await.unwrap();
    proxy.mute();
    let mut events = silent.events();
    let ended = tokio::time::timeout(Duration::from_secs(5), events.next()).await;
    assert_eq!(ended.unwrap(), None, "the session's end ends its events");
    let call = silent.call::<_, Value>("self", "show", &json!({})).await;
    assert!(matches!(
        call,
        Err(CallError::Ended(Goodbye::Idle) | CallError::Lost)
    ));
}

/// At the limit and one over.
#[tokio::test]
async fn keys_are_renewed_so_often_in_a_minute_and_no_oftener() {
    let founded = Founded::with(Limits {
        rekeys_per_minute: 2,
        ..Limits::default()
    })
    .await;
    let client = founded.service().await;
    for renewed in [true, true, false] {
        assert_eq!(client.renew_keys(None).await.unwrap(), renewed);
    }
    let _: Value = client.call("self", "show", &json!({})).await.unwrap();
}

/// [SES-46] and [SES-47]: a client whose option was disabled goes over to one that is on offer, and stays.
#[tokio::test]
async fn a_session_outlives_its_option() {
    let founded = Founded::new().await;
    let set = json!({ "key_lifetime": 30 });
    founded.admin("site", "config", set).await;
    let client = founded.service().await;
    let before = shown(&founded).await;
    let option = json!({ "name": before["option"] });
    founded.admin("option", "disable", option).await;
    tokio::time::sleep(Duration::from_secs(21)).await;
    let after = shown(&founded).await;
    assert!(after["expires"].as_str() > before["expires"].as_str());
    assert_ne!(after["option"], before["option"]);
    let _: Value = client.call("self", "show", &json!({})).await.unwrap();
}
