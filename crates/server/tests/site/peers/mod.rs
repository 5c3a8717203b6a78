//! Peers: two and three sites in one test, over sockets.

mod attacks;
mod cuts;
mod dialog_cuts;
mod doctor;
mod foreign_tickets;
mod heads;
mod impostor;
mod introductions;
mod lockdown;
mod network;
mod places;
mod rotation;
mod side;
mod theft;
mod told;
mod two_connections;

use std::sync::Arc;

use countersign_core::engine::PeerDirection;
use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_net::lines::Lines;
use countersign_net::tls::Connector;
use countersign_proto::operation::Code;
use countersign_proto::peer::{PeerHello, PeerTicket};
use countersign_proto::site_identity::{KeyEventsRequest, events_of_page};
use countersign_testkit::harness::time::until;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::peers::side::{
    SOON, Side, connected, greeted, hello, key, next, peer_server, peers, sites,
};

// PEER-9, PEER-11
#[tokio::test]
async fn a_ticket_makes_two_sites_peers_that_know_each_other_by_their_site_ids() {
    let (a, b) = sites().await;
    let ticket = a.ticket().await;
    let joined = b.join(&ticket).await.unwrap();
    assert_eq!(joined["site"], a.id());
    assert_eq!(joined["introductions"][0]["own"], "bob@b.example");
    assert_eq!(joined["introductions"][0]["other"], "ada@a.example");
    assert_eq!(a.peers().await, [(b.id(), "active".to_owned())]);
    assert_eq!(b.peers().await, [(a.id(), "active".to_owned())]);
    // The answer may have been lost: the same site may repeat it.
    b.join(&ticket).await.unwrap();
    assert_eq!(a.peers().await.len(), 1);
    assert_eq!(b.peers().await.len(), 1);
}

// PEER-8, PEER-9
#[tokio::test]
async fn a_ticket_is_of_no_use_to_a_second_site() {
    let (mut a, b) = sites().await;
    let c = Side::new("c.example", "eve").await;
    let ticket = a.ticket().await;
    b.join(&ticket).await.unwrap();
    let refused = c.join(&ticket).await.unwrap_err();
    assert_eq!(refused["code"], "conflict");
    assert_eq!(a.peers().await.len(), 1);
    assert_eq!(c.peers().await, []);
    a.stop().await;
    let audited = a.served.audited().await;
    let second = audited
        .iter()
        .any(|line| line.starts_with("ticket.second_key "));
    assert!(second, "{audited:?}");
}

// PEER-12
#[tokio::test]
async fn a_zone_belongs_to_the_first_site_that_claims_it() {
    let (a, b) = peers().await;
    let thief = Side::new("b.example", "eve").await;
    let ticket = a.ticket().await;
    thief.join(&ticket).await.unwrap_err();
    assert_eq!(a.peers().await, [(b.id(), "active".to_owned())]);
    // The ticket is spent.
    let listed = a.admin("ticket.list", json!({ "person": "ada" })).await;
    assert_eq!(listed["entries"][1]["why"], "zone_in_use");
    // Nor does the joining site accept such a peer.
    let again = Side::new("a.example", "ada").await;
    again.join(&a.ticket().await).await.unwrap_err();
    assert_eq!(again.peers().await, []);
}

// PEER-20
#[tokio::test]
async fn messages_pass_both_ways_once_and_in_their_order() {
    let (a, b) = peers().await;
    let texts = |name: &str| -> Vec<String> { (0..50).map(|n| format!("{name} {n}")).collect() };
    let (from_ada, from_bob) = (texts("ada"), texts("bob"));
    for (one, other) in from_ada.iter().zip(&from_bob) {
        tokio::join!(a.send("bob@b.example", one), b.send("ada@a.example", other));
    }
    assert_eq!(b.received(50).await, from_ada);
    assert_eq!(a.received(50).await, from_bob);
    until(async || a.waiting().await.is_empty() && b.waiting().await.is_empty()).await;
    let shown = a.show("b.example").await;
    assert_eq!(
        (&shown["sent"], &shown["received"]),
        (&json!(50), &json!(50))
    );
    let inbox = a.admin("peer.inbox", json!({ "person": "ada", "limit": 1 }));
    let message = &inbox.await["entries"][0];
    assert_eq!(message["peer"], b.id());
    assert_eq!(message["from"], "bob@b.example");
}

// PEER-20
#[tokio::test]
async fn messages_wait_while_the_other_site_is_down_and_none_is_lost_or_doubled() {
    let (mut a, mut b) = peers().await;
    for n in 0..10 {
        a.send("bob@b.example", &n.to_string()).await;
    }
    b.received(5).await;
    b.stop().await;
    for n in 10..20 {
        a.send("bob@b.example", &n.to_string()).await;
    }
    b.listen_again().await;
    // The port is another one: the next introduction tells it.
    b.join(&a.ticket().await).await.unwrap();
    let expected: Vec<_> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!(b.received(20).await, expected);
    a.stop().await;
    b.send("ada@a.example", "after").await;
    a.listen_again().await;
    a.join(&b.ticket().await).await.unwrap();
    assert_eq!(a.received(1).await, ["after"]);
}

// PEER-20
#[tokio::test]
async fn a_message_to_an_unknown_person_is_refused_and_the_sender_learns_it() {
    let (a, b) = peers().await;
    a.send("eve@b.example", "hello").await;
    until(async || {
        let waiting = a.waiting().await;
        waiting[0]["state"] == "refused"
    })
    .await;
    let refused = &a.waiting().await[0];
    assert_eq!(refused["why"], "there is no such recipient");
    let discard = json!({ "person": "ada", "id": refused["id"] });
    a.admin("peer.discard", discard).await;
    assert_eq!(a.waiting().await, Vec::<Value>::new());
    assert_eq!(b.texts().await, Vec::<String>::new());
}

// PEER-16, PEER-22
#[tokio::test]
async fn a_suspended_peer_is_cut_and_refused_and_its_messages_wait() {
    let (a, b) = peers().await;
    let mut lines = connected(&a, &b).await;
    let suspend = json!({ "peer": "a.example", "reason": "test" });
    b.admin("peer.suspend", suspend).await;
    assert_eq!(next(&mut lines).await, None);
    assert_eq!(
        next(&mut greeted(&b, &key(&a), &hello(&a)).await).await,
        None
    );
    b.send("ada@a.example", "later").await;
    let findings = b.admin("peer.doctor", json!({})).await;
    assert_eq!(findings["ok"], false);
    let cause = findings["findings"][1]["cause"].as_str().unwrap();
    assert!(cause.contains("suspended it: test"), "{cause}");
    assert_eq!(b.waiting().await.len(), 1);
    b.admin("peer.resume", json!({ "peer": "a.example" })).await;
    assert_eq!(a.received(1).await, ["later"]);
}

// PEER-13
#[tokio::test]
async fn a_removed_peer_stays_removed_until_an_admin_forgets_it() {
    let (a, b) = peers().await;
    a.admin("peer.remove", json!({ "peer": b.id() })).await;
    assert_eq!(
        next(&mut greeted(&a, &key(&b), &hello(&b)).await).await,
        None
    );
    b.join(&a.ticket().await).await.unwrap_err();
    assert_eq!(a.peers().await, [(b.id(), "removed".to_owned())]);
    a.admin("peer.forget", json!({ "peer": b.id() })).await;
    b.join(&a.ticket().await).await.unwrap();
    assert_eq!(a.peers().await, [(b.id(), "active".to_owned())]);
}

// PEER-15, PEER-16
#[tokio::test]
async fn a_hello_of_an_unknown_site_of_another_person_or_with_another_key_gets_no_reply() {
    let (a, b) = peers().await;
    let other_site = Side::new("c.example", "eve").await;
    let other_person = PeerHello {
        id: "eve@a.example".parse().unwrap(),
        ..hello(&a)
    };
    let thief = Arc::new(SiteKey::from_seed(SiteSeed(Secret::from_bytes([7; 32]))));
    for (key, hello) in [
        (key(&other_site), hello(&other_site)),
        (key(&other_site), hello(&a)),
        (key(&a), other_person),
        (thief, hello(&a)),
    ] {
        let mut lines = greeted(&b, &key, &hello).await;
        assert_eq!(next(&mut lines).await, None);
    }
    connected(&a, &b).await;
}

// PEER-18, PEER-19
#[tokio::test]
async fn a_peer_calls_what_peers_may_call_and_nothing_else() {
    let (a, b) = peers().await;
    let mut lines = connected(&a, &b).await;
    let mut call = async |command: &str, params: Value| {
        let (group, command) = command.split_once('.').unwrap();
        let line = json!({ "id": 1, "group": group, "command": command, "params": params });
        lines.send(format!("{line}\n").as_bytes()).await.unwrap();
        next(&mut lines).await.unwrap()
    };
    assert_eq!(call("peer.ping", json!({})).await["code"], 0);
    for refused in ["person.list", "peer.list", "site.status", "peer.stop"] {
        let outcome = call(refused, json!({})).await;
        assert_eq!(
            outcome["code"],
            Code::NOT_PERMITTED.0,
            "{refused}: {outcome}"
        );
    }
    let message = |from: &str, number: u64| {
        json!({ "messages": [{
            "id": "019523d0-5c00-7000-8000-000000000000",
            "number": number,
            "from": from,
            "to": "bob@b.example",
            "text": "hello",
            "sent": "2026-03-01T12:00:00.000Z",
        }] })
    };
    let state = |outcome: Value| outcome["data"]["reports"][0]["state"].clone();
    let forged = call("peer.deliver", message("eve@c.example", 1)).await;
    assert_eq!(state(forged), "refused");
    for _ in 0..2 {
        let taken = call("peer.deliver", message("ada@a.example", 1)).await;
        assert_eq!(state(taken), "accepted");
    }
    assert_eq!(b.texts().await, ["hello"]);
    let permit = json!({ "peer": "a.example", "allows": [] });
    b.admin("peer.permit", permit).await;
    let refused = call("peer.deliver", message("ada@a.example", 2)).await;
    assert_eq!(refused["code"], Code::NOT_PERMITTED.0);
}

// PEER-18
#[tokio::test]
async fn both_sites_call_operations_on_one_connection() {
    let (a, b) = peers().await;
    // Messages of B travel on the connection that A opened.
    let mut lines = connected(&a, &b).await;
    b.send("ada@a.example", "hello").await;
    let operation = next(&mut lines).await.unwrap();
    assert_eq!(operation["command"], "deliver");
    let id = &operation["params"]["messages"][0]["id"];
    let ping = json!({ "id": 9, "group": "peer", "command": "ping" });
    lines.send(format!("{ping}\n").as_bytes()).await.unwrap();
    assert_eq!(next(&mut lines).await.unwrap()["id"], 9);
    let reports = json!({ "reports": [{ "id": id, "state": "accepted" }] });
    let result = json!({ "id": operation["id"], "code": 0, "data": reports });
    lines.send(format!("{result}\n").as_bytes()).await.unwrap();
    until(async || b.waiting().await.is_empty()).await;
}

// PEER-21
#[tokio::test]
async fn a_peer_that_breaks_the_protocol_again_and_again_is_suspended() {
    let (a, b) = peers().await;
    for _ in 0..10 {
        let mut lines = connected(&a, &b).await;
        for _ in 0..3 {
            let _ = lines.send(b"garbage\n").await;
        }
        while next(&mut lines).await.is_some() {}
        let connections = || b.served.site.peer_connections(a.served.site.id());
        until(async || connections().is_empty()).await;
    }
    until(async || b.peers().await[0].1 == "suspended").await;
    assert_eq!(
        next(&mut greeted(&b, &key(&a), &hello(&a)).await).await,
        None
    );
}

// PEER-14
#[tokio::test]
async fn key_events_are_given_to_a_client_that_proves_nothing() {
    let a = Side::new("a.example", "ada").await;
    let connector = Connector::any_site().unwrap();
    let socket = TcpStream::connect(a.address()).await.unwrap();
    let stream = connector.connect(socket).await.unwrap();
    let mut lines = Lines::new(stream, 1 << 20);
    lines.send(&KeyEventsRequest(0).to_line()).await.unwrap();
    let line = timeout(SOON, lines.next()).await.unwrap().unwrap().unwrap();
    let page = KeyEventsRequest::read_answer(line).unwrap();
    assert_eq!(events_of_page(&page).unwrap(), *a.served.site.key_events());
}

// PEER-22
#[tokio::test]
async fn a_stopped_peer_server_ends_its_connections_and_stays_stopped_after_a_restart() {
    let (a, mut b) = peers().await;
    let mut lines = connected(&a, &b).await;
    let connections = || b.served.site.peer_connections(a.served.site.id());
    assert_eq!(connections(), [PeerDirection::Incoming]);
    let stopped = b.admin("peer.stop", json!({})).await;
    assert_eq!(stopped["state"], "stopped");
    assert_eq!(next(&mut lines).await, None);
    assert_eq!(b.served.site.endpoints().peer, None);
    b.stop().await;
    b.server = Some(peer_server(&b.served).await);
    let status = b.served.admin("peer.status", json!({})).await;
    assert_eq!(
        (&status["wanted"], &status["state"]),
        (&json!(false), &json!("stopped"))
    );
    let started = b.served.admin("peer.start", json!({})).await;
    assert_eq!(started["state"], "running");
    connected(&a, &b).await;
}

// PEER-2, PEER-3
#[tokio::test]
async fn a_site_that_does_not_prove_the_tickets_key_gets_nothing() {
    let (a, b) = sites().await;
    let uri = a.ticket().await;
    let ticket: PeerTicket = uri.parse().unwrap();
    let other = b.served.site.public_key();
    let token = ticket.token().clone();
    let id = ticket.id().clone();
    let forged = PeerTicket::new(ticket.host(), ticket.port(), token, 0, other, id).unwrap();
    let refused = b.join(forged.to_uri().expose()).await.unwrap_err();
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("could not be joined"), "{message}");
    assert_eq!(a.peers().await, []);
    // The token was not sent, so it is not spent.
    b.join(&uri).await.unwrap();
}
