//! Clients and devices of a site that replaces its key: they follow its key events over real
//! sockets, and refuse those of a thief.

use std::sync::Arc;

use countersign_client::device::{DeviceConnector, DeviceError, Enrolment, enrol};
use countersign_client::{Client, ConnectError, Connector, LoginAs, passphrase_ticket};
use countersign_crypto::device_key::DeviceIdentity;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_net::lines::Lines;
use countersign_net::tls::Acceptor;
use countersign_proto::enrolment::EnrolmentTicket;
use countersign_proto::risp::{Value as Risp, put};
use countersign_proto::session::client::{read_key_events, request_key_events};
use countersign_proto::session::{LoginError, command as c};
use countersign_proto::site_identity::{KeyEventLog, KeyEventsError, KeyEventsRequest, KnownSite};
use countersign_proto::uri::SiteUri;
use countersign_server::Server;
use countersign_server::limits::Limits;
use countersign_testkit::harness::{PASSPHRASE, ServedSite, TestSite, time};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::proxy::Proxy;

const ADA: &str = "ada@example.org";

/// A site with the person `maria`, the service `robot`, and the person `ada` with a device port.
struct Scene {
    served: ServedSite,
    /// The device port.
    _server: Server,
    phone: Arc<DeviceIdentity>,
}

impl Scene {
    async fn new() -> Self {
        let served = TestSite::builder().maria().serve().await;
        served
            .admin("person.create", json!({ "name": "ada" }))
            .await;
        let server = Server::builder(served.site.clone())
            .device(Some("127.0.0.1:0".parse().unwrap()))
            .start()
            .await
            .unwrap();
        let phone = Arc::new(DeviceIdentity::generate(&mut SystemEntropy));
        Self {
            served,
            _server: server,
            phone,
        }
    }

    async fn rotate(&self, times: usize) {
        let file = json!({ "slot_file": self.served.slot.to_text().expose() });
        let params = json!({ "secrets": [file], "slots": [file] });
        for _ in 0..times {
            self.served.admin("site.key_new", params.clone()).await;
        }
    }

    /// The site replaces its stolen key, and declares the theft.
    async fn recover(&self) {
        let file = json!({ "slot_file": self.served.slot.to_text().expose() });
        let since = self.served.now();
        let params = json!({ "secrets": [file], "slots": [file], "compromised_since": since });
        self.served.admin("site.key_new", params).await;
    }

    fn known(&self) -> KnownSite {
        KnownSite::whole(&self.served.site.key_events()).unwrap()
    }

    async fn ticket(&self, kind: &str) -> EnrolmentTicket {
        let params = json!({ "person": "ada", "kind": kind });
        let issued = self.served.admin("ticket.issue", params).await;
        issued["uri"].as_str().unwrap().parse().unwrap()
    }

    async fn enrol(&self, ticket: &EnrolmentTicket) -> Result<Enrolment, DeviceError> {
        let name = "phone".parse().unwrap();
        enrol(ticket, ADA.parse().unwrap(), &self.phone, name).await
    }

    fn robot(&self) -> LoginAs {
        LoginAs::Service(self.served.robot.clone())
    }
}

fn maria() -> LoginAs {
    LoginAs::person("maria".parse().unwrap(), PASSPHRASE.to_owned().into())
}

async fn works(client: Client) {
    let _: Value = client.call("self", "show", &json!({})).await.unwrap();
    client.close().await.unwrap();
}

// SES-80, SES-84: the client has nothing but the URI, whose key was replaced three times.
#[tokio::test]
async fn a_person_and_a_service_who_slept_three_rotations_log_in() {
    let scene = Scene::new().await;
    let connectors = [maria(), scene.robot()].map(|who| (Connector::new(&scene.served.uri), who));
    for (connector, who) in &connectors {
        assert_eq!(connector.known_site(), None);
        works(connector.connect(who.clone()).await.unwrap()).await;
        assert_eq!(connector.known_site(), Some(scene.known()));
    }
    let uri = scene.served.uri.clone();
    scene.rotate(3).await;
    for (connector, who) in connectors {
        works(connector.connect(who.clone()).await.unwrap()).await;
        assert_eq!(connector.known_site(), Some(scene.known()));
        // The same in another process, with the old URI or with what was stored.
        for fresh in [
            Connector::new(&uri),
            Connector::new(&uri).expect(scene.known()),
        ] {
            let client = fresh.connect(who.clone()).await.unwrap();
            assert_eq!(client.known_site(), scene.known());
            works(client).await;
        }
    }
}

// SES-83
#[tokio::test]
async fn a_client_that_slept_more_rotations_than_an_answer_has_room_for_walks_them() {
    let scene = Scene::new().await;
    let connector = Connector::new(&scene.served.uri);
    scene.rotate(6).await;
    for who in [maria(), scene.robot()] {
        works(connector.clone().connect(who.clone()).await.unwrap()).await;
        let first = Connector::new(&scene.served.uri);
        works(first.connect(who).await.unwrap()).await;
        assert_eq!(first.known_site(), Some(scene.known()));
    }
}

// DEV-50, DEV-51
#[tokio::test]
async fn a_device_that_slept_three_rotations_connects_and_a_ticket_from_before_enrols() {
    let scene = Scene::new().await;
    let early = scene.ticket("device").await;
    let enrolment = scene.enrol(&scene.ticket("device").await).await.unwrap();
    assert_eq!(enrolment.site, scene.known());
    let connector = DeviceConnector::from_enrolment(&enrolment, scene.phone.clone());
    let connection = connector.connect(ADA.parse().unwrap()).await.unwrap();

    scene.rotate(3).await;
    let status: Value = connection.call("site", "status", &json!({})).await.unwrap();
    assert_eq!(status["site_id"], scene.known().id().to_string());
    connection.close().await.unwrap();
    let connection = connector.connect(ADA.parse().unwrap()).await.unwrap();
    let _: Value = connection.call("site", "status", &json!({})).await.unwrap();
    assert_eq!(connector.known_site(), Some(scene.known()));

    let laptop = DeviceIdentity::generate(&mut SystemEntropy);
    let name = "laptop".parse().unwrap();
    let enrolled = enrol(&early, ADA.parse().unwrap(), &laptop, name).await;
    assert_eq!(enrolled.unwrap().site, scene.known());
}

// DEV-42, DEV-50
#[tokio::test]
async fn a_pass_phrase_ticket_from_before_a_rotation_sets_a_pass_phrase_that_outlives_another() {
    let scene = Scene::new().await;
    let ticket = scene.ticket("passphrase").await;
    scene.rotate(1).await;
    let (id, phrase) = (ADA.parse().unwrap(), "correct horse battery".to_owned());
    passphrase_ticket::set(&ticket, &id, &phrase.clone().into())
        .await
        .unwrap();
    scene.rotate(1).await;
    let connector = Connector::new(&scene.served.uri);
    let client = connector.connect(LoginAs::person(id, phrase.clone().into()));
    let client = client.await.unwrap();
    let new = "another horse battery".to_owned();
    client
        .change_passphrase(&phrase.into(), &new.into())
        .await
        .unwrap();
    works(client).await;
}

// DEV-50: the device port of a thief of the current key, who made an event without the next key. The device
// follows the site that recovered.
#[tokio::test]
async fn the_event_of_a_thief_is_refused_by_a_device() {
    let scene = Scene::new().await;
    let enrolment = scene.enrol(&scene.ticket("device").await).await.unwrap();
    let (thief, page) = stolen(&scene);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = async {
        let acceptor = Acceptor::new(Arc::new(thief)).unwrap();
        let (pinned, _) = listener.accept().await.unwrap();
        assert!(acceptor.accept(pinned).await.is_err());
        let (socket, _) = listener.accept().await.unwrap();
        let stream = acceptor.accept(socket).await.unwrap();
        assert_eq!(stream.peer_key().unwrap(), None, "it does not tell its key");
        let mut lines = Lines::new(stream, 1 << 10);
        let asked = KeyEventsRequest::read(lines.next().await.unwrap().unwrap());
        assert_eq!(asked, Some(KeyEventsRequest(1)));
        let answer = KeyEventsRequest::answer(page);
        lines.send(&answer).await.unwrap();
    };
    let connector = DeviceConnector::new(
        "127.0.0.1",
        port,
        enrolment.site.keys().signing,
        scene.phone.clone(),
    );
    let connector = connector.expect(enrolment.site);
    let (refused, ()) = tokio::join!(connector.connect(ADA.parse().unwrap()), serving);
    let fork = KeyEventsError::Fork { number: 1 };
    assert!(matches!(refused, Err(DeviceError::KeyEvents(why)) if why == fork));
    assert_eq!(connector.known_site(), Some(enrolment.site));

    scene.recover().await;
    let connector = DeviceConnector::from_enrolment(&enrolment, scene.phone.clone());
    let connection = connector.connect(ADA.parse().unwrap()).await.unwrap();
    let _: Value = connection.call("site", "status", &json!({})).await.unwrap();
    assert_eq!(connector.known_site(), Some(scene.known()));
    assert_ne!(scene.known(), enrolment.site);
}

// SES-82: the same at the session port.
#[tokio::test]
async fn the_event_of_a_thief_is_refused_by_a_person_and_a_service() {
    let scene = Scene::new().await;
    let (_, page) = stolen(&scene);
    let mut answer = Vec::new();
    put(&mut answer, c::KEY_EVENTS, Risp::Bytes(&page)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let key = *scene.served.uri.site_key();
    let connector = Connector::new(&SiteUri::new("127.0.0.1", port, key).unwrap());
    let connector = connector.expect(scene.known());
    for who in [maria(), scene.robot()] {
        let serving = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.read_u8().await.unwrap();
            socket.write_all(&answer).await.unwrap();
            socket
        };
        let (refused, _socket) = tokio::join!(connector.connect(who), serving);
        let Err(ConnectError::Login(LoginError::KeyEvents(why))) = refused else {
            panic!("the thief's event was not refused")
        };
        assert_eq!(why, KeyEventsError::Fork { number: 1 });
    }
    let before = scene.known();
    assert_eq!(connector.known_site(), Some(before));

    scene.recover().await;
    for who in [maria(), scene.robot()] {
        let connector = Connector::new(&scene.served.uri).expect(before);
        works(connector.connect(who).await.unwrap()).await;
        assert_eq!(connector.known_site(), Some(scene.known()));
    }
    assert_ne!(scene.known(), before);
}

// SES-64, SES-80: sessions outlive a rotation, and are resumed after it.
#[tokio::test]
async fn a_session_is_resumed_after_a_rotation() {
    let scene = Scene::new().await;
    let proxy = Proxy::before(&scene.served).await;
    let client = Connector::new(&proxy.uri).connect(maria()).await.unwrap();
    let before: Value = client.call("self", "show", &json!({})).await.unwrap();
    scene.rotate(2).await;
    proxy.cut();
    let sessions = scene.served.site.sessions();
    time::until(async || sessions.suspended() == 1).await;
    proxy.mend();
    let after: Value = client.call("self", "show", &json!({})).await.unwrap();
    assert_eq!(before["session"], after["session"]);
    assert_eq!(client.known_site(), scene.known());
}

// SES-83
#[tokio::test]
async fn requests_for_key_events_alone_count_as_abuse_of_their_source() {
    let mut limits = Limits::default();
    limits.penalties.threshold = 1;
    let served = TestSite::builder().limits(limits).serve().await;
    let address = served.server.session_address().unwrap();
    let page = async || {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request = request_key_events(0).unwrap();
        let _ = socket.write_all(&request).await;
        let mut answer = Vec::new();
        loop {
            let answered = read_key_events(&answer).map(|page| page.map(<[u8]>::to_vec));
            if answered != Ok(None) {
                return Some(answered);
            }
            if !matches!(socket.read_buf(&mut answer).await, Ok(1..)) {
                return None;
            }
        }
    };
    let log = KeyEventLog::new(&served.site.key_events()).unwrap();
    assert_eq!(page().await, Some(Ok(Some(log.page(0, 14)))));
    time::until(async || page().await == Some(Err(LoginError::Busy))).await;
}

/// A key of the thief, and the page with the thief's event 1.
fn stolen(scene: &Scene) -> (SiteKey, Vec<u8>) {
    let current = scene.served.site.unsealed_keys().unwrap().key.clone();
    let events = scene.served.site.key_events();
    let key = || SiteKey::from_seed(SiteSeed::generate(&mut SystemEntropy));
    let (thief, next) = (key(), key().public());
    let time = events[0].event().time + 1;
    let forged = events[0].replaced_by(&current, &thief, &next, time, None);
    let log = KeyEventLog::new(&[events[0], forged]).unwrap();
    (thief, log.page(1, 4))
}
