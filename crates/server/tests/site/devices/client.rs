//! The client library as a device: it enrols, connects and calls operations.

use std::sync::Arc;

use countersign_client::CallError;
use countersign_client::device::{
    DeviceConnection, DeviceConnector, DeviceError, Enrolment, enrol,
};
use countersign_crypto::device_key::DeviceIdentity;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_net::lines::Lines;
use countersign_net::tls::Acceptor;
use countersign_proto::device::DeviceWelcome;
use countersign_proto::enrolment::EnrolmentTicket;
use countersign_proto::enrolment::client::EnrolmentError;
use countersign_server::Server;
use countersign_testkit::harness::{ServedSite, TestSite};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const ADA: &str = "ada@example.org";

/// A site with a device listener and the person `ada`, and her device.
struct Scene {
    served: ServedSite,
    server: Server,
    phone: Arc<DeviceIdentity>,
}

impl Scene {
    async fn new() -> Self {
        let served = TestSite::builder().serve().await;
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
            server,
            phone,
        }
    }

    async fn ticket(&self) -> EnrolmentTicket {
        let issued = self
            .served
            .admin("ticket.issue", json!({ "person": "ada" }));
        issued.await["uri"].as_str().unwrap().parse().unwrap()
    }

    async fn enrol(&self, ticket: &EnrolmentTicket, id: &str) -> Result<Enrolment, DeviceError> {
        let (id, name) = (id.parse().unwrap(), "phone".parse().unwrap());
        enrol(ticket, id, &self.phone, name).await
    }

    async fn connected(&self) -> (Enrolment, DeviceConnection) {
        let enrolment = self.enrol(&self.ticket().await, ADA).await.unwrap();
        let connector = DeviceConnector::from_enrolment(&enrolment, self.phone.clone());
        let connection = connector.connect(ADA.parse().unwrap()).await.unwrap();
        (enrolment, connection)
    }
}

// DEV-15
#[tokio::test]
async fn a_device_enrols_and_the_same_key_may_repeat_it() {
    let scene = Scene::new().await;
    let ticket = scene.ticket().await;
    let first = scene.enrol(&ticket, ADA).await.unwrap();
    assert_eq!(scene.enrol(&ticket, ADA).await.unwrap(), first);
}

// DEV-14
#[tokio::test]
async fn a_refused_enrolment_says_what_may_be_wrong() {
    let scene = Scene::new().await;
    let ticket = scene.ticket().await;
    for id in ["maria@example.org", ADA] {
        let refused = scene.enrol(&ticket, id).await.unwrap_err();
        assert!(
            matches!(refused, DeviceError::Enrolment(EnrolmentError::Refused)),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn many_operations_are_in_flight_and_each_gets_its_result() {
    let scene = Scene::new().await;
    let (_, connection) = scene.connected().await;
    let in_flight = connection.limits().in_flight;
    let names = (0..in_flight * 4).map(|n| format!("phone {n}"));
    let connection = &connection;
    let calls = names.map(|name| async move {
        let listed: Value = connection.call("device", "list", &json!({})).await.unwrap();
        let id = listed["entries"][0]["id"].as_str().unwrap();
        let rename = json!({ "id": id, "name": name });
        let renamed: Result<Value, _> = connection.call("device", "rename", &rename).await;
        match renamed {
            Ok(renamed) => assert_eq!(renamed["name"], name),
            // Another rename came first.
            Err(CallError::Failed { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    });
    futures_util::future::join_all(calls).await;
}

#[tokio::test]
async fn an_operation_that_is_too_long_is_not_sent() {
    let scene = Scene::new().await;
    let (enrolment, connection) = scene.connected().await;
    let long = json!({ "id": enrolment.reply.device(), "name": "a".repeat(1 << 20) });
    let refused: Result<Value, _> = connection.call("device", "rename", &long).await;
    assert!(matches!(refused, Err(CallError::TooLong { .. })));
    let status: Value = connection.call("site", "status", &json!({})).await.unwrap();
    assert_eq!(status["sealed"], false);
    connection.close().await.unwrap();
}

// DEV-19
#[tokio::test]
async fn a_revoked_device_loses_its_connection_and_gets_no_other() {
    let scene = Scene::new().await;
    let (enrolment, connection) = scene.connected().await;
    let mut events = connection.events();
    let revoke = json!({ "id": enrolment.reply.device() });
    scene.served.admin("device.revoke", revoke).await;
    while events.next().await.is_some() {}
    let lost: Result<Value, _> = connection.call("site", "status", &json!({})).await;
    assert!(matches!(lost, Err(CallError::Lost)));
    let connector = DeviceConnector::from_enrolment(&enrolment, scene.phone.clone());
    let refused = connector.connect(ADA.parse().unwrap()).await;
    assert!(matches!(refused, Err(DeviceError::Refused { .. })));
}

// DEV-6
#[tokio::test]
async fn a_device_tells_another_site_nothing() {
    let scene = Scene::new().await;
    let address = scene.server.device_address().unwrap();
    let other = SiteKey::from_seed(SiteSeed::generate(&mut SystemEntropy)).public();
    let connector = DeviceConnector::new(
        "127.0.0.1",
        address.port(),
        other.signing,
        scene.phone.clone(),
    );
    let refused = connector.connect(ADA.parse().unwrap()).await;
    assert!(matches!(refused, Err(DeviceError::WrongSite { .. })));
}

/// A watcher behind a lost NAT entry was blind until TCP gave up, after up to 17 minutes.
// DEV-30
#[tokio::test]
async fn an_idle_connection_is_kept_alive_until_the_site_answers_no_more() {
    let key = Arc::new(SiteKey::from_seed(SiteSeed::generate(&mut SystemEntropy)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let phone = Arc::new(DeviceIdentity::generate(&mut SystemEntropy));
    let connector = DeviceConnector::new("127.0.0.1", port, key.public().signing, phone);
    let serving = async {
        let (socket, _) = listener.accept().await.unwrap();
        let stream = Acceptor::new(key).unwrap().accept(socket).await.unwrap();
        let mut lines = Lines::new(stream, 1 << 20);
        lines.next().await.unwrap().unwrap();
        let welcome = DeviceWelcome {
            idle_seconds: 1,
            line_bytes: 1_000,
            in_flight: 1,
        };
        lines.send(welcome.to_line().as_bytes()).await.unwrap();
        for _ in 0..3 {
            let line = lines.next().await.unwrap().unwrap();
            let operation: Value = serde_json::from_slice(line).unwrap();
            assert_eq!(operation["id"], 0);
            lines
                .send(br#"{"id":0,"code":1,"output":""}"#)
                .await
                .unwrap();
            lines.send(b"\n").await.unwrap();
        }
        // From now on as behind a router that forgot the connection: one more comes, then none.
        lines.next().await.unwrap().unwrap();
        assert!(lines.next().await.unwrap().is_none());
    };
    let watching = async {
        let connected = connector.connect(ADA.parse().unwrap()).await.unwrap();
        assert!(connected.events().next().await.is_none());
    };
    tokio::join!(watching, serving);
}
