//! Heads of audit logs between two sites, over sockets.

use std::time::Duration;

use countersign_proto::operation::Code;
use countersign_proto::peer::{AuditHead, SignedAuditHead};
use countersign_testkit::harness::time::{pass, until};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::peers::side::{connected, key, next, peers};

// PEER-27, PEER-28, PEER-30
#[tokio::test]
async fn a_lockdown_is_countersigned_by_the_peer_at_once_and_both_sites_store_the_receipt() {
    let (a, b) = peers().await;
    a.admin("lockdown.site", json!({ "level": "enrolment" }))
        .await;
    until(async || !a.audited("peer.countersigned").await.is_empty()).await;
    let sent = b.audited("peer.audit_head").await;
    assert_eq!(sent[0]["details"]["state"], "countersigned");
    assert_eq!(sent[0]["target"], a.id());
    let stored = a.audited("peer.countersigned").await;
    assert_eq!(stored[0]["target"], b.id());
    assert_eq!(stored[0]["details"]["hash"], sent[0]["details"]["hash"]);
    // The head has the lockdown: it is confirmed.
    let lockdown = a.audited("lockdown.site").await;
    let verified = a.admin("audit.verify", json!({ "peers": true })).await;
    assert_eq!(verified["intact"], true);
    let confirmed = verified["peers"][0]["confirmed"].as_u64();
    assert!(confirmed >= lockdown[0]["seq"].as_u64(), "{verified}");
}

/// An admin verified the audit log in a loop. Each verification sent a head and a ping, also while the
/// peer was busy, until the peer suspended the honest site.
// PEER-21, PEER-64
#[tokio::test]
async fn verifications_in_a_loop_do_not_have_the_site_suspended() {
    let (a, b) = peers().await;
    let mut resting = 0;
    for _ in 0..400 {
        let verified = a.admin("audit.verify", json!({ "peers": true })).await;
        assert_eq!(verified["intact"], true);
        let problem = verified["peers"][0]["problem"].as_str();
        resting += u32::from(problem.is_some_and(|why| why.contains("peer resting until")));
    }
    assert!(resting > 0);
    assert_eq!(b.peers().await, [(a.id(), "active".to_owned())]);
    assert_eq!(b.show("a.example").await["breaches"], Value::Null);
    // The head that waits is sent after the rest, on the connection that is open or on a new one.
    let before = a.audited("peer.countersigned").await.len();
    let mut polls: u32 = 0;
    until(async || {
        polls += 1;
        if polls.is_power_of_two() {
            pass(Duration::from_secs(61)).await;
        }
        a.audited("peer.countersigned").await.len() > before
    })
    .await;
}

/// A site of an earlier version sends a head again at once after the peer was busy.
// PEER-21, PEER-64
#[tokio::test]
async fn a_busy_answer_to_a_head_is_delayed_so_that_a_site_in_a_loop_stays_below_its_rate() {
    let (a, b) = peers().await;
    let mut lines = connected(&a, &b).await;
    let mut head = async |id: u64| {
        let head = AuditHead {
            site: a.served.site.id(),
            event: 0,
            seq: id,
            hash: [1; 32],
            time: 0,
        };
        let head = SignedAuditHead::new(head, &key(&a));
        let params = json!({ "head": head });
        let line = json!({ "id": id, "group": "peer", "command": "audit_head", "params": params });
        lines.send(format!("{line}\n").as_bytes()).await.unwrap();
        next(&mut lines).await.unwrap()["code"].clone()
    };
    for id in 1..=16 {
        assert_eq!(head(id).await, Code::SUCCESS.0);
    }
    let begun = now();
    assert_eq!(head(17).await, Code::BUSY.0);
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[allow(
    clippy::disallowed_methods,
    reason = "the test measures how long an answer is delayed"
)]
fn now() -> Instant {
    Instant::now()
}

// PEER-19, PEER-27
#[tokio::test]
async fn a_peer_that_does_not_permit_heads_is_named_by_the_verification() {
    let (a, b) = peers().await;
    b.admin(
        "peer.permit",
        json!({ "peer": "a.example", "allows": ["messages"] }),
    )
    .await;
    let problem = async || {
        let verified = a.admin("audit.verify", json!({ "peers": true })).await;
        assert_eq!(verified["intact"], true);
        verified["peers"][0]["problem"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    until(async || problem().await.contains("`countersign peer permit`")).await;
    // Messages pass still.
    a.send("bob@b.example", "hello").await;
    assert_eq!(b.received(1).await, ["hello"]);
    assert_eq!(a.audited("peer.countersigned").await, Vec::<Value>::new());
}

/// A peer replies to the head and to the question for its state with garbage. The site goes on.
// PEER-29
#[tokio::test]
async fn a_reply_to_a_head_that_is_garbage_stores_nothing_and_messages_pass() {
    let (a, b) = peers().await;
    let mut lines = connected(&a, &b).await;
    a.admin("peer.stop", json!({})).await;
    b.admin("lockdown.site", json!({ "level": "enrolment" }))
        .await;
    let offered = next(&mut lines).await.unwrap();
    assert_eq!(offered["command"], "audit_head");
    let garbage = json!({ "state": "countersigned", "receipt": "AAAA", "held": [{}] });
    let result = json!({ "id": offered["id"], "code": 0, "data": garbage });
    lines.send(format!("{result}\n").as_bytes()).await.unwrap();
    let asked = next(&mut lines).await.unwrap();
    assert_eq!(asked["command"], "ping");
    let result = json!({ "id": asked["id"], "code": 0, "data": garbage });
    lines.send(format!("{result}\n").as_bytes()).await.unwrap();
    b.send("ada@a.example", "hello").await;
    let operation = next(&mut lines).await.unwrap();
    assert_eq!(operation["command"], "deliver");
    assert_eq!(b.audited("peer.countersigned").await, Vec::<Value>::new());
}
