//! A site replaces its key while everything uses it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use countersign_client::device::{DeviceConnector, enrol};
use countersign_client::{Connector, LoginAs};
use countersign_crypto::device_key::DeviceIdentity;
use countersign_crypto::entropy::SystemEntropy;
use countersign_server::Server;
use countersign_testkit::harness::time::until;
use countersign_testkit::harness::{PASSPHRASE, TestSite};
use serde_json::{Value, json};

use crate::peers::side::Side;

/// How often each user of the site did its work.
#[derive(Default)]
struct Done {
    people: AtomicUsize,
    services: AtomicUsize,
    devices: AtomicUsize,
    sent: AtomicUsize,
}

impl Done {
    fn all(&self) -> [usize; 4] {
        let counts = [&self.people, &self.services, &self.devices, &self.sent];
        counts.map(|count| count.load(Ordering::SeqCst))
    }
}

// PEER-15, PEER-20, PEER-22, SES-80, DEV-50
#[tokio::test]
async fn rotations_while_peers_talk_and_people_services_and_devices_log_in_fail_no_honest_one() {
    let served = TestSite::builder().zone("a.example").maria().serve().await;
    let a = Side::of(served, "ada").await;
    let b = Side::new("b.example", "bob").await;
    b.join(&a.ticket().await).await.unwrap();
    let port = Server::builder(a.served.site.clone()).device(Some("127.0.0.1:0".parse().unwrap()));
    let _port = port.start().await.unwrap();
    let issue = json!({ "person": "ada", "kind": "device" });
    let ticket = a.admin("ticket.issue", issue).await;
    let phone = Arc::new(DeviceIdentity::generate(&mut SystemEntropy));
    let (ticket, name) = (ticket["uri"].as_str().unwrap(), "phone".parse().unwrap());
    let ada = || "ada@a.example".parse().unwrap();
    let enrolled = enrol(&ticket.parse().unwrap(), ada(), &phone, name).await;
    let device = DeviceConnector::from_enrolment(&enrolled.unwrap(), phone.clone());

    let (done, stops) = (Done::default(), AtomicBool::new(false));
    let goes_on = || !stops.load(Ordering::SeqCst);
    let log_in = async |who: LoginAs, count: &AtomicUsize| {
        let connector = Connector::new(&a.served.uri);
        while goes_on() {
            let client = connector.connect(who.clone()).await.unwrap();
            let _: Value = client.call("self", "show", &json!({})).await.unwrap();
            client.close().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
        }
    };
    let maria = LoginAs::person("maria".parse().unwrap(), PASSPHRASE.to_owned().into());
    let people = log_in(maria, &done.people);
    let services = log_in(LoginAs::Service(a.served.robot.clone()), &done.services);
    let devices = async {
        while goes_on() {
            let connection = device.connect(ada()).await.unwrap();
            let _: Value = connection.call("site", "status", &json!({})).await.unwrap();
            connection.close().await.unwrap();
            done.devices.fetch_add(1, Ordering::SeqCst);
        }
    };
    let talk = async {
        let mut texts = Vec::new();
        while goes_on() {
            let text = texts.len().to_string();
            tokio::join!(
                a.send("bob@b.example", &text),
                b.send("ada@a.example", &text)
            );
            texts.push(text);
            // One after the other, so that each rotation finds some on their way.
            until(async || b.texts().await.len() + 8 > texts.len()).await;
            done.sent.fetch_add(1, Ordering::SeqCst);
        }
        texts
    };
    let rotate = async {
        for (side, times) in [(&a, 3), (&b, 1), (&a, 2)] {
            for _ in 0..times {
                let before = done.all();
                let file = json!({ "slot_file": side.served.slot.to_text().expose() });
                let params = json!({ "secrets": [file], "slots": [file] });
                side.admin("site.key_new", params).await;
                until(async || {
                    let mut both = done.all().into_iter().zip(before);
                    both.all(|(now, before)| now >= before + 2)
                })
                .await;
            }
        }
        stops.store(true, Ordering::SeqCst);
    };
    let ((), (), (), texts, ()) = tokio::join!(people, services, devices, talk, rotate);
    assert_eq!(b.received(texts.len()).await, texts);
    assert_eq!(a.received(texts.len()).await, texts);
    for side in [&a, &b] {
        assert_eq!(side.peers().await[0].1, "active");
    }
}
