//! The places for the connections that a site opens to its peers, and hostile peers that keep theirs.

use std::time::Duration;

use countersign_core::engine::ClientAddress;
use countersign_net::lines::Lines;
use countersign_server::{Server, clock};
use countersign_testkit::harness::TestSite;
use countersign_testkit::harness::time::{pass, settle, until};
use serde_json::{Value, json};

use crate::peers::impostor::{Impostor, with_impostor};
use crate::peers::side::{Side, Stream, line, peers};

/// Longer than a site waits for a result.
const UNANSWERED: Duration = Duration::from_secs(61);

/// A site that opens one connection to peers at a time.
async fn with_one_place() -> Side {
    let served = TestSite::builder().zone("a.example").serve().await;
    let server = Server::builder(served.site.clone())
        .peer(Some("127.0.0.1:0".parse().unwrap()))
        .peer_connections(1)
        .start();
    Side::with(served, server.await.unwrap(), "ada").await
}

async fn reply(lines: &mut Lines<Stream>, to: &Value, code: u32, data: Value) {
    let result = json!({ "id": to["id"], "code": code, "data": data });
    let _ = lines.send(format!("{result}\n").as_bytes()).await;
}

/// Accepts the message of an operation `peer deliver`.
async fn accept(lines: &mut Lines<Stream>, operation: &Value) {
    assert_eq!(operation["command"], "deliver");
    let id = &operation["params"]["messages"][0]["id"];
    let reports = json!({ "reports": [{ "id": id, "state": "accepted" }] });
    reply(lines, operation, 0, reports).await;
}

/// Refuses each operation and sends a ping every 15 s, until the site ends the connection.
async fn linger(lines: &mut Lines<Stream>) {
    for id in 1.. {
        settle().await;
        pass(Duration::from_secs(15)).await;
        let ping = json!({ "id": id, "group": "peer", "command": "ping" });
        let _ = lines.send(format!("{ping}\n").as_bytes()).await;
        loop {
            let Some(line) = line(lines).await else {
                return;
            };
            match line["group"].is_null() {
                true => break,
                false => reply(lines, &line, 4, Value::Null).await,
            }
        }
    }
}

/// Each line of a peer kept the connection to it open. As many hostile peers as there were places kept all of them
/// for ever with a ping every 15 s, and the site connected to no other peer: those got no messages, no heads of
/// the audit log and no new address.
// PEER-76
#[tokio::test]
async fn a_peer_that_keeps_its_connection_in_use_gives_its_place_to_one_that_waits() {
    for takes_message in [true, false] {
        gives_place(takes_message).await;
    }
}

async fn gives_place(takes_message: bool) {
    let a = with_one_place().await;
    let mut b = Side::new("b.example", "bob").await;
    let mut c = Side::new("c.example", "carol").await;
    for side in [&b, &c] {
        side.join(&a.ticket().await).await.unwrap();
    }
    let hostile = Impostor::of(&mut b).await;
    let honest = Impostor::of(&mut c).await;
    a.send("bob@b.example", "hello").await;
    let mut lines = hostile.welcome(&hostile.events).await;
    if takes_message {
        let operation = line(&mut lines).await.unwrap();
        accept(&mut lines, &operation).await;
    }
    a.send("carol@c.example", "hello").await;
    linger(&mut lines).await;
    // The site ended the connection, so that the peer is no worse than before. PEER-81
    assert!(a.show("b.example").await["backoff"].is_null());
    let mut lines = honest.welcome(&honest.events).await;
    let operation = line(&mut lines).await.unwrap();
    accept(&mut lines, &operation).await;
    let waiting = usize::from(!takes_message);
    until(async || a.waiting().await.len() == waiting).await;
}

/// The link to a peer broke after each answer, and the site connected again at once: above the rate that
/// the peer allows.
// PEER-80
#[tokio::test]
async fn a_site_connects_eight_times_at_once_and_then_every_four_seconds() {
    const CONNECTIONS: i64 = 14;
    let (a, far) = with_impostor().await;
    let began = clock::now().millis();
    let connects = async {
        for _ in 0..CONNECTIONS {
            a.send("bob@b.example", "hello").await;
            let mut lines = far.welcome(&far.events).await;
            let operation = line(&mut lines).await.unwrap();
            accept(&mut lines, &operation).await;
        }
    };
    let time = async {
        loop {
            settle().await;
            pass(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = connects => {}
        () = time => unreachable!(),
    }
    assert!(clock::now().millis() - began >= (CONNECTIONS - 9) * 4_000);
}

/// A peer that did not answer was connected to again at once, each time for a minute, because a connection that
/// lasted counted as a success. `peer doctor` found nothing wrong.
// PEER-75
#[tokio::test]
async fn a_peer_that_does_not_answer_is_told_again_in_its_turn_and_named_by_the_doctor() {
    for command in ["address", "audit_head"] {
        // Site B knows what site A was told.
        let (mut a, b) = peers().await;
        let silent = Impostor::of(&mut a).await;
        match command {
            "address" => {
                let endpoints = b.served.site.endpoints();
                let (bound, was) = (endpoints.peer_listener.unwrap(), endpoints.peer.unwrap());
                let host = "localhost".to_owned();
                let is = ClientAddress { host, ..was };
                b.served.site.announce_peer(Some((bound, is)));
            }
            _ => {
                let level = json!({ "level": "enrolment" });
                b.admin("lockdown.site", level).await;
            }
        }
        let mut lines = silent.welcome(&silent.events).await;
        assert_eq!(line(&mut lines).await.unwrap()["command"], command);
        settle().await;
        pass(UNANSWERED).await;
        assert_eq!(line(&mut lines).await, None);
        let is_named = async || {
            let shown = b.show("a.example").await;
            let cause = shown["trouble"]["cause"].as_str().unwrap_or_default();
            cause.contains("did not answer an operation in time")
        };
        tokio::select! {
            () = until(is_named) => {}
            _ = silent.accept() => panic!("the site connected again at once to send {command}"),
        }
        let awaited = b.served.site.peers_awaited(clock::now()).await;
        assert_eq!(awaited.unwrap(), [], "{command}");
        settle().await;
        pass(Duration::from_secs(601)).await;
        let mut lines = silent.welcome(&silent.events).await;
        assert_eq!(line(&mut lines).await.unwrap()["command"], command);
    }
}

/// The site closed its connection after 20 s without a line although it waited for a result, for which a peer has
/// 60 s: the message was sent again.
// PEER-75
#[tokio::test]
async fn a_site_that_waits_for_a_result_keeps_the_connection_open() {
    let (a, slow) = with_impostor().await;
    let mut lines = slow.welcome(&slow.events).await;
    let operation = line(&mut lines).await.unwrap();
    settle().await;
    pass(Duration::from_secs(30)).await;
    settle().await;
    accept(&mut lines, &operation).await;
    assert_eq!(line(&mut lines).await.unwrap()["command"], "address");
    until(async || a.waiting().await.is_empty()).await;
}
