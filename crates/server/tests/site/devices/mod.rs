//! The device port: enrolment and device connections over sockets.

mod client;
mod endings;
mod web_socket;

use std::sync::Arc;
use std::time::Duration;

use countersign_core::access::Role;
use countersign_core::sessions::Audience;
use countersign_crypto::device_key::DeviceIdentity;
use countersign_crypto::entropy::SystemEntropy;
use countersign_net::lines::Lines;
use countersign_net::tls::{Connector, TlsStream};
use countersign_proto::device::{DeviceWelcome, Hello};
use countersign_proto::enrolment::{EnrolmentReply, EnrolmentRequest, EnrolmentTicket, Token};
use countersign_proto::operation::Event;
use countersign_server::Server;
use countersign_server::limits::Limits;
use countersign_testkit::harness::{Builder, ServedSite, TestSite};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(crate) const ADA: &str = "ada@example.org";
/// A timeout that no test reaches unless it fails.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) type Stream = TlsStream<TcpStream>;

/// A site with a device listener, and the person `ada`.
pub(crate) struct Devices {
    pub(crate) served: ServedSite,
    pub(crate) server: Server,
}

impl Devices {
    pub(crate) async fn new() -> Self {
        Self::with_limits(Limits::default()).await
    }

    pub(crate) async fn with_limits(limits: Limits) -> Self {
        Self::of(TestSite::builder(), limits).await
    }

    pub(crate) async fn of(site: Builder, limits: Limits) -> Self {
        let served = site.serve().await;
        served
            .admin("person.create", json!({ "name": "ada" }))
            .await;
        let server = Server::builder(served.site.clone())
            .limits(limits)
            .device(Some("127.0.0.1:0".parse().unwrap()))
            .start()
            .await
            .unwrap();
        Self { served, server }
    }

    pub(crate) async fn ticket(&self) -> EnrolmentTicket {
        let issued = self
            .served
            .admin("ticket.issue", json!({ "person": "ada" }));
        issued.await["uri"].as_str().unwrap().parse().unwrap()
    }

    pub(crate) async fn connect(&self, identity: Option<&Arc<DeviceIdentity>>) -> Stream {
        let site = self.served.site.public_key().signing;
        let connector = Connector::new(site, identity.cloned()).unwrap();
        let address = self.server.device_address().unwrap();
        let socket = TcpStream::connect(address).await.unwrap();
        connector.connect(socket).await.unwrap()
    }

    /// Sends a request with this token. Returns the reply; `None` if the site closes without one.
    pub(crate) async fn enrol(
        &self,
        token: &Token,
        identity: &DeviceIdentity,
    ) -> Option<EnrolmentReply> {
        let mut stream = self.connect(None).await;
        let exporter = stream.enrolment_exporter().unwrap();
        let (id, name) = (ADA.parse().unwrap(), "phone".parse().unwrap());
        let request = EnrolmentRequest::new(token.clone(), id, name, identity, &exporter);
        stream.write_all(request.to_line().expose()).await.unwrap();
        let answer = to_the_end(stream).await;
        (!answer.is_empty()).then(|| EnrolmentReply::read(&answer).unwrap())
    }

    /// The connection of a device after the site's first line.
    pub(crate) async fn open(&self, identity: &Arc<DeviceIdentity>) -> Lines<Stream> {
        let mut lines = Lines::new(self.connect(Some(identity)).await, 1 << 20);
        let hello = Hello {
            id: ADA.parse().unwrap(),
        };
        lines.send(hello.to_line().as_bytes()).await.unwrap();
        let welcome = timeout(SOON, lines.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(DeviceWelcome::read(welcome).unwrap().line_bytes, 1 << 20);
        lines
    }
}

pub(crate) fn identity() -> Arc<DeviceIdentity> {
    Arc::new(DeviceIdentity::generate(&mut SystemEntropy))
}

/// What the site sends until it closes the connection, with or without the end of TLS.
pub(crate) async fn to_the_end(mut stream: Stream) -> Vec<u8> {
    let mut answer = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut answer))
        .await
        .unwrap();
    answer
}

pub(crate) async fn next(lines: &mut Lines<Stream>) -> Value {
    let line = timeout(SOON, lines.next()).await.unwrap().unwrap().unwrap();
    serde_json::from_slice(line).unwrap()
}

pub(crate) async fn is_closed(lines: &mut Lines<Stream>) -> bool {
    let end = timeout(SOON, lines.next()).await.unwrap();
    matches!(end, Ok(None) | Err(_))
}

// DEV-19, DEV-21
#[tokio::test]
async fn a_device_enrols_connects_calls_operations_and_is_cut_when_it_is_revoked() {
    let devices = Devices::new().await;
    let (ticket, phone) = (devices.ticket().await, identity());
    let reply = devices.enrol(ticket.token(), &phone).await.unwrap();
    let address = devices.server.device_address().unwrap();
    assert_eq!((reply.host(), reply.port()), ("127.0.0.1", address.port()));
    assert_eq!(reply.site_id(), devices.served.site.id());
    let mut lines = devices.open(&phone).await;
    let list = |id: u64| json!({ "id": id, "group": "device", "command": "list", "params": {} });
    let both = format!("{}\n{}\n", list(7), list(8));
    lines.send(both.as_bytes()).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let outcome = next(&mut lines).await;
        assert_eq!(outcome["code"], 0, "{outcome}");
        assert_eq!(outcome["data"]["entries"][0]["id"], reply.device());
        assert_eq!(outcome["data"]["entries"][0]["connected"], true);
        ids.push(outcome["id"].as_u64().unwrap());
    }
    ids.sort_unstable();
    assert_eq!(ids, [7, 8]);
    let revoke = json!({ "id": reply.device() });
    let revoked = devices.served.admin("device.revoke", revoke).await;
    assert_eq!(revoked["sessions"], 1);
    assert!(is_closed(&mut lines).await);
    devices.server.stop().await;
}

// DEV-15, DEV-17
#[tokio::test]
async fn the_same_key_gets_the_same_reply_and_other_keys_and_tokens_get_none() {
    let devices = Devices::new().await;
    let (ticket, phone) = (devices.ticket().await, identity());
    let first = devices.enrol(ticket.token(), &phone).await.unwrap();
    let again = devices.enrol(ticket.token(), &phone).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(devices.enrol(ticket.token(), &identity()).await, None);
    let unknown = Token::generate(&mut SystemEntropy);
    assert_eq!(devices.enrol(&unknown, &identity()).await, None);
}

// DEV-8, DEV-9
#[tokio::test]
async fn a_line_that_is_no_request_gets_no_reply() {
    let devices = Devices::new().await;
    for line in [b"{}\n".to_vec(), b"\n".to_vec(), vec![b' '; 9_000]] {
        let mut stream = devices.connect(None).await;
        stream.write_all(&line).await.unwrap();
        assert!(to_the_end(stream).await.is_empty());
    }
}

/// Lines that cannot be read were counted against the source, and the audit log did not tell of them.
// DEV-18
#[tokio::test]
async fn a_malformed_line_is_audited_with_its_source_once_a_minute() {
    let devices = Devices::new().await;
    let phone = identity();
    for (key, line) in [(None, "{}\n"), (None, "{}\n"), (Some(&phone), "hello\n")] {
        let mut stream = devices.connect(key).await;
        stream.write_all(line.as_bytes()).await.unwrap();
        assert!(to_the_end(stream).await.is_empty());
    }
    devices.served.site.write_all_counted().await.unwrap();
    let entries = devices.served.audit().await;
    let malformed: Vec<&Value> = entries
        .iter()
        .filter(|entry| entry["operation"] == "device.malformed")
        .collect();
    assert!(
        !malformed.is_empty() && malformed.len() < 3,
        "{malformed:?}"
    );
    for entry in malformed {
        assert_eq!(entry["actor"], "127.0.0.1", "{entry}");
        assert_eq!(entry["outcome"], "failed", "{entry}");
    }
}

// DEV-18, DEV-20
#[tokio::test]
async fn unknown_keys_and_other_ids_get_no_reply() {
    let devices = Devices::new().await;
    let (ticket, phone) = (devices.ticket().await, identity());
    devices.enrol(ticket.token(), &phone).await.unwrap();
    let hello = format!("{{\"id\":\"{ADA}\"}}\n");
    for (key, line) in [
        (&identity(), hello.as_str()),
        (&phone, "{\"id\":\"maria@example.org\"}\n"),
        (&phone, "{\"id\":1}\n"),
    ] {
        let mut stream = devices.connect(Some(key)).await;
        stream.write_all(line.as_bytes()).await.unwrap();
        assert!(to_the_end(stream).await.is_empty(), "{line}");
    }
}

#[tokio::test]
async fn the_third_line_that_is_no_operation_ends_the_connection() {
    let devices = Devices::new().await;
    let (ticket, phone) = (devices.ticket().await, identity());
    devices.enrol(ticket.token(), &phone).await.unwrap();
    let mut lines = devices.open(&phone).await;
    lines.send(b"{}\n[]\nx\n").await.unwrap();
    for _ in 0..3 {
        assert_ne!(next(&mut lines).await["code"], 0);
    }
    assert!(is_closed(&mut lines).await);
}

#[tokio::test]
async fn a_line_over_the_limit_ends_the_connection_after_a_result() {
    let devices = Devices::new().await;
    let (ticket, phone) = (devices.ticket().await, identity());
    devices.enrol(ticket.token(), &phone).await.unwrap();
    let mut lines = devices.open(&phone).await;
    // The site may close before it has read all of it.
    let _ = lines.send(&vec![b' '; (1 << 20) + 1]).await;
    assert_ne!(next(&mut lines).await["code"], 0);
    assert!(is_closed(&mut lines).await);
}

/// The operations of a device that left held every connection to the database while the site waited
/// to close the device's session, which needs one too: 30 seconds later both failed.
#[tokio::test]
async fn a_device_that_leaves_with_operations_in_flight_stalls_no_other_client() {
    let devices = Devices::of(TestSite::builder().file(), Limits::default()).await;
    let (ticket, phone) = (devices.ticket().await, identity());
    devices.enrol(ticket.token(), &phone).await.unwrap();
    for _ in 0..4 {
        let mut lines = devices.open(&phone).await;
        let mut burst = String::new();
        for id in 1..=200 {
            let list = json!({ "id": id, "group": "device", "command": "list", "params": {} });
            burst += &format!("{list}\n");
        }
        lines.send(burst.as_bytes()).await.unwrap();
        drop(lines);
    }
    let listed = devices.served.admin("device.list", json!({}));
    let listed = timeout(Duration::from_secs(20), listed).await.unwrap();
    assert_eq!(listed["entries"].as_array().unwrap().len(), 1);
    let closed = async {
        while devices.served.admin("session.list", json!({})).await["entries"] != json!([]) {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), closed).await.unwrap();
}

/// `printf … | openssl s_client` got no results.
#[tokio::test]
async fn a_device_that_sends_no_more_receives_its_results() {
    let devices = Devices::new().await;
    let (ticket, phone) = (devices.ticket().await, identity());
    devices.enrol(ticket.token(), &phone).await.unwrap();
    let mut stream = devices.connect(Some(&phone)).await;
    let hello = Hello {
        id: ADA.parse().unwrap(),
    };
    let list = json!({ "id": 7, "group": "device", "command": "list", "params": {} });
    let lines = format!("{}{list}\n", hello.to_line());
    stream.write_all(lines.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = String::from_utf8(to_the_end(stream).await).unwrap();
    let last: Value = serde_json::from_str(answer.lines().last().unwrap()).unwrap();
    assert_eq!((&last["id"], &last["code"]), (&json!(7), &json!(0)));
}

/// The device of an admin received what admins receive.
#[tokio::test]
async fn an_event_for_a_role_does_not_reach_devices() {
    let devices = Devices::new().await;
    let admin = json!({ "name": "ada", "role": "admin" });
    devices.served.admin("person.update", admin).await;
    let (ticket, phone) = (devices.ticket().await, identity());
    devices.enrol(ticket.token(), &phone).await.unwrap();
    let _lines = devices.open(&phone).await;
    let event = Arc::new(Event {
        group: "audit".to_owned(),
        event: "repeated".to_owned(),
        data: serde_json::value::RawValue::NULL.to_owned(),
    });
    let events = devices.served.site.events();
    let admins = Audience::Role(Role::Admin);
    assert_eq!(events.publish(&admins, &event), 0);
    assert_eq!(events.publish(&Audience::All, &event), 1);
}

// DEV-21
/// A site without an idle timeout closed each device connection at once.
#[tokio::test]
async fn a_site_without_an_idle_timeout_keeps_device_connections() {
    let devices = Devices::with_limits(Limits {
        idle_timeout: Duration::ZERO,
        ..Limits::default()
    })
    .await;
    let (ticket, phone) = (devices.ticket().await, identity());
    devices.enrol(ticket.token(), &phone).await.unwrap();
    let mut lines = devices.open(&phone).await;
    let list = json!({ "id": 7, "group": "device", "command": "list", "params": {} });
    lines.send(format!("{list}\n").as_bytes()).await.unwrap();
    assert_eq!(next(&mut lines).await["id"], 7);
}

/// A site whose devices enrol over a public address and connect in a private network.
#[tokio::test]
async fn tickets_and_replies_name_the_configured_addresses() {
    let served = TestSite::builder().serve().await;
    served
        .admin("person.create", json!({ "name": "ada" }))
        .await;
    let host = |name: &str| Some(name.to_owned());
    let server = Server::builder(served.site.clone())
        .device(Some("127.0.0.1:0".parse().unwrap()))
        .public_host(host("site.example.org"))
        .device_address(host("10.0.0.7"), Some(443))
        .start()
        .await
        .unwrap();
    let devices = Devices { served, server };
    let ticket = devices.ticket().await;
    let port = devices.server.device_address().unwrap().port();
    assert_eq!((ticket.host(), ticket.port()), ("site.example.org", port));
    let reply = devices.enrol(ticket.token(), &identity()).await.unwrap();
    assert_eq!((reply.host(), reply.port()), ("10.0.0.7", 443));
    let status = devices.served.admin("site.status", json!({})).await;
    assert_eq!(status["listen"]["device"], format!("127.0.0.1:{port}"));
    assert_eq!(status["device_address"], "10.0.0.7:443");
    let enrolment = format!("site.example.org:{port}");
    assert_eq!(status["enrolment_address"], enrolment);
}
