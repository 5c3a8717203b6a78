//! Lockdown over sockets: every listener refuses what the table refuses, and open sessions and
//! connections of devices end.

use std::sync::Arc;

use countersign_client::device::{DeviceConnector, DeviceError};
use countersign_client::{CallError, ConnectError};
use countersign_core::lockdown::LockdownLevel;
use countersign_proto::session::{Goodbye, LoginError};
use countersign_testkit::harness::{PASSPHRASE, ServedSite, time};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::devices::{Devices, identity, is_closed};
use crate::http::request;
use crate::operations::site;
use crate::proxy::Proxy;

/// The number of sessions and of connections of devices that a lockdown ends at once.
const MANY: usize = 24;

async fn lock_down(served: &ServedSite, level: LockdownLevel) {
    served
        .admin("lockdown.site", json!({ "level": level }))
        .await;
}

async fn lift(served: &ServedSite) {
    served.admin("lockdown.lift", json!({ "site": true })).await;
}

fn is_lockdown<T>(refused: &Result<T, ConnectError>) -> bool {
    matches!(refused, Err(ConnectError::Login(LoginError::Lockdown)))
}

/// Whether the site ended the session because of a lockdown.
async fn ended(client: &countersign_client::Client) -> bool {
    let called = client.call::<_, Value>("self", "show", &json!({})).await;
    matches!(called, Err(CallError::Ended(Goodbye::Lockdown)))
}

// SES-85
#[tokio::test]
async fn a_lockdown_of_logins_refuses_logins_before_a_secret_is_sent_and_keeps_sessions() {
    let served = site().maria().serve().await;
    let maria = served.maria().await;
    lock_down(&served, LockdownLevel::Logins).await;
    assert!(is_lockdown(&served.log_in("maria", PASSPHRASE).await));
    // The answer is the same for a name without an account and for a wrong pass phrase.
    assert!(is_lockdown(&served.log_in("unknown", PASSPHRASE).await));
    assert!(is_lockdown(
        &served.log_in("maria", "a wrong pass phrase").await
    ));
    assert!(is_lockdown(&served.try_robot().await));
    let shown: Value = maria.call("self", "show", &json!({})).await.unwrap();
    assert_eq!(shown["name"], "maria@example.org");
    lift(&served).await;
    assert!(served.log_in("maria", PASSPHRASE).await.is_ok());
    served.stop().await;
}

#[tokio::test]
async fn a_suspended_session_is_resumed_at_the_level_of_logins_and_not_at_the_highest() {
    let served = site().maria().serve().await;
    let proxy = Proxy::before(&served).await;
    let who = || {
        countersign_client::LoginAs::person("maria".parse().unwrap(), PASSPHRASE.to_owned().into())
    };
    let connector = countersign_client::Connector::new(&proxy.uri);
    let client = connector.connect(who()).await.unwrap();
    let suspend = async || {
        proxy.cut();
        time::until(async || served.site.sessions().suspended() == 1).await;
    };
    suspend().await;
    lock_down(&served, LockdownLevel::Logins).await;
    proxy.mend();
    // An operation may be lost with the connection; the session is not.
    time::until(async || {
        client
            .call::<_, Value>("self", "show", &json!({}))
            .await
            .is_ok()
    })
    .await;
    suspend().await;
    lock_down(&served, LockdownLevel::All).await;
    time::until(async || served.site.sessions().count() == 0).await;
    lift(&served).await;
    proxy.mend();
    // Lifting the lockdown does not bring the session back.
    time::until(async || {
        client
            .call::<_, Value>("self", "show", &json!({}))
            .await
            .is_err()
    })
    .await;
    assert_eq!(served.site.sessions().count(), 0);
    served.stop().await;
}

#[tokio::test]
async fn the_highest_level_ends_every_session_and_connection_of_a_device() {
    let devices = Devices::new().await;
    let served = &devices.served;
    let (ticket, spare, phone) = (devices.ticket().await, devices.ticket().await, identity());
    let reply = devices.enrol(ticket.token(), &phone).await.unwrap();
    let mut connections = Vec::new();
    let mut sessions = Vec::new();
    for _ in 0..MANY {
        sessions.push(served.robot().await);
    }
    for _ in 0..MANY / 2 {
        connections.push(devices.open(&phone).await);
    }
    assert_eq!(served.site.sessions().count(), MANY + MANY / 2);
    lock_down(served, LockdownLevel::All).await;
    for session in &sessions {
        assert!(ended(session).await);
    }
    for connection in &mut connections {
        assert!(is_closed(connection).await);
    }
    time::until(async || served.site.sessions().count() == 0).await;

    // New connections of devices and enrolments are refused before the handshake.
    let site = served.site.public_key().signing;
    let phone = Arc::clone(&phone);
    let connector = DeviceConnector::new(reply.host(), reply.port(), site, phone);
    let again = connector.connect("ada@example.org".parse().unwrap()).await;
    assert!(again.is_err());
    let mut plain = TcpStream::connect(devices.server.device_address().unwrap())
        .await
        .unwrap();
    let _ = plain.write_all(b"\x16\x03\x01").await;
    assert!(plain.read_u8().await.is_err());
    // The admin socket lifts it, and the ticket was not spent.
    lift(served).await;
    assert!(devices.enrol(spare.token(), &identity()).await.is_some());
    let again = connector.connect("ada@example.org".parse().unwrap()).await;
    assert!(!matches!(again, Err(DeviceError::Refused { .. })));
}

#[tokio::test]
async fn a_lockdown_of_enrolment_refuses_tickets_without_spending_them() {
    let devices = Devices::new().await;
    let (ticket, phone) = (devices.ticket().await, identity());
    lock_down(&devices.served, LockdownLevel::Enrolment).await;
    assert!(devices.enrol(ticket.token(), &phone).await.is_none());
    lift(&devices.served).await;
    assert!(devices.enrol(ticket.token(), &phone).await.is_some());
}

// SES-85
#[tokio::test]
async fn a_person_in_lockdown_is_refused_like_a_locked_one_and_others_are_served() {
    let served = site().maria().serve().await;
    let (maria, robot) = (served.maria().await, served.robot().await);
    served
        .admin("lockdown.person", json!({ "name": "maria" }))
        .await;
    assert!(ended(&maria).await);
    let refused = served.log_in("maria", PASSPHRASE).await;
    assert!(matches!(
        refused,
        Err(ConnectError::Login(LoginError::NotAuthenticated))
    ));
    assert!(
        robot
            .call::<_, Value>("self", "show", &json!({}))
            .await
            .is_ok()
    );
    served.stop().await;
}

#[tokio::test]
async fn a_lockdown_refuses_ticket_requests_and_the_highest_level_all_of_http() {
    let served = site().serve().await;
    let ask = async |method: &str, target: &str| request(&served, method, target, b"{}").await;
    let statement = "/.well-known/countersign";
    lock_down(&served, LockdownLevel::Logins).await;
    for (method, target) in [
        ("POST", "/authenticate"),
        ("GET", "/authenticate?authRequest=%7B%7D"),
    ] {
        let answer = ask(method, target).await;
        assert_eq!(answer.status, 503, "{method}");
        assert!(answer.body.contains("lockdown"), "{}", answer.body);
    }
    assert_eq!(ask("GET", statement).await.status, 200);
    lock_down(&served, LockdownLevel::All).await;
    let answer = ask("GET", statement).await;
    assert!(
        answer.status == 503 && answer.body.contains("lockdown"),
        "{}",
        answer.body
    );
    lift(&served).await;
    assert_eq!(ask("GET", statement).await.status, 200);
    assert_ne!(ask("POST", "/authenticate").await.status, 503);
    served.stop().await;
}

/// The documents of the API and `OPTIONS` are the same at every site. Everything that acts is refused.
#[tokio::test]
async fn at_the_highest_level_every_path_of_http_is_refused_but_documents_and_options() {
    let served = site().serve().await;
    let ask = async |method: &str, target: &str| request(&served, method, target, b"").await;
    lock_down(&served, LockdownLevel::All).await;
    let document = ask("GET", "/api/v1/openapi.json").await;
    assert_eq!(document.status, 200);
    let document: Value = serde_json::from_str(&document.body).unwrap();
    let mut refused = vec![
        (
            "GET".to_owned(),
            "/authenticate?authRequest=%7B%7D".to_owned(),
        ),
        ("POST".to_owned(), "/authenticate".to_owned()),
        (
            "GET".to_owned(),
            "/clock?nonce=AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        ),
        ("GET".to_owned(), "/.well-known/countersign".to_owned()),
    ];
    for (path, operations) in document["paths"].as_object().unwrap() {
        let operations = operations.as_object().unwrap().keys();
        let methods = operations.filter(|name| *name != "parameters");
        // The names of parameters are as good as other values.
        let target = format!("/api/v1{}", path.replace(['{', '}'], ""));
        refused.extend(methods.map(|method| (method.to_ascii_uppercase(), target.clone())));
    }
    assert!(refused.len() > 90, "{}", refused.len());
    for (method, target) in refused {
        let answer = ask(&method, &target).await;
        assert_eq!(answer.status, 503, "{method} {target}: {}", answer.body);
        assert!(answer.body.contains("lockdown"), "{}", answer.body);
        assert_eq!(ask("OPTIONS", &target).await.status, 204, "{target}");
    }
    // The login over the WebSocket is refused; a request without the fields of one is answered as ever.
    assert_eq!(ask("GET", "/session").await.status, 426);
    served.stop().await;
}

#[tokio::test]
async fn a_lockdown_is_in_force_after_a_restart_of_the_server() {
    let served = site().maria().serve().await;
    lock_down(&served, LockdownLevel::Logins).await;
    let served = served.restart().await;
    served.unseal().await;
    assert!(is_lockdown(&served.log_in("maria", PASSPHRASE).await));
    lift(&served).await;
    assert!(served.log_in("maria", PASSPHRASE).await.is_ok());
    served.stop().await;
}

/// The session of the admin who imposes the highest level ends too.
#[tokio::test]
async fn an_admin_imposes_the_highest_level_over_a_session_and_cannot_lift_it() {
    let served = site().person("root", "admin").serve().await;
    let root = served.log_in("root", PASSPHRASE).await.unwrap();
    let imposed = json!({ "level": "logins" });
    root.call::<_, Value>("lockdown", "site", &imposed)
        .await
        .unwrap();
    let lift_it = json!({ "site": true });
    let refused = root.call::<_, Value>("lockdown", "lift", &lift_it).await;
    assert!(
        matches!(refused, Err(CallError::Failed { .. })),
        "{refused:?}"
    );
    let _ = root
        .call::<_, Value>("lockdown", "site", &json!({ "level": "all" }))
        .await;
    assert!(ended(&root).await);
    lift(&served).await;
    served.stop().await;
}
