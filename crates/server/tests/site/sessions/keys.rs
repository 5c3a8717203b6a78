//! Key renewal and idle timeouts over sockets.

use std::time::Duration;

use countersign_client::{CallError, Connector};
use countersign_proto::session::{EncryptionOption, Goodbye, OptionList};
use countersign_server::limits::Limits;
use countersign_testkit::harness::{ServedSite, time};
use serde_json::{Value, json};

use crate::operations::{site, wait_begins};
use crate::proxy::Proxy;

async fn shown(served: &ServedSite) -> Value {
    let sessions = served.admin("session.list", json!({})).await;
    sessions["entries"][0].clone()
}

/// Waits until a session with a key lifetime of 30 s has new keys. Returns the session.
async fn renewed_in_time(served: &ServedSite, before: &Value) -> Value {
    time::pass(Duration::from_secs(21)).await;
    let mut after = before.clone();
    time::until(async || {
        after = shown(served).await;
        after["expires"].as_str() > before["expires"].as_str()
    })
    .await;
    after
}

/// [SES-44] and [SES-46]
#[tokio::test]
async fn new_keys_renew_the_session_while_operations_run() {
    let served = site().serve().await;
    let client = served.robot().await;
    let before = shown(&served).await;
    time::pass(Duration::from_millis(5)).await;
    let wait = json!({ "milliseconds": 1_000 });
    let waiting = client.call::<_, Value>("test", "wait", &wait);
    let renewing = async {
        for _ in 0..10 {
            assert!(client.renew_keys(None).await.unwrap());
        }
        wait_begins(&served).await;
        time::pass(Duration::from_secs(1)).await;
    };
    let (waited, ()) = tokio::join!(waiting, renewing);
    waited.unwrap();
    let after = shown(&served).await;
    assert!(after["expires"].as_str() > before["expires"].as_str());
    assert_eq!(after["ends"], before["ends"]);
}

/// [SES-47]: the admin's list decides, also inside a session; the change is in the audit log.
#[tokio::test]
async fn a_session_changes_its_option_when_it_renews_keys() {
    let served = site().serve().await;
    let client = served.robot().await;
    assert_eq!(client.options().await.unwrap(), OptionList::default());
    let better = EncryptionOption::HybridChaCha20Poly1305;
    assert!(client.renew_keys(Some(better)).await.unwrap());
    assert_eq!(shown(&served).await["option"], better.name());
    let weaker = EncryptionOption::X25519Aes128Gcm;
    assert!(!client.renew_keys(Some(weaker)).await.unwrap());
    assert_eq!(shown(&served).await["option"], better.name());
    let _: Value = client.call("self", "show", &json!({})).await.unwrap();
    let audit = served.admin("audit.list", json!({ "limit": 1000 })).await;
    let entries = audit["entries"].as_array().unwrap();
    let switched = entries
        .iter()
        .filter(|entry| entry["operation"] == "session.switched");
    assert_eq!(switched.count(), 1);
}

/// [SES-46]: a client renews keys by itself when the site notifies it of the expiry.
#[tokio::test]
async fn a_client_renews_keys_by_itself_before_they_expire() {
    let served = site().serve().await;
    let set = json!({ "key_lifetime": 30 });
    served.admin("site.config", set).await;
    let client = served.robot().await;
    let before = shown(&served).await;
    renewed_in_time(&served, &before).await;
    let _: Value = client.call("self", "show", &json!({})).await.unwrap();
}

/// [SES-46] and [SES-29]: the client's key offer does not arrive.
#[tokio::test]
async fn a_session_that_is_not_renewed_in_time_is_notified_and_ended() {
    let served = site().serve().await;
    let set = json!({ "key_lifetime": 30 });
    served.admin("site.config", set).await;
    let proxy = Proxy::before(&served).await;
    let connector = Connector::new(&proxy.uri).resume_timeout(Duration::ZERO);
    let client = served.robot_by(&connector).await.unwrap();
    proxy.mute();
    let mut events = client.events();
    time::pass(Duration::from_secs(21)).await;
    let event_data = events.next().await.unwrap();
    assert_eq!(
        (event_data.group.as_str(), event_data.event.as_str()),
        ("session", "expiring")
    );
    time::pass(Duration::from_secs(10)).await;
    assert_eq!(events.next().await, None);
    let expired = json!({ "reason": "expired" });
    time::until(async || {
        let entries = served.audit().await;
        entries.iter().any(|entry| entry["details"] == expired)
    })
    .await;
}

/// [SES-51]: a client that sends NOP stays connected, with an idle timeout of half a minute.
#[tokio::test]
async fn a_silent_connection_is_ended_and_one_with_keep_alive_is_not() {
    let served = site()
        .limits(Limits {
            idle_timeout: Duration::from_secs(30),
            ..Limits::default()
        })
        .serve()
        .await;
    let client = served.robot().await;
    assert_eq!(client.welcome().idle_limit, 30_000);
    for _ in 0..10 {
        time::pass(Duration::from_secs(10)).await;
        time::settle().await;
    }
    let _: Value = client.call("self", "show", &json!({})).await.unwrap();

    // A silent client is disconnected, although its connection works.
    let proxy = Proxy::before(&served).await;
    let connector = Connector::new(&proxy.uri).resume_timeout(Duration::ZERO);
    let silent = served.robot_by(&connector).await.unwrap();
    proxy.mute();
    let mut events = silent.events();
    time::pass(Duration::from_secs(30)).await;
    assert_eq!(
        events.next().await,
        None,
        "the event stream ends with the session"
    );
    let call = silent.call::<_, Value>("self", "show", &json!({})).await;
    assert!(matches!(
        call,
        Err(CallError::Ended(Goodbye::Idle) | CallError::Lost)
    ));
}

/// At the limit and one over.
#[tokio::test]
async fn the_number_of_key_renewals_in_a_minute_is_limited() {
    let served = site()
        .limits(Limits {
            rekeys_per_minute: 2,
            ..Limits::default()
        })
        .serve()
        .await;
    let client = served.robot().await;
    for renewed in [true, true, false] {
        assert_eq!(client.renew_keys(None).await.unwrap(), renewed);
    }
    let _: Value = client.call("self", "show", &json!({})).await.unwrap();
}

/// [SES-46] and [SES-47]: a client whose option was disabled changes to an enabled one and stays connected.
#[tokio::test]
async fn a_session_continues_after_its_option_was_disabled() {
    let served = site().serve().await;
    let set = json!({ "key_lifetime": 30 });
    served.admin("site.config", set).await;
    let client = served.robot().await;
    let before = shown(&served).await;
    let option = json!({ "name": before["option"] });
    served.admin("option.disable", option).await;
    let after = renewed_in_time(&served, &before).await;
    assert_ne!(after["option"], before["option"]);
    let _: Value = client.call("self", "show", &json!({})).await.unwrap();
}
