//! What two peers tell each other: their state, their new addresses, and why a connection ends.

use std::time::Duration;

use countersign_core::engine::ClientAddress;
use countersign_net::lines::Lines;
use countersign_proto::peer::PeerEnd;
use countersign_testkit::harness::time::{pass, until};
use serde_json::{Value, json};

use crate::peers::impostor::with_impostor;
use crate::peers::side::{Side, Stream, connected, line, peers, sites};

/// Longer than a site waits for a line of a peer that connected.
const IDLE: Duration = Duration::from_secs(301);

/// Makes site B end its connection with another one for this reason.
async fn end(b: &mut Side, lines: &mut Lines<Stream>, other: &str, reason: PeerEnd) {
    let peer = || json!({ "peer": other });
    let (operation, params) = match reason {
        PeerEnd::Idle => return refuse_head(b, lines).await,
        PeerEnd::Stopping => return b.stop().await,
        PeerEnd::Protocol => {
            for _ in 0..3 {
                lines.send(b"garbage\n").await.unwrap();
            }
            return;
        }
        PeerEnd::ServerStopped => ("peer.stop", json!({})),
        PeerEnd::Suspended => ("peer.suspend", peer()),
        PeerEnd::Removed => ("peer.remove", peer()),
        PeerEnd::Lockdown => {
            let params = json!({ "peer": other, "reason": "a drill" });
            ("lockdown.peer", params)
        }
        PeerEnd::Sealed => ("site.seal", json!({})),
        PeerEnd::NewKey => {
            let file = json!({ "slot_file": b.served.slot.to_text().expose() });
            let params = json!({ "secrets": [file], "slots": [file] });
            ("site.key_new", params)
        }
    };
    b.admin(operation, params).await;
}

/// A site sends no head for an hour after one was refused, so that nothing is to be sent.
async fn refuse_head(b: &Side, lines: &mut Lines<Stream>) {
    b.admin("lockdown.site", json!({ "level": "enrolment" }))
        .await;
    for command in ["audit_head", "ping"] {
        let operation = line(lines).await.unwrap();
        assert_eq!(operation["command"], command);
        let refused = json!({ "id": operation["id"], "code": 4, "data": Value::Null });
        lines.send(format!("{refused}\n").as_bytes()).await.unwrap();
    }
    // Its answer shows that the site has read the refusals.
    let ping = json!({ "id": 9, "group": "peer", "command": "ping" });
    lines.send(format!("{ping}\n").as_bytes()).await.unwrap();
    assert_eq!(line(lines).await.unwrap()["id"], 9);
}

/// Lets the idle time pass, again and again: the site may still have been busy the first time.
async fn idle() {
    let mut polls: u32 = 0;
    until(async || {
        polls += 1;
        if polls.is_power_of_two() {
            pass(IDLE).await;
        }
        false
    })
    .await;
}

/// The last line of a connection and those after it.
async fn ending(lines: &mut Lines<Stream>) -> Vec<Value> {
    let mut last = Vec::new();
    // Without a timeout, because time passes.
    while let Ok(Some(line)) = lines.next().await {
        let line: Value = serde_json::from_slice(line).unwrap();
        if !last.is_empty() || !line["end"].is_null() {
            last.push(line);
        }
    }
    last
}

// PEER-33
#[tokio::test]
async fn the_last_line_of_a_connection_states_why_it_ends() {
    for reason in PeerEnd::ALL {
        let (a, mut b) = peers().await;
        let mut lines = connected(&a, &b).await;
        end(&mut b, &mut lines, "a.example", reason).await;
        let ended = match reason {
            PeerEnd::Idle => tokio::select! {
                ended = ending(&mut lines) => ended,
                () = idle() => Vec::new(),
            },
            _ => ending(&mut lines).await,
        };
        assert_eq!(ended, [json!({ "end": reason.as_str() })]);
    }
    // The level `all` of the whole site is a lockdown too.
    let (a, b) = peers().await;
    let mut lines = connected(&a, &b).await;
    b.admin("lockdown.site", json!({ "level": "all" })).await;
    assert_eq!(ending(&mut lines).await, [json!({ "end": "lockdown" })]);
}

/// The connections that a site had opened itself were dropped when it stopped, and at times when its peer server
/// stopped or it was sealed: their last line was never sent.
// PEER-33
#[tokio::test]
async fn a_site_states_why_it_ends_a_connection_that_it_opened() {
    // It ends an idle one in silence.
    for reason in PeerEnd::ALL.into_iter().filter(|end| *end != PeerEnd::Idle) {
        let (mut a, impostor) = with_impostor().await;
        let mut lines = impostor.welcome(&impostor.events).await;
        assert_eq!(line(&mut lines).await.unwrap()["command"], "deliver");
        end(&mut a, &mut lines, "b.example", reason).await;
        assert_eq!(
            ending(&mut lines).await,
            [json!({ "end": reason.as_str() })]
        );
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
    until(async || a.show("b.example").await["ended"]["reason"] == "suspended").await;
    // A reason that is not in the list is a wrong line.
    b.admin("peer.resume", json!({ "peer": "a.example" })).await;
    let mut lines = connected(&a, &b).await;
    lines.send(b"{\"end\":\"bored\"}\n").await.unwrap();
    assert_eq!(line(&mut lines).await.unwrap()["code"], 1);
    assert_eq!(b.show("a.example").await["ended"], Value::Null);
    lines.send(b"{\"end\":\"stopping\"}\n").await.unwrap();
    until(async || b.show("a.example").await["ended"]["reason"] == "stopping").await;
}

// PEER-32
#[tokio::test]
async fn a_new_address_is_told_with_the_next_connection() {
    let (a, mut b) = peers().await;
    let before = a.show("b.example").await["address"].clone();
    b.stop().await;
    b.listen_again().await;
    b.send("ada@a.example", "hello").await;
    a.received(1).await;
    let is = b.served.site.endpoints().peer.unwrap().to_string();
    assert_ne!(before, is);
    until(async || a.show("b.example").await["address"] == is).await;
    until(async || b.audited("peer.address_told").await.len() == 1).await;
    a.send("bob@b.example", "found").await;
    assert_eq!(b.received(1).await, ["found"]);
    // The same address is told once.
    b.send("ada@a.example", "again").await;
    a.received(2).await;
    assert_eq!(a.audited("peer.address").await.len(), 1);
}

/// A site told a new address with the next connection alone. To a peer that takes no heads, that was up
/// to an hour later; meanwhile the peer looked for the site at the earlier address. The same happened if the peer
/// stored at that time what it had told the site: it refused the new address as a conflict.
// PEER-65
#[tokio::test]
async fn a_new_address_makes_the_site_connect_and_tell_it() {
    let (a, b) = peers().await;
    let permit = json!({ "peer": "b.example", "allows": [] });
    a.admin("peer.permit", permit).await;
    let endpoints = b.served.site.endpoints();
    let bound = endpoints.peer_listener.unwrap();
    // Also on a connection on which another address was told.
    for host in ["localhost", "b.localhost"] {
        let is = ClientAddress {
            host: host.to_owned(),
            ..endpoints.peer.clone().unwrap()
        };
        b.served.site.announce_peer(Some((bound, is.clone())));
        until(async || a.show("b.example").await["address"] == is.to_string()).await;
    }
    until(async || b.audited("peer.address_told").await.len() == 2).await;
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
    assert_eq!(b.show("a.example").await["address"], was.to_string());
    a.send("bob@b.example", "hello").await;
    until(async || b.show("a.example").await["address"] == is.to_string()).await;
    assert_eq!(b.received(1).await, ["hello"]);
}

/// Messages come first: a peer that refused them all got neither the new address of the site nor a head
/// of its audit log, and so was no witness of the log.
// PEER-63
#[tokio::test]
async fn a_peer_that_takes_no_messages_gets_addresses_and_heads() {
    let (a, b) = peers().await;
    let allow = async |allows: Value| {
        let permit = json!({ "peer": "a.example", "allows": allows });
        b.admin("peer.permit", permit).await;
    };
    allow(json!(["audit_heads"])).await;
    let endpoints = a.served.site.endpoints();
    let (bound, was) = (endpoints.peer_listener.unwrap(), endpoints.peer.unwrap());
    let host = "localhost".to_owned();
    let is = ClientAddress { host, ..was };
    a.served.site.announce_peer(Some((bound, is.clone())));
    a.send("bob@b.example", "hello").await;
    until(async || b.show("a.example").await["address"] == is.to_string()).await;
    // After a lockdown, a head is sent at once.
    a.admin("lockdown.site", json!({ "level": "enrolment" }))
        .await;
    until(async || a.show("b.example").await["countersigned"].is_object()).await;
    until(async || a.show("b.example").await["told"].is_object()).await;
    assert_eq!(a.waiting().await.len(), 1);
    allow(json!(["audit_heads", "messages"])).await;
    let mut polls: u32 = 0;
    until(async || {
        polls += 1;
        if polls.is_power_of_two() {
            pass(Duration::from_secs(6)).await;
        }
        b.texts().await == ["hello"]
    })
    .await;
}

// PEER-34
#[tokio::test]
async fn a_peer_tells_its_version_and_its_lockdown_after_a_head() {
    let (a, b) = peers().await;
    assert_eq!(a.show("b.example").await["told"], Value::Null);
    b.admin("lockdown.site", json!({ "level": "enrolment" }))
        .await;
    a.admin("audit.verify", json!({ "peers": true })).await;
    until(async || a.show("b.example").await["told"]["lockdown"] == "enrolment").await;
    let shown = a.show("b.example").await;
    assert_eq!(shown["told"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(shown["countersigned"]["entry"].as_u64() > Some(0));
}
