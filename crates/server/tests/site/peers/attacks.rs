//! Hostile peers, and the sealing of a site with open peer connections, over sockets.

use std::sync::Arc;

use countersign_core::engine::PeerServerState;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::site_key::SiteKey;
use countersign_net::lines::Lines;
use countersign_net::tls::{Acceptor, Connector};
use countersign_proto::device::DeviceWelcome;
use countersign_proto::peer::{AwaitingAnswer, Joining, PeerTicket, PeerWelcome};
use countersign_testkit::harness::time::until;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use crate::peers::side::{connected, key, next, peers, sites};

/// A hostile peer answered every batch with reports of other messages. Each answer cost a commit,
/// and the same batch followed at once, without end.
// PEER-23
#[tokio::test]
async fn reports_of_other_messages_change_nothing_end_the_connection_and_suspend_the_peer() {
    let (a, b) = peers().await;
    // The messages travel on the connections below alone.
    a.admin("peer.stop", json!({})).await;
    b.send("ada@a.example", "hello").await;
    let other = json!({ "id": "019523d0-5c00-7000-8000-000000000000", "state": "accepted" });
    for round in 0..10 {
        let mut lines = connected(&a, &b).await;
        let operation = next(&mut lines).await.unwrap();
        let own = json!({ "id": operation["params"]["messages"][0]["id"], "state": "accepted" });
        let reports = match round % 2 {
            0 => vec![other.clone()],
            _ => vec![own; 10_000],
        };
        let reports = json!({ "reports": reports });
        let result = json!({ "id": operation["id"], "code": 0, "data": reports });
        let _ = lines.send(format!("{result}\n").as_bytes()).await;
        assert_eq!(next(&mut lines).await, None);
        until(async || {
            b.served
                .site
                .peer_connections(a.served.site.id())
                .is_empty()
        })
        .await;
    }
    until(async || b.peers().await[0].1 == "suspended").await;
    assert_eq!(b.waiting().await.len(), 1);
    let audited = b.served.audited().await;
    let delivered = audited
        .iter()
        .any(|line| line.starts_with("peer.delivered "));
    assert!(!delivered, "{audited:?}");
}

/// The peer port kept its own copy of the keys, and connections with peers stayed open.
// PEER-22
#[tokio::test]
async fn sealing_ends_the_connections_with_peers_and_leaves_no_key_in_memory() {
    let (a, b) = peers().await;
    let mut lines = connected(&a, &b).await;
    let keys = b.served.site.unsealed_keys().unwrap();
    let (site_key, unsealed) = (Arc::downgrade(&keys.key), Arc::downgrade(&keys));
    drop(keys);
    b.served.admin("site.seal", json!({})).await;
    assert_eq!(next(&mut lines).await, None);
    until(async || b.served.site.peer_server() == PeerServerState::Sealed).await;
    until(async || site_key.upgrade().is_none() && unsealed.upgrade().is_none()).await;
    until(async || {
        b.served
            .site
            .peer_connections(a.served.site.id())
            .is_empty()
    })
    .await;
}

/// Three wrong lines were counted for each connection: a peer that sent two of them and came again
/// was never suspended.
// PEER-21
#[tokio::test]
async fn two_wrong_lines_on_each_of_many_connections_suspend_a_peer() {
    let (a, b) = peers().await;
    for _ in 0..15 {
        let mut lines = connected(&a, &b).await;
        for _ in 0..2 {
            let _ = lines.send(b"garbage\n").await;
            next(&mut lines).await;
        }
        drop(lines);
        until(async || {
            b.served
                .site
                .peer_connections(a.served.site.id())
                .is_empty()
        })
        .await;
    }
    until(async || b.peers().await[0].1 == "suspended").await;
}

/// A peer that welcomed the site and closed was dialled again without a pause, and `peer doctor` found
/// nothing wrong.
#[tokio::test]
async fn a_peer_that_welcomes_the_site_and_closes_is_dialled_with_a_backoff() {
    let (a, mut b) = peers().await;
    let (address, key) = (b.address(), key(&b));
    b.stop().await;
    let listener = TcpListener::bind(&address).await.unwrap();
    a.send("bob@b.example", "hello").await;
    let (socket, _) = listener.accept().await.unwrap();
    let stream = Acceptor::new(key).unwrap().accept(socket).await.unwrap();
    let mut lines = Lines::new(stream, 1 << 20);
    assert!(lines.next().await.unwrap().is_some());
    let limits = DeviceWelcome {
        idle_seconds: 300,
        line_bytes: 1 << 20,
        in_flight: 16,
    };
    let welcome = PeerWelcome::new(limits, &b.served.site.key_events());
    lines.send(&welcome.to_line()).await.unwrap();
    drop(lines);
    until(async || {
        let findings = a.admin("peer.doctor", json!({})).await.to_string();
        findings.contains("it ended the connection before it took a message")
    })
    .await;
}

/// Lines on the peer port that cannot be read were counted against the source, and the audit log did not tell of
/// them: neither of garbage, nor of a join that was made for another connection.
// PEER-5, PEER-74
#[tokio::test]
async fn a_first_line_that_cannot_be_read_and_a_relayed_join_are_audited_with_their_source() {
    let (a, b) = sites().await;
    let ticket: PeerTicket = a.ticket().await.parse().unwrap();
    let site = ticket.site();
    let connect = async |own: Option<Arc<SiteKey>>| {
        let connector = Connector::new(site.signing, None).unwrap();
        let connector = own.map_or(connector, |own| {
            Connector::of_peer(site.signing, own).unwrap()
        });
        let socket = TcpStream::connect(a.address()).await.unwrap();
        connector.connect(socket).await.unwrap()
    };
    let other = connect(None).await;
    let id = "bob@b.example".parse().unwrap();
    let joining = Joining {
        id: &id,
        host: "b.example",
        port: 4_750,
        events: &b.served.site.key_events(),
    };
    let exporter = other.enrolment_exporter().unwrap();
    let own = key(&b);
    let started = AwaitingAnswer::start(
        &ticket,
        *site,
        &joining,
        &own,
        &exporter,
        &mut SystemEntropy,
    );
    let (_, relayed) = started.unwrap();
    for (own, line, what) in [
        (None, &b"garbage\n"[..], "request"),
        (Some(own.clone()), &b"garbage\n"[..], "hello"),
        (None, &relayed[..], "join"),
    ] {
        let mut lines = Lines::new(connect(own).await, 1 << 20);
        lines.send(line).await.unwrap();
        assert_eq!(next(&mut lines).await, None);
        a.served.site.write_all_counted().await.unwrap();
        let audited = a.audited("peer.malformed").await;
        let found = audited.iter().any(|entry| entry["details"]["what"] == what);
        assert!(found, "{what}: {audited:?}");
        assert_eq!(audited[0]["actor"], "127.0.0.1");
        assert_eq!(audited[0]["outcome"], "failed");
    }
    assert_eq!(a.peers().await, []);
}
