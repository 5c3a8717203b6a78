//! Which sites become peers and may connect, at a site without listeners.

use std::sync::Arc;

use countersign_core::engine::NotEnrolled;
use countersign_proto::operation::Code;
use countersign_proto::peer::{PeerTicket, SignedAuditHead};
use countersign_proto::site_identity::SignedKeyEvent;
use countersign_testkit::harness::{TestPeer, TestSite, run_at};
use serde_json::{Value, json};

/// A site with the person ada and a peer server.
async fn site() -> TestSite {
    let test = TestSite::new().await;
    test.takes_enrolments();
    test.admin("person.create", json!({ "name": "ada" })).await;
    test.site
        .connect_peers_with(Arc::new(TestPeer::new("any.example")));
    test.admin("peer.start", json!({})).await;
    test
}

async fn ticket(test: &TestSite) -> PeerTicket {
    let issued = test.admin("peer.ticket", json!({ "person": "ada" })).await;
    issued["uri"].as_str().unwrap().parse().unwrap()
}

async fn join(test: &TestSite, peer: &TestPeer) -> Result<(), NotEnrolled> {
    peer.join(&test.site, &ticket(test).await, test.now()).await
}

async fn connects(test: &TestSite, peer: &TestPeer) -> bool {
    let connection = peer.connect(&test.site, test.now()).await;
    connection.is_some_and(|connection| {
        test.site.close_peer(&connection);
        true
    })
}

async fn show(test: &TestSite) -> Value {
    let listed = test.admin("peer.list", json!({})).await;
    listed["entries"][0].clone()
}

// PEER-15
#[tokio::test]
async fn a_peer_that_replaced_its_key_three_times_is_followed_and_its_old_keys_are_refused() {
    let (test, first) = (site().await, TestPeer::new("b.example"));
    join(&test, &first).await.unwrap();
    assert!(connects(&test, &first).await);
    let newest = first.rotated().rotated().rotated();
    assert!(connects(&test, &newest).await);
    let shown = show(&test).await;
    assert_eq!(shown["key_event"], 3);
    assert_eq!(shown["site"], first.known().id().to_string());
    for old in [&first, &first.rotated()] {
        assert!(!connects(&test, old).await);
    }
}

/// The thief has the current key and not the next one.
// PEER-15
#[tokio::test]
async fn a_key_event_of_a_thief_is_refused_and_the_peers_own_one_is_followed() {
    let (test, peer) = (site().await, TestPeer::new("b.example"));
    join(&test, &peer).await.unwrap();
    let thief = peer.rotated_to(&TestPeer::new("b.example"));
    assert!(!connects(&test, &thief).await);
    assert_eq!(show(&test).await["key_event"], 0);
    assert!(connects(&test, &peer.rotated()).await);
    let alarms = test.admin("alarm.list", json!({})).await;
    assert_eq!(
        alarms["entries"],
        json!([]),
        "a site without an admin has none"
    );
}

// PEER-8, PEER-12
#[tokio::test]
async fn a_join_with_a_replaced_key_or_another_zone_is_refused_and_spends_the_ticket() {
    let (test, peer) = (site().await, TestPeer::new("b.example"));
    join(&test, &peer).await.unwrap();
    let newest = peer.rotated();
    join(&test, &newest).await.unwrap();
    assert_eq!(show(&test).await["key_event"], 1);
    assert_eq!(join(&test, &peer).await, Err(NotEnrolled::Refused));
    let mut moved = newest.rotated();
    moved.zone = "c.example".to_owned();
    assert_eq!(join(&test, &moved).await, Err(NotEnrolled::Refused));
    let own = TestPeer::new("example.org");
    assert_eq!(join(&test, &own).await, Err(NotEnrolled::Refused));
    let tickets = test.admin("ticket.list", json!({ "person": "ada" })).await;
    let tickets = tickets["entries"].as_array().unwrap().iter();
    let mut why: Vec<_> = tickets
        .filter_map(|ticket| ticket["why"].as_str())
        .collect();
    why.sort_unstable();
    assert_eq!(why, ["wrong_proof", "zone_in_use", "zone_in_use"]);
}

// PEER-8, PEER-10
#[tokio::test]
async fn a_ticket_of_another_kind_or_without_a_proof_is_spent_and_an_unknown_one_is_counted() {
    let (test, peer) = (site().await, TestPeer::new("b.example"));
    let unknown = peer.ticket();
    let refused = peer.join(&test.site, &unknown, test.now()).await;
    assert_eq!(refused, Err(NotEnrolled::Refused));
    let ticket = ticket(&test).await;
    let request = peer.request(&ticket);
    let source = countersign_testkit::harness::PEER_SOURCE;
    let no_proof = async { None };
    let refused = test
        .site
        .accept_peer(&request, no_proof, source, test.now())
        .await;
    assert_eq!(refused, Err(NotEnrolled::Refused));
    let again = peer.join(&test.site, &ticket, test.now()).await;
    assert_eq!(again, Err(NotEnrolled::Refused));
    assert_eq!(show(&test).await, Value::Null);
}

// PEER-23, PEER-25
#[tokio::test]
async fn a_head_that_goes_back_or_forks_is_not_countersigned() {
    let (test, peer) = (site().await, TestPeer::new("b.example"));
    join(&test, &peer).await.unwrap();
    let connection = peer.connect(&test.site, test.now()).await.unwrap();
    let call = async |head: SignedAuditHead, event: &SignedKeyEvent| {
        let params = json!({ "head": head, "event": event });
        let (site, caller) = (&test.site, &connection.caller);
        run_at(site, caller, "peer.audit_head", params, test.now()).await
    };
    let event = &peer.events[0];
    // The newest head that is held is the evidence.
    for (seq, hash, state, held) in [
        (5, 1, "countersigned", 0),
        (5, 1, "countersigned", 1),
        (5, 2, "contradicted", 1),
        (4, 1, "contradicted", 1),
        (6, 3, "countersigned", 1),
    ] {
        let (code, data) = call(peer.head(seq, [hash; 32]), event).await;
        assert_eq!((code, &data["state"]), (Code::SUCCESS, &json!(state)));
        assert_eq!(data["held"].as_array().unwrap().len(), held);
    }
    let other = TestPeer::new("c.example");
    for (head, event) in [
        (other.head(9, [1; 32]), event),
        (other.head(9, [1; 32]), &other.events[0]),
    ] {
        let (code, _) = call(head, event).await;
        assert_eq!(code, Code::NOT_PERMITTED);
    }
    // A key that was replaced while the connection was open is followed.
    let newer = peer.rotated();
    let (code, _) = call(newer.head(9, [1; 32]), &newer.events[1]).await;
    assert_eq!(code, Code::SUCCESS);
}
