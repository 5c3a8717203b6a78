//! Lockdown and peers, over sockets: what ends, what is refused, and what waits.

use countersign_net::tls::Connector;
use countersign_testkit::harness::time::until;
use serde_json::json;
use tokio::net::TcpStream;

use crate::peers::side::{connected, greeted, hello, key, next, peers};

// PEER-25
#[tokio::test]
async fn a_lockdown_of_a_peer_ends_its_connections_and_messages_wait_until_it_is_lifted() {
    let (a, b) = peers().await;
    let mut lines = connected(&a, &b).await;
    let a_id = a.served.site.id();
    b.admin(
        "lockdown.peer",
        json!({ "peer": a.id(), "reason": "a drill" }),
    )
    .await;
    assert_eq!(next(&mut lines).await, None);
    until(async || b.served.site.peer_connections(a_id).is_empty()).await;
    // It is refused alike in both directions.
    assert_eq!(
        next(&mut greeted(&b, &key(&a), &hello(&a)).await).await,
        None
    );
    b.send("ada@a.example", "from bob").await;
    a.send("bob@b.example", "from ada").await;
    assert_eq!((a.waiting().await.len(), b.waiting().await.len()), (1, 1));
    let checked = b.admin("peer.doctor", json!({})).await;
    let cause = checked["findings"][1]["cause"].as_str().unwrap();
    assert!(cause.contains("put it in lockdown: a drill"), "{cause}");
    b.admin("lockdown.lift", json!({ "peer": "a.example" }))
        .await;
    assert_eq!(a.received(1).await, ["from bob"]);
    assert_eq!(b.received(1).await, ["from ada"]);
}

// PEER-25
#[tokio::test]
async fn the_highest_level_ends_connections_with_peers_and_the_level_of_logins_keeps_them() {
    let (a, b) = peers().await;
    let mut lines = connected(&a, &b).await;
    let lock_down = async |level: &str| b.admin("lockdown.site", json!({ "level": level })).await;
    lock_down("logins").await;
    let ping = json!({ "id": 1, "group": "peer", "command": "ping" });
    lines.send(format!("{ping}\n").as_bytes()).await.unwrap();
    // The head of B's audit log travels on the same connection.
    let mut received = [next(&mut lines).await, next(&mut lines).await].map(Option::unwrap);
    received.sort_by_key(|line| line["code"].is_null());
    assert_eq!(received[0]["code"], 0);
    assert_eq!(received[1]["command"], "audit_head");
    // A new one is refused before the handshake.
    let connector = Connector::any_site().unwrap();
    let socket = TcpStream::connect(b.address()).await.unwrap();
    assert!(connector.connect(socket).await.is_err());
    lock_down("all").await;
    assert_eq!(next(&mut lines).await, None);
    b.send("ada@a.example", "hello").await;
    assert_eq!(b.waiting().await.len(), 1);
    b.admin("lockdown.lift", json!({ "site": true })).await;
    assert_eq!(a.received(1).await, ["hello"]);
}
