//! Connections between peers that are cut in the middle of each dialog: the join, the walk along key
//! events, and the delivery of messages. `peer_dialog_cuts` has the others.

use std::time::Duration;

use serde_json::json;

use crate::peers::network::{Network, places};
use crate::peers::side::Side;

/// Longer than a site waits between two attempts, or until it follows another new key.
const LONGEST_WAIT: Duration = Duration::from_secs(3_601);

/// A lost answer left one site with a peer and the other one without.
// PEER-9
#[tokio::test]
async fn a_join_that_is_cut_anywhere_is_completed_with_the_same_ticket() {
    let (network, a, b) = Network::sites().await;
    network.hide_b();
    let forget = async || {
        for (side, other) in [(&a, b.id()), (&b, a.id())] {
            side.admin("peer.remove", json!({ "peer": other })).await;
            side.admin("peer.forget", json!({ "peer": other })).await;
        }
    };
    b.join(&a.ticket().await).await.unwrap();
    let whole = network.carried();
    let mut lost_answers = 0;
    for place in places(whole, 24) {
        let cuts = network.cut_after(place);
        while network.cuts() == cuts {
            forget().await;
            let ticket = a.ticket().await;
            let cut = b.join(&ticket).await;
            if cut.is_err() {
                assert_eq!(b.peers().await, []);
                lost_answers += usize::from(!a.peers().await.is_empty());
                b.join(&ticket).await.unwrap();
            }
            let active = |id: String| [(id, "active".to_owned())];
            assert_eq!(a.peers().await, active(b.id()), "cut after {place} bytes");
            assert_eq!(b.peers().await, active(a.id()), "cut after {place} bytes");
            revoke_tickets(&a).await;
        }
    }
    assert!(lost_answers > 0, "no cut was within the answer");
}

/// Revokes the open tickets, so that the next one can be issued.
async fn revoke_tickets(side: &Side) {
    let of_person = json!({ "person": side.person });
    let listed = side.admin("ticket.list", of_person).await;
    for ticket in listed["entries"].as_array().unwrap() {
        if ticket["state"] == "open" {
            let id = json!({ "id": ticket["id"] });
            side.admin("ticket.revoke", id).await;
        }
    }
}

// PEER-20
#[tokio::test]
async fn messages_of_a_connection_that_is_cut_anywhere_arrive_once_and_in_order() {
    let (network, a, b) = Network::peers().await;
    let mut sent = Vec::new();
    let mut send = async || {
        for _ in 0..3 {
            sent.push(format!("message {}", sent.len()));
            b.send("ada@a.example", sent.last().unwrap()).await;
        }
        sent.clone()
    };
    // A whole connection, with its end.
    let before = network.carried();
    let all = send().await;
    network
        .eventually(LONGEST_WAIT, async || a.texts().await == all)
        .await;
    network
        .eventually(LONGEST_WAIT, async || b.waiting().await.is_empty())
        .await;
    network.rests(&a, &b).await;
    let whole = network.carried() - before;
    for place in places(whole, 24) {
        let cuts = network.cut_after(place);
        let mut all = Vec::new();
        while network.cuts() == cuts {
            all = send().await;
            let count = all.len();
            let is_over = async || network.cuts() > cuts || a.texts().await.len() >= count;
            network.eventually(LONGEST_WAIT, is_over).await;
        }
        let count = all.len();
        network
            .eventually(LONGEST_WAIT, async || a.texts().await.len() >= count)
            .await;
        assert_eq!(a.texts().await, all, "cut after {place} bytes");
        network
            .eventually(LONGEST_WAIT, async || b.waiting().await.is_empty())
            .await;
        network.rests(&a, &b).await;
    }
    assert_eq!(network.cuts(), 24);
    assert_eq!(a.peers().await[0].1, "active");
    assert_eq!(b.peers().await[0].1, "active");
}

/// A peer whose key was replaced eleven times is reached over four connections: the handshake that fails, two
/// pages of key events, and the one for messages.
// PEER-14, PEER-15
#[tokio::test]
async fn a_walk_along_the_key_events_of_a_peer_that_is_cut_anywhere_goes_on() {
    const PLACES: usize = 12;
    let (network, a, b) = Network::peers().await;
    // Site A would tell its new key by itself.
    network.hide_b();
    network.rests(&a, &b).await;
    let file = json!({ "slot_file": a.served.slot.to_text().expose() });
    let rotation = json!({ "secrets": [file], "slots": [file] });
    let rotate = async || {
        for _ in 0..11 {
            a.admin("site.key_new", rotation.clone()).await;
        }
    };
    let mut sent = Vec::new();
    let mut send = async || {
        sent.push(format!("message {}", sent.len()));
        b.send("ada@a.example", sent.last().unwrap()).await;
        sent.clone()
    };
    rotate().await;
    let before = network.carried();
    let all = send().await;
    network
        .eventually(LONGEST_WAIT, async || a.texts().await == all)
        .await;
    network.rests(&a, &b).await;
    let whole = network.carried() - before;
    for place in places(whole, PLACES) {
        rotate().await;
        let cuts = network.cut_after(place);
        let mut all = Vec::new();
        while network.cuts() == cuts {
            all = send().await;
            let count = all.len();
            let is_over = async || network.cuts() > cuts || a.texts().await.len() >= count;
            network.eventually(LONGEST_WAIT, is_over).await;
        }
        let count = all.len();
        network
            .eventually(LONGEST_WAIT, async || a.texts().await.len() >= count)
            .await;
        assert_eq!(a.texts().await, all, "cut after {place} bytes");
        network
            .eventually(LONGEST_WAIT, async || b.waiting().await.is_empty())
            .await;
        network.rests(&a, &b).await;
    }
    assert_eq!(network.cuts(), PLACES);
    let shown = b.show("a.example").await;
    assert_eq!(shown["key_event"], (1 + PLACES) * 11);
}
