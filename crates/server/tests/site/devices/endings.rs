//! What ends a device connection, and how long a refusal takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_core::sessions::CloseReason;
use countersign_crypto::device_key::DeviceIdentity;
use countersign_net::lines::Lines;
use countersign_net::tls::Connector;
use countersign_proto::device::Hello;
use countersign_proto::enrolment::{EnrolmentRequest, Token};
use countersign_server::Server;
use countersign_server::limits::Limits;
use countersign_testkit::harness::{ServedSite, TestSite, time};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::devices::{ADA, Devices, SOON, Stream, identity, is_closed, next, to_the_end};

/// A device that enrolled and is connected.
async fn connected(devices: &Devices) -> (Arc<DeviceIdentity>, Lines<Stream>) {
    let (ticket, phone) = (devices.ticket().await, identity());
    devices.enrol(ticket.token(), &phone).await.unwrap();
    let lines = devices.open(&phone).await;
    (phone, lines)
}

/// Why the last session was closed, from the audit log.
async fn close_reason(served: &ServedSite) -> Value {
    time::until(async || {
        let audited = served.audited().await;
        audited.iter().any(|entry| entry.contains("session.closed"))
    })
    .await;
    let audit = served.audit().await;
    let closed = audit
        .iter()
        .rfind(|entry| entry["operation"] == "session.closed")
        .unwrap();
    closed["details"]["reason"].clone()
}

// DEV-21
#[tokio::test]
async fn a_device_that_sends_nothing_for_the_idle_time_is_disconnected() {
    let devices = Devices::with_limits(Limits {
        idle_timeout: Duration::from_secs(60),
        ..Limits::default()
    })
    .await;
    let (_phone, mut lines) = connected(&devices).await;
    let list = |id: u64| json!({ "id": id, "group": "device", "command": "list", "params": {} });
    for id in 0..3 {
        // Each operation begins the idle time again.
        time::pass(Duration::from_secs(45)).await;
        lines
            .send(format!("{}\n", list(id)).as_bytes())
            .await
            .unwrap();
        assert_eq!(next(&mut lines).await["id"], id);
    }
    time::pass(Duration::from_secs(61)).await;
    assert!(is_closed(&mut lines).await);
    let reason = close_reason(&devices.served).await;
    assert_eq!(reason, CloseReason::Idle.as_str());
}

/// The lifetime of sessions holds for devices too, also for one that is never idle.
#[tokio::test]
async fn a_device_connection_ends_with_the_lifetime_of_sessions() {
    let devices = Devices::with_limits(Limits {
        idle_timeout: Duration::ZERO,
        ..Limits::default()
    })
    .await;
    let lifetime = json!({ "session_lifetime": 60 });
    devices.served.admin("site.config", lifetime).await;
    let (phone, mut lines) = connected(&devices).await;
    time::pass(Duration::from_secs(61)).await;
    assert!(is_closed(&mut lines).await);
    let reason = close_reason(&devices.served).await;
    assert_eq!(reason, CloseReason::Expired.as_str());
    // The device has no secret that ended with the session.
    let _again = devices.open(&phone).await;
}

/// A sealed site has no key with which it could prove itself.
#[tokio::test]
async fn a_sealed_site_ends_the_handshake_and_an_unsealed_one_serves_again() {
    let served = TestSite::builder().file().serve().await;
    served
        .admin("person.create", json!({ "name": "ada" }))
        .await;
    let served = served.restart().await;
    assert!(served.site.is_sealed());
    let server = device_server(&served).await;
    let devices = Devices { served, server };
    let site = devices.served.site.public_key().signing;
    let connector = Connector::new(site, None).unwrap();
    let address = devices.server.device_address().unwrap();
    let socket = TcpStream::connect(address).await.unwrap();
    let refused = timeout(SOON, connector.connect(socket)).await.unwrap();
    assert!(refused.is_err());
    devices.served.unseal().await;
    let (_phone, mut lines) = connected(&devices).await;
    let status = json!({ "id": 1, "group": "site", "command": "status", "params": {} });
    lines.send(format!("{status}\n").as_bytes()).await.unwrap();
    assert_eq!(next(&mut lines).await["data"]["sealed"], false);
}

async fn device_server(served: &ServedSite) -> Server {
    let server = Server::builder(served.site.clone());
    let server = server.device(Some("127.0.0.1:0".parse().unwrap()));
    server.start().await.unwrap()
}

/// The device had connected and not sent its request, or had not received the reply.
// DEV-15
#[tokio::test]
async fn an_enrolment_survives_a_restart_of_the_site_in_its_middle() {
    let devices = Devices::of(TestSite::builder().file(), Limits::default()).await;
    let (ticket, phone) = (devices.ticket().await, identity());
    let half = devices.connect(None).await;
    let Devices { served, server } = devices;
    server.stop().await;
    assert!(to_the_end(half).await.is_empty());
    let served = served.restart().await;
    served.unseal().await;
    let server = device_server(&served).await;
    let devices = Devices { served, server };
    let reply = devices.enrol(ticket.token(), &phone).await.unwrap();

    let Devices { served, server } = devices;
    server.stop().await;
    let served = served.restart().await;
    served.unseal().await;
    let server = device_server(&served).await;
    let devices = Devices { served, server };
    let again = devices.enrol(ticket.token(), &phone).await.unwrap();
    assert_eq!(again.device(), reply.device());
    assert!(devices.enrol(ticket.token(), &identity()).await.is_none());
}

/// The time does not tell which key, id or token exists. Only the lower bound can be tested: a slow
/// machine adds any time.
// DEV-18
#[tokio::test]
async fn no_refusal_is_faster_than_the_configured_time() {
    let refusal_time = Duration::from_millis(200);
    let devices = Devices::with_limits(Limits {
        refusal_time,
        ..Limits::default()
    })
    .await;
    let (ticket, phone) = (devices.ticket().await, identity());
    devices.enrol(ticket.token(), &phone).await.unwrap();
    let hello = |id: &str| {
        Hello {
            id: id.parse().unwrap(),
        }
        .to_line()
        .into_bytes()
    };
    let locked = identity();
    devices
        .served
        .admin("person.create", json!({ "name": "bob" }))
        .await;
    for (what, key, line) in [
        ("an unknown key", Some(&locked), hello(ADA)),
        ("another id", Some(&phone), hello("bob@example.org")),
        (
            "an id without an account",
            Some(&phone),
            hello("eve@example.org"),
        ),
        ("a line that is no hello", Some(&phone), b"{}\n".to_vec()),
        ("a line that is no request", None, b"{}\n".to_vec()),
    ] {
        let mut stream = devices.connect(key).await;
        let began = monotonic();
        stream.write_all(&line).await.unwrap();
        assert!(to_the_end(stream).await.is_empty(), "{what}");
        assert!(began.elapsed() >= refusal_time, "{what}");
    }
    let fresh = devices.ticket().await;
    for (what, token, id) in [
        ("an unknown token", Token::from_bytes([7; 16]), ADA),
        ("a token of another key", ticket.token().clone(), ADA),
        ("a wrong id", fresh.token().clone(), "bob@example.org"),
        ("a revoked ticket", fresh.token().clone(), ADA),
    ] {
        let mut stream = devices.connect(None).await;
        let exporter = stream.enrolment_exporter().unwrap();
        let (id, name) = (id.parse().unwrap(), "phone".parse().unwrap());
        let request = EnrolmentRequest::new(token, id, name, &identity(), &exporter);
        let began = monotonic();
        stream.write_all(request.to_line().expose()).await.unwrap();
        assert!(to_the_end(stream).await.is_empty(), "{what}");
        assert!(began.elapsed() >= refusal_time, "{what}");
    }
    devices
        .served
        .admin("person.lock", json!({ "name": "ada" }))
        .await;
    let mut stream = devices.connect(Some(&phone)).await;
    let began = monotonic();
    stream.write_all(&hello(ADA)).await.unwrap();
    assert!(to_the_end(stream).await.is_empty(), "a locked person");
    assert!(began.elapsed() >= refusal_time, "a locked person");
}

#[allow(
    clippy::disallowed_methods,
    reason = "the lower bound of a refusal is one of real time"
)]
fn monotonic() -> Instant {
    Instant::now()
}
