//! Resuming sessions over sockets.

use std::sync::Arc;
use std::time::Duration;

use countersign_client::{CallError, Connector};
use countersign_core::sessions::Audience;
use countersign_proto::operation::Event;
use countersign_proto::session::client::FromSite;
use countersign_proto::session::{Goodbye, LoginError};
use countersign_server::limits::Limits;
use countersign_testkit::harness::{PASSPHRASE, ServedSite, time};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::operations::{site, wait_begins};
use crate::proxy::Proxy;
use crate::sessions::raw::Raw;

async fn operations(served: &ServedSite) -> Vec<String> {
    let audit = served.admin("audit.list", json!({ "limit": 1000 })).await;
    let entries = audit["entries"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| entry["operation"].as_str().unwrap().to_owned())
        .filter(|operation| operation.starts_with("session."))
        .collect()
}

/// Waits until a number of sessions are suspended.
async fn suspended(served: &ServedSite, count: usize) {
    time::until(async || served.site.sessions().suspended() == count).await;
}

/// [SES-48]: a person whose connection was lost continues the same session without a pass phrase.
#[tokio::test]
async fn a_client_resumes_its_session_after_its_connection_was_lost() {
    let served = site().maria().serve().await;
    let proxy = Proxy::before(&served).await;
    let who =
        countersign_client::LoginAs::person("maria".parse().unwrap(), PASSPHRASE.to_owned().into());
    let client = Connector::new(&proxy.uri).connect(who).await.unwrap();
    let mut events = client.events();
    let before: Value = client.call("self", "show", &json!({})).await.unwrap();

    let wait = json!({ "milliseconds": 60_000 });
    let waiting = client.call::<_, Value>("test", "wait", &wait);
    let cutting = async {
        wait_begins(&served).await;
        proxy.cut();
        // While no connection is possible, the session is suspended.
        suspended(&served, 1).await;
        let list = served.admin("session.list", json!({})).await;
        assert_eq!(list["entries"][0]["connected"], false);
        proxy.mend();
    };
    let (lost, ()) = tokio::join!(waiting, cutting);
    assert!(
        matches!(lost, Err(CallError::Lost)),
        "the outcome of the operation is unknown"
    );

    let after: Value = client.call("self", "show", &json!({})).await.unwrap();
    assert_eq!(before["session"], after["session"]);
    assert_eq!(
        operations(&served).await,
        ["session.opened", "session.resumed"]
    );
    let event = Arc::new(Event {
        group: "test".to_owned(),
        event: "told".to_owned(),
        data: RawValue::NULL.to_owned(),
    });
    assert_eq!(served.site.events().publish(&Audience::All, &event), 1);
    assert_eq!(events.next().await, Some(Event::clone(&event)));
    client.close().await.unwrap();
}

/// [SES-48]: repeatedly, while operations run.
#[tokio::test]
async fn a_client_resumes_as_often_as_its_connection_is_lost() {
    let served = site().serve().await;
    let proxy = Proxy::before(&served).await;
    let client = served.robot_by(&Connector::new(&proxy.uri)).await.unwrap();
    for _ in 0..10 {
        proxy.cut();
        suspended(&served, 1).await;
        proxy.mend();
        // The first call may be the one that detects the lost connection.
        let _ = client.call::<_, Value>("self", "show", &json!({})).await;
        let _: Value = client.call("self", "show", &json!({})).await.unwrap();
    }
    assert_eq!(served.site.sessions().count(), 1);
}

/// [SES-50]: the client resumes before the site has detected that the old connection is lost.
#[tokio::test]
async fn the_older_connection_ends_when_its_client_resumes() {
    let served = site().serve().await;
    let proxy = Proxy::before(&served).await;
    let client = served.robot_by(&Connector::new(&proxy.uri)).await.unwrap();
    // The client's side is closed; for the site the connection seems intact.
    proxy.cut_clients();
    let _ = client.call::<_, Value>("self", "show", &json!({})).await;
    let _: Value = client.call("self", "show", &json!({})).await.unwrap();
    assert_eq!(
        operations(&served).await,
        ["session.opened", "session.resumed"]
    );
    let list = served.admin("session.list", json!({})).await;
    assert_eq!(list["entries"].as_array().unwrap().len(), 1);
    assert_eq!(list["entries"][0]["connected"], true);
}

/// [SES-49]: a client cannot resume if its session was ended or its account locked meanwhile.
#[tokio::test]
async fn a_session_that_was_ended_while_suspended_cannot_be_resumed() {
    for locked in [false, true] {
        let served = site().serve().await;
        let proxy = Proxy::before(&served).await;
        let client = served.robot_by(&Connector::new(&proxy.uri)).await.unwrap();
        proxy.cut();
        suspended(&served, 1).await;
        if locked {
            served
                .admin("service.lock", json!({ "name": "robot" }))
                .await;
        } else {
            let list = served.admin("session.list", json!({})).await;
            let id = list["entries"][0]["id"].clone();
            served.admin("session.cut", json!({ "id": id })).await;
        }
        proxy.mend();
        let params = json!({});
        let call = client.call::<_, Value>("self", "show", &params);
        assert!(
            matches!(call.await, Err(CallError::Lost)),
            "locked: {locked}"
        );
        // If the server has not detected the lost connection yet, the connection closes the session.
        time::until(async || operations(&served).await.last().unwrap() == "session.closed").await;
        assert_eq!(served.site.sessions().count(), 0);
    }
}

/// Suspended sessions are closed when they expire, and when there are too many.
#[tokio::test]
async fn suspended_sessions_expire_and_are_limited() {
    let served = site()
        .limits(Limits {
            suspended_sessions: 1,
            ..Limits::default()
        })
        .serve()
        .await;
    served
        .admin("site.config", json!({ "key_lifetime": 30 }))
        .await;
    let proxy = Proxy::before(&served).await;
    let connector = Connector::new(&proxy.uri).resume_timeout(Duration::ZERO);
    let _first = served.robot_by(&connector).await.unwrap();
    let _second = served.robot_by(&connector).await.unwrap();
    proxy.cut();
    time::until(async || {
        let sessions = served.site.sessions();
        (sessions.count(), sessions.suspended()) == (1, 1)
    })
    .await;
    time::pass(Duration::from_secs(36)).await;
    time::until(async || served.site.sessions().count() == 0).await;
}

/// A shutdown closes suspended sessions, so that the audit log has the end of each session.
#[tokio::test]
async fn a_shutdown_closes_suspended_sessions() {
    let served = site().serve().await;
    let proxy = Proxy::before(&served).await;
    let connector = Connector::new(&proxy.uri).resume_timeout(Duration::ZERO);
    let _client = served.robot_by(&connector).await.unwrap();
    proxy.cut();
    suspended(&served, 1).await;
    let stopped = served.stop().await;
    assert_eq!(stopped.site.sessions().count(), 0);
}

/// [SES-49]: the site closed a session only after its client had closed the connection, so that a client
/// could resume the session that it had ended.
#[tokio::test]
async fn a_session_is_closed_before_its_client_receives_goodbye() {
    let served = site().serve().await;
    let mut first = Raw::service(&served).await;
    let mut resumption = first.logged_in.resumption.clone();
    first.logged_in.session.send_goodbye(Goodbye::Done).unwrap();
    first.flush().await;
    assert_eq!(first.read().await, [FromSite::Goodbye(Goodbye::Done)]);
    resumption.count_attempt();
    let refused = Raw::resume(&served, resumption).await;
    assert_eq!(refused.err(), Some(LoginError::NotAuthenticated));
    assert_eq!(
        operations(&served).await,
        ["session.opened", "session.closed"]
    );
}

/// [SES-50]: an attacker who delays a flight and sends it later does not have the keys, so it has no effect.
#[tokio::test]
async fn a_resumption_takes_effect_after_the_client_proved_its_keys() {
    let served = site().serve().await;
    let mut first = Raw::service(&served).await;
    let mut resumption = first.logged_in.resumption.clone();
    resumption.count_attempt();
    let mut held_back = Raw::resume(&served, resumption.clone()).await.unwrap();
    time::settle().await;
    assert_eq!(operations(&served).await, ["session.opened"]);
    first.ask(1, "self", "show", &json!({}));
    first.flush().await;
    first.results(1).await;

    // The client's own later attempt is accepted, and the earlier one is then invalid.
    resumption.count_attempt();
    let mut again = Raw::resume(&served, resumption).await.unwrap();
    again.flush().await;
    let replaced = first.read().await;
    assert_eq!(replaced, [FromSite::Goodbye(Goodbye::Replaced)]);
    held_back.flush().await;
    let refused = held_back.read().await;
    assert_eq!(refused, [FromSite::Goodbye(Goodbye::Cut)]);
    again.ask(1, "self", "show", &json!({}));
    again.flush().await;
    again.results(1).await;
    assert_eq!(
        operations(&served).await,
        ["session.opened", "session.resumed"]
    );
    let event = Arc::new(Event {
        group: "test".to_owned(),
        event: "told".to_owned(),
        data: RawValue::NULL.to_owned(),
    });
    let receivers = served.site.events().publish(&Audience::All, &event);
    assert_eq!(receivers, 1);
    assert_eq!(again.read().await, [FromSite::Event(Event::clone(&event))]);
}

/// After a restart all clients of an office try to resume sessions that no longer exist; the office must not be
/// rejected for that.
#[tokio::test]
async fn a_failed_resumption_gives_few_penalty_points() {
    let served = site().serve().await;
    let mut first = Raw::service(&served).await;
    let mut resumption = first.logged_in.resumption.clone();
    first.logged_in.session.send_goodbye(Goodbye::Done).unwrap();
    first.flush().await;
    time::until(async || served.site.sessions().count() == 0).await;
    for _ in 0..40 {
        resumption.count_attempt();
        let refused = Raw::resume(&served, resumption.clone()).await;
        assert_eq!(refused.err(), Some(LoginError::NotAuthenticated));
    }
    let penalties = served.admin("penalty.list", json!({})).await;
    assert!(
        penalties["entries"][0]["points"].as_u64() <= Some(40),
        "{penalties}"
    );
    served.robot().await;
}
