//! HTTP for applications of edition v1: the site has the key of a previous master, and its applications need no
//! change.

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::rsa::{RsaHash, RsaKey, RsaPublicKey};
use countersign_proto::broker::v1;
use countersign_testkit::harness::ServedSite;
use serde_json::{Value, json};

use crate::http::{now, request};
use crate::operations::site;

fn recorded(name: &str) -> String {
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/serveros/keys");
    std::fs::read_to_string(format!("{keys}/{name}.pem")).unwrap()
}

fn key(name: &str) -> RsaKey {
    RsaKey::from_pem(&recorded(name).into()).unwrap()
}

fn master() -> Vec<RsaPublicKey> {
    vec![RsaPublicKey::from_pem(&recorded("master.pub")).unwrap()]
}

/// Registers the master's key and two applications, of which A may call B.
pub(crate) async fn register(served: &ServedSite) {
    let imported = json!({ "private_key": recorded("master.key") });
    served.admin("broker.new_v1_key", imported).await;
    for (id, key) in [
        ("Application B", "provider.pub"),
        ("Application A", "consumer.pub"),
    ] {
        let params = json!({
            "id": id, "edition": "serveros-v1", "public_keys": [recorded(key)],
            "settings": { "hashes": ["sha256"], "ciphers": ["aes-256-cbc"],
                "may_call": [{ "app": "Application B" }] }
        });
        served.admin("app.create", params).await;
    }
}

fn consumer() -> v1::consumer::V1Consumer {
    v1::consumer::V1Consumer {
        id: "Application A".to_owned(),
        keys: vec![key("consumer.key")],
        site_keys: master(),
        ciphers: vec!["aes-256-cbc".parse().unwrap()],
        hashes: vec![RsaHash::Sha256],
    }
}

/// A request of application A, and its target.
fn ask(requested: &str) -> (v1::consumer::V1PendingRequest, String) {
    let asked = consumer().ask(requested, now(), &mut SystemEntropy);
    let (asked, sealed) = asked.unwrap();
    let text = serde_json::to_string(&sealed).unwrap();
    let coded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    (asked, format!("/authenticate?authRequest={coded}"))
}

/// Application A gets a ticket, which application B accepts. Returns the target of the request.
pub(crate) async fn authenticates(served: &ServedSite) -> String {
    let (asked, target) = ask("Application B");
    assert!(target.len() < 16_384);
    let answer = request(served, "GET", &target, b"").await;
    assert_eq!(
        (answer.status, answer.kind()),
        (200, "application/json; charset=utf-8")
    );
    let answered = consumer()
        .read_response(
            asked,
            answer.status,
            answer.body.as_bytes(),
            now(),
            &mut SystemEntropy,
        )
        .unwrap();
    let v1::consumer::ResponseAction::Granted(granted) = answered else {
        panic!("the site is busy");
    };
    let (_, presentation) = granted.present(now(), &mut SystemEntropy).unwrap();
    let provider = v1::provider::V1Provider {
        id: "Application B".to_owned(),
        keys: vec![key("provider.key")],
        site_keys: master(),
        ciphers: vec!["aes-256-cbc".parse().unwrap()],
        hashes: vec![RsaHash::Sha256],
    };
    provider.accept(presentation.as_bytes(), now()).unwrap();
    target
}

#[tokio::test]
async fn an_application_of_v1_gets_a_ticket() {
    let served = site().serve().await;
    register(&served).await;
    let target = authenticates(&served).await;

    let again = request(&served, "GET", &target, b"").await;
    assert_eq!(again.status, 403);
    let (_, target) = ask("Application C");
    let denied = request(&served, "GET", &target, b"").await;
    let body: Value = serde_json::from_str(&denied.body).unwrap();
    assert_eq!(
        (denied.status, &body["additionalInformation"]["type"]),
        (422, &json!("requested"))
    );
    let garbage = request(&served, "GET", "/authenticate?authRequest=%7B%7D", b"").await;
    assert_eq!(
        (garbage.status, garbage.body),
        (500, v1::V1Refusal::NotVerified.body())
    );
}
