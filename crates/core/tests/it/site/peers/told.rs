//! What peers tell a site of themselves, at a site without listeners.

use std::sync::Arc;

use countersign_core::access::Caller;
use countersign_core::engine::{ClientAddress, PeerStatus};
use countersign_core::store::MemoryStore;
use countersign_proto::operation::Code;
use countersign_proto::peer::PeerEnd;
use countersign_testkit::faulty::{Fault, FaultyStore};
use countersign_testkit::harness::{TestPeer, TestSite, run, stays_open};
use serde_json::{Value, json};

async fn scene() -> (TestSite, Arc<TestPeer>, Caller) {
    let (test, peer) = TestSite::with_peer().await;
    let connection = peer.connect(&test.site, test.now()).await.unwrap();
    (test, peer, stays_open(connection))
}

async fn show(test: &TestSite) -> Value {
    test.admin("peer.show", json!({ "peer": "b.example" }))
        .await
}

async fn tells(test: &TestSite, caller: &Caller, host: &str, port: u32) -> Code {
    let params = json!({ "host": host, "port": port });
    run(&test.site, caller, "peer.address", params).await.0
}

// PEER-32
#[tokio::test]
async fn a_new_address_is_stored_and_audited_once_and_an_impossible_one_is_refused() {
    let (test, _, caller) = scene().await;
    let was = show(&test).await["address"].clone();
    for (host, port) in [
        ("", 1),
        ("a b", 1),
        ("user@b.example", 1),
        ("b.example/x", 1),
        ("b.example", 0),
        ("b.example", 65_536),
    ] {
        let code = tells(&test, &caller, host, port).await;
        assert_eq!(code, Code::INVALID_PARAMS, "{host}:{port}");
    }
    assert_eq!(show(&test).await["address"], was);
    for _ in 0..2 {
        let code = tells(&test, &caller, "New.example", 4760).await;
        assert_eq!(code, Code::SUCCESS);
    }
    assert_eq!(show(&test).await["address"], "new.example:4760");
    let entries = test.audit().await;
    let told = entries
        .iter()
        .filter(|entry| entry["operation"] == "peer.address");
    let details: Vec<_> = told.map(|entry| entry["details"].clone()).collect();
    assert_eq!(details.len(), 1);
    assert_eq!(details[0]["was"], was);
    let mut stored = 0;
    for port in 1..=20 {
        let code = tells(&test, &caller, "new.example", port).await;
        stored += u32::from(code == Code::SUCCESS);
    }
    assert_eq!(stored, 7, "eight at once with the one above");
}

// PEER-33, PEER-34
#[tokio::test]
async fn what_a_peer_told_is_shown_until_it_is_forgotten_and_no_other_text() {
    let (test, peer, caller) = scene().await;
    let (site, id, now) = (&test.site, peer.known().id(), test.now());
    let status = |version: &str| PeerStatus {
        time: now,
        version: Some(version.to_owned()),
        lockdown: None,
    };
    for (version, shown) in [
        ("1.2.3-rc.1", json!("1.2.3-rc.1")),
        ("\u{1b}[2J", Value::Null),
        (&"1".repeat(33), Value::Null),
    ] {
        site.peer_told_status(id, Some(status(version)), now);
        assert_eq!(show(&test).await["told"]["version"], shown);
    }
    site.peer_told_status(id, None, now);
    site.peer_ended(id, PeerEnd::Lockdown, now);
    assert_eq!(show(&test).await["ended"]["reason"], "lockdown");
    let (code, pong) = run(site, &caller, "peer.ping", json!({})).await;
    assert_eq!((code, &pong["lockdown"]), (Code::SUCCESS, &Value::Null));
    assert!(pong["version"].is_string());

    let named = json!({ "peer": id });
    test.admin("peer.remove", named.clone()).await;
    test.admin("peer.forget", named.clone()).await;
    let ticket = test.admin("peer.ticket", json!({ "person": "ada" })).await;
    let ticket = ticket["uri"].as_str().unwrap().parse().unwrap();
    peer.join(site, &ticket, now).await.unwrap();
    let shown = show(&test).await;
    assert_eq!(
        (&shown["told"], &shown["ended"]),
        (&Value::Null, &Value::Null)
    );
}

/// A new address was told with the next connection alone. When sites began to connect for its sake, a
/// full disk would have had this one connect without a pause: the peer had the address, and this site
/// could not store that.
// PEER-65
#[tokio::test]
async fn a_site_connects_to_tell_a_new_address_and_not_again_at_once_if_the_disk_is_full() {
    let memory = MemoryStore::default();
    let faulty = FaultyStore::new(Arc::new(memory.reopened()), Fault::Fails);
    let faulty = Arc::new(faulty);
    let test = TestSite::builder().memory(memory, faulty.clone());
    let test = test.build().await;
    test.takes_enrolments();
    test.admin("person.create", json!({ "name": "ada" })).await;
    let peer = Arc::new(TestPeer::new("b.example"));
    test.site.connect_peers_with(peer.clone());
    test.admin("peer.start", json!({})).await;
    let ticket = peer.ticket().to_uri().expose().to_owned();
    let join = json!({ "ticket": ticket, "person": "ada" });
    test.admin("peer.join", join).await;
    let (site, id, now) = (&test.site, peer.known().id(), test.now());
    assert_eq!(site.peers_awaited(now).await.unwrap(), []);
    let bound = "192.0.2.1:4750".parse().unwrap();
    let address = |host: &str| ClientAddress {
        host: host.to_owned(),
        port: 4750,
    };
    site.announce_peer(Some((bound, address("new.example"))));
    assert_eq!(site.peers_awaited(now).await.unwrap(), [id]);
    let notice = site.address_for(id).await.unwrap().unwrap();
    faulty.break_after(0, 1);
    assert!(site.address_told(id, &notice, now).await.is_err());
    assert_eq!(site.peers_awaited(now).await.unwrap(), []);
    // Another address is another matter.
    site.announce_peer(Some((bound, address("newer.example"))));
    assert_eq!(site.peers_awaited(now).await.unwrap(), [id]);
    let notice = site.address_for(id).await.unwrap().unwrap();
    site.address_told(id, &notice, now).await.unwrap();
    assert_eq!(site.peers_awaited(now).await.unwrap(), []);
    assert_eq!(site.address_for(id).await.unwrap(), None);
}
