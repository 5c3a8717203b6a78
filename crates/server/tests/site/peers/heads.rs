//! Heads of audit logs between two sites, over sockets.

use countersign_testkit::harness::time::until;
use serde_json::{Value, json};

use crate::peers::side::{connected, next, peers};

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
    until(async || problem().await.contains("`peer permit`")).await;
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
