//! What two peers tell each other: their state, their new addresses, and why a connection ends.

use countersign_core::engine::ClientAddress;
use countersign_testkit::harness::time::until;
use serde_json::{Value, json};

use crate::peer_side::{Side, connected, line, peers, sites};

async fn show(of: &Side, peer: &str) -> Value {
    of.admin("peer.show", json!({ "peer": peer })).await
}

async fn audits(side: &Side, operation: &str) -> usize {
    let listed = side
        .admin("audit.list", json!({ "operation": operation }))
        .await;
    listed["entries"].as_array().unwrap().len()
}

// PEER-33
#[tokio::test]
async fn the_last_line_of_a_connection_states_why_it_ends() {
    let peer = || json!({ "peer": "a.example" });
    for (operation, params, reason) in [
        ("peer.suspend", peer(), "suspended"),
        ("peer.remove", peer(), "removed"),
        (
            "lockdown.peer",
            json!({ "peer": "a.example", "reason": "a drill" }),
            "lockdown",
        ),
        ("lockdown.site", json!({ "level": "all" }), "lockdown"),
        ("peer.stop", json!({}), "server_stopped"),
        ("site.seal", json!({}), "sealed"),
    ] {
        let (a, b) = peers().await;
        let mut lines = connected(&a, &b).await;
        b.admin(operation, params).await;
        assert_eq!(line(&mut lines).await, Some(json!({ "end": reason })));
        assert_eq!(line(&mut lines).await, None, "{operation}");
    }
}

// PEER-33
#[tokio::test]
async fn an_admin_sees_why_the_peer_ended_the_connection() {
    let (a, b) = peers().await;
    a.send("bob@b.example", "hello").await;
    b.received(1).await;
    b.admin("peer.suspend", json!({ "peer": "a.example" }))
        .await;
    until(async || show(&a, "b.example").await["ended"]["reason"] == "suspended").await;
    // A reason that is not in the list is a wrong line.
    b.admin("peer.resume", json!({ "peer": "a.example" })).await;
    let mut lines = connected(&a, &b).await;
    lines.send(b"{\"end\":\"bored\"}\n").await.unwrap();
    assert_eq!(line(&mut lines).await.unwrap()["code"], 1);
    assert_eq!(show(&b, "a.example").await["ended"], Value::Null);
    lines.send(b"{\"end\":\"stopping\"}\n").await.unwrap();
    until(async || show(&b, "a.example").await["ended"]["reason"] == "stopping").await;
}

// PEER-32
#[tokio::test]
async fn a_new_address_is_told_with_the_next_connection() {
    let (a, mut b) = peers().await;
    let before = show(&a, "b.example").await["address"].clone();
    b.stop().await;
    b.listen_again().await;
    b.send("ada@a.example", "hello").await;
    a.received(1).await;
    let is = b.served.site.endpoints().peer.unwrap().to_string();
    assert_ne!(before, is);
    until(async || show(&a, "b.example").await["address"] == is).await;
    until(async || audits(&b, "peer.address_told").await == 1).await;
    a.send("bob@b.example", "found").await;
    assert_eq!(b.received(1).await, ["found"]);
    // The same address is told once.
    b.send("ada@a.example", "again").await;
    a.received(2).await;
    assert_eq!(audits(&a, "peer.address").await, 1);
}

/// A site that accepted a join believed that the other one knew its address, but the ticket named
/// the earlier one: messages to it waited for ever at that address.
// PEER-32
#[tokio::test]
async fn an_address_that_changed_after_the_ticket_is_told() {
    let (a, b) = sites().await;
    let ticket = a.ticket().await;
    let endpoints = a.served.site.endpoints();
    let (bound, was) = (endpoints.peer_listener.unwrap(), endpoints.peer.unwrap());
    let is = ClientAddress {
        host: "localhost".to_owned(),
        ..was.clone()
    };
    a.served.site.announce_peer(Some((bound, is.clone())));
    b.join(&ticket).await.unwrap();
    assert_eq!(show(&b, "a.example").await["address"], was.to_string());
    a.send("bob@b.example", "hello").await;
    until(async || show(&b, "a.example").await["address"] == is.to_string()).await;
    assert_eq!(b.received(1).await, ["hello"]);
}

// PEER-34
#[tokio::test]
async fn a_peer_tells_its_version_and_its_lockdown_after_a_head() {
    let (a, b) = peers().await;
    assert_eq!(show(&a, "b.example").await["told"], Value::Null);
    b.admin("lockdown.site", json!({ "level": "enrolment" }))
        .await;
    a.admin("audit.verify", json!({ "peers": true })).await;
    until(async || show(&a, "b.example").await["told"]["lockdown"] == "enrolment").await;
    let shown = show(&a, "b.example").await;
    assert_eq!(shown["told"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(shown["countersigned"]["entry"].as_u64() > Some(0));
}
