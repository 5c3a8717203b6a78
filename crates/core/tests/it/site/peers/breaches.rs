//! Breaches of the protocol by peers, the limits of one person, and what `peer doctor` names, at a site
//! without listeners.

use std::sync::Arc;

use countersign_core::access::Caller;
use countersign_core::engine::{PeerBreach, PeerProblem};
use countersign_core::store::MemoryStore;
use countersign_proto::operation::Code;
use countersign_proto::site_identity::SiteId;
use countersign_testkit::faulty::{Fault, FaultyStore};
use countersign_testkit::harness::{TestPeer, TestSite, run, stays_open};
use serde_json::{Value, json};

/// A site with the person ada, the admin root and a peer server, and its peer.
async fn with_peer(test: TestSite) -> (TestSite, Arc<TestPeer>) {
    test.person("root", "admin").await;
    test.admin("person.create", json!({ "name": "ada" })).await;
    test.starts_peer_server().await;
    let peer = test.peer("ada").await;
    (test, peer)
}

fn id(peer: &TestPeer) -> SiteId {
    peer.known().id()
}

/// The peer as a caller, on a connection that stays open.
async fn caller(test: &TestSite, peer: &TestPeer) -> Caller {
    let connection = peer.connect(&test.site, test.now()).await;
    stays_open(connection.unwrap())
}

async fn state(test: &TestSite) -> String {
    let listed = test.admin("peer.list", json!({})).await;
    listed["entries"][0]["state"].as_str().unwrap().to_owned()
}

/// What `peer doctor` says of the first peer.
async fn finding(test: &TestSite) -> Value {
    let checks = test.admin("peer.doctor", json!({})).await;
    checks["findings"][1].clone()
}

/// A peer called operations that no peer may call as fast as it liked, and nothing followed from it.
// PEER-19, PEER-21
#[tokio::test]
async fn a_peer_that_calls_what_no_peer_may_call_is_suspended_with_an_alarm() {
    for refused in ["person.list", "peer.stop", "site.status", "no.such"] {
        let (test, peer) = with_peer(TestSite::new().await).await;
        let caller = caller(&test, &peer).await;
        let mut calls = 0;
        while state(&test).await == "active" {
            let (code, _) = run(&test.site, &caller, refused, json!({})).await;
            assert!(matches!(
                code,
                Code::NOT_PERMITTED | Code::UNKNOWN_OPERATION
            ));
            calls += 1;
        }
        assert_eq!(calls, 150, "{refused}");
        test.site.raise_reported(test.now()).await.unwrap();
        let alarms = test.admin("alarm.list", json!({})).await;
        let key = format!("peer protocol {}", id(&peer));
        assert_eq!(alarms["entries"][0]["key"], key);
    }
}

/// The rate was asked for after the parameters were read, and by some operations only.
// PEER-21
#[tokio::test]
async fn above_the_rate_nothing_of_an_operation_is_read() {
    let (test, peer) = with_peer(TestSite::new().await).await;
    let caller = caller(&test, &peer).await;
    let malformed = || run(&test.site, &caller, "peer.deliver", json!({ "no": 1 }));
    for _ in 0..256 {
        assert_eq!(malformed().await.0, Code::INVALID_PARAMS);
    }
    assert_eq!(malformed().await.0, Code::BUSY);
}

/// The breaches counted from 0 after the suspension could not be stored, and the peer stayed connected.
// PEER-60
#[tokio::test]
async fn a_suspension_that_cannot_be_stored_keeps_the_peer_out_and_is_tried_again() {
    let memory = MemoryStore::default();
    let faulty = FaultyStore::new(Arc::new(memory.reopened()), Fault::Fails);
    let faulty = Arc::new(faulty);
    let test = TestSite::builder().memory(memory, faulty.clone());
    let (test, peer) = with_peer(test.build().await).await;
    caller(&test, &peer).await;
    let breach = || {
        test.site
            .peer_fault(id(&peer), PeerBreach::Connection, test.now())
    };
    for _ in 0..9 {
        breach().await.unwrap();
    }
    faulty.break_after(0, usize::MAX);
    assert!(breach().await.is_err());
    assert_eq!(state(&test).await, "active");
    let connect = || peer.connect_or_fail(&test.site, test.now());
    assert!(connect().await.is_err());
    assert!(test.site.peer_plan(id(&peer), test.now()).await.is_err());
    assert!(breach().await.is_err());
    faulty.break_after(usize::MAX, 0);
    assert!(connect().await.unwrap().is_none());
    assert_eq!(state(&test).await, "suspended");
    // An admin who resumes it starts from 0.
    test.admin("peer.resume", json!({ "peer": "b.example" }))
        .await;
    breach().await.unwrap();
    assert_eq!(state(&test).await, "active");
    assert!(connect().await.unwrap().is_some());
}

/// `peer doctor` saw neither a fork nor that the peer refuses messages.
#[tokio::test]
async fn peer_doctor_names_each_problem_with_its_cause_and_the_next_step() {
    let (test, peer) = with_peer(TestSite::new().await).await;
    let (site, now) = (id(&peer), test.now());
    assert_eq!(finding(&test).await["state"], "active");
    let why = || "no route".to_owned();
    for (problem, name) in [
        (PeerProblem::Unreachable { why: why() }, "unreachable"),
        (PeerProblem::OtherKey, "other_key"),
        (PeerProblem::NotAccepted, "not_accepted"),
        (PeerProblem::KeyEvents, "key_events"),
        (PeerProblem::Malformed { why: why() }, "malformed"),
    ] {
        test.site.peer_problem(site, problem, now);
        let finding = finding(&test).await;
        assert_eq!(finding["state"], name);
        assert!(finding["cause"].is_string() && finding["next"].is_string());
    }
    let reached = async |events| {
        let cut = Box::new(|_| {});
        let key = peer.key().public().signing;
        let reached = test.site.peer_reached(site, key, events, cut, now);
        reached.await.unwrap()
    };
    assert!(reached(&peer.events).await.is_some());
    for (code, name) in [
        (Code::NOT_PERMITTED, "messages_not_permitted"),
        (Code::BUSY, "messages_not_taken"),
        (Code::SUCCESS, "active"),
    ] {
        test.site.delivery_answered(site, code, now);
        assert_eq!(finding(&test).await["state"], name);
    }
    // The sites met again, and the peer connects: it was said for ever that the peer does not accept this
    // site.
    let not_accepted = || test.site.peer_problem(site, PeerProblem::NotAccepted, now);
    not_accepted();
    let issued = test.admin("peer.ticket", json!({ "person": "ada" })).await;
    let ticket = issued["uri"].as_str().unwrap().parse().unwrap();
    peer.join(&test.site, &ticket, now).await.unwrap();
    assert_eq!(finding(&test).await["state"], "active");
    not_accepted();
    let _connected = peer.connect(&test.site, now).await.unwrap();
    assert_eq!(finding(&test).await["state"], "active");
    // A fork in the welcome stays until an admin acts.
    let thief = peer.rotated_to(&TestPeer::new("b.example"));
    assert!(reached(&thief.events).await.is_none());
    assert!(reached(&peer.events).await.is_some());
    assert_eq!(finding(&test).await["state"], "forked");
    for command in ["peer.suspend", "peer.resume"] {
        let params = match command {
            "peer.suspend" => json!({ "peer": site, "reason": "asked" }),
            _ => json!({ "peer": site }),
        };
        test.admin(command, params).await;
    }
    assert_eq!(finding(&test).await["state"], "active");
}

/// A person could fill the connections of all others with messages for peers that do not answer.
// PEER-61
#[tokio::test]
async fn messages_of_one_person_wait_for_at_most_32_peers() {
    let (test, _) = with_peer(TestSite::new().await).await;
    test.admin("person.create", json!({ "name": "eve" })).await;
    for n in 0..32 {
        let peer = TestPeer::new(&format!("c{n}.example"));
        let issued = test.admin("peer.ticket", json!({ "person": "ada" })).await;
        let ticket = issued["uri"].as_str().unwrap().parse().unwrap();
        peer.join(&test.site, &ticket, test.now()).await.unwrap();
    }
    let send = |from: &str, zone: String| {
        let params = json!({ "from": from, "to": format!("bob@{zone}"), "text": "hello" });
        test.as_admin("peer.send", params)
    };
    for n in 0..32 {
        assert_eq!(send("ada", format!("c{n}.example")).await.0, Code::SUCCESS);
    }
    let last = || "b.example".to_owned();
    assert_eq!(send("ada", last()).await.0, Code::CONFLICT);
    assert_eq!(send("ada", "c0.example".to_owned()).await.0, Code::SUCCESS);
    assert_eq!(send("eve", last()).await.0, Code::SUCCESS);
}
