//! Which sites become peers and may connect, at a site without listeners.

mod attacks;
mod breaches;
mod heads;
mod joins;
mod limits;
mod messages;
mod numbers;
mod show;
mod told;
mod transport;
mod void_heads;

use countersign_core::engine::NotEnrolled;
use countersign_proto::operation::Code;
use countersign_proto::peer::PeerTicket;
use countersign_testkit::harness::{TestPeer, TestSite};
use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::task::yield_now;

/// A site with the person ada and a peer server.
async fn site() -> TestSite {
    let test = TestSite::new().await;
    test.admin("person.create", json!({ "name": "ada" })).await;
    test.starts_peer_server().await;
    test
}

async fn ticket(test: &TestSite) -> PeerTicket {
    let issued = test.admin("peer.ticket", json!({ "person": "ada" })).await;
    issued["uri"].as_str().unwrap().parse().unwrap()
}

async fn join(test: &TestSite, peer: &TestPeer) -> Result<(), NotEnrolled> {
    peer.join(&test.site, &ticket(test).await, test.now()).await
}

async fn connects(test: &TestSite, peer: &TestPeer) -> bool {
    let connection = peer.connect(&test.site, test.now()).await;
    connection.is_some_and(|connection| {
        drop(connection);
        true
    })
}

/// An attempt that took too long after the handshake left its connection registered: the site did not
/// connect to that peer again.
// PEER-15
#[tokio::test]
async fn a_connection_whose_opening_is_given_up_anywhere_is_not_open() {
    let test = site().await;
    let peer = test.peer("ada").await;
    let id = peer.known().id();
    let mut given_up = 0;
    for polls in 0_u32.. {
        // Late enough that the site stores when it saw the peer.
        let now = test.now().plus_seconds(61 * (polls + 1));
        let cut = Box::new(|_| {});
        let key = peer.key().public().signing;
        let mut opening = Box::pin(test.site.peer_reached(id, key, &peer.events, cut, now));
        let mut opened = None;
        for _ in 0..=polls {
            if opened.is_none() {
                opened = (&mut opening).now_or_never();
            }
            yield_now().await;
        }
        given_up += test.site.peer_connections(id).len() - usize::from(opened.is_some());
        drop(opening);
        let is_open = opened.is_some();
        assert_eq!(test.site.peer_connections(id).len(), usize::from(is_open));
        drop(opened);
        assert_eq!(test.site.peer_connections(id), []);
        if is_open {
            break;
        }
    }
    assert!(
        given_up > 0,
        "no attempt was given up after the registration"
    );
}

async fn show(test: &TestSite) -> Value {
    let listed = test.admin("peer.list", json!({})).await;
    listed["entries"][0].clone()
}

/// The persons whom the site names to the peer, one after each refusal.
async fn named(test: &TestSite, peer: &TestPeer, count: usize) -> Vec<String> {
    let site = peer.known().id();
    let mut named = Vec::new();
    for _ in 0..count {
        let plan = test.site.peer_plan(site, test.now()).await.unwrap();
        named.push(plan.unwrap().hello.id.to_string());
        test.site.introduction_refused(site);
    }
    named
}

/// A site named the persons of the oldest introduction for ever. A peer that had forgotten this site and met it
/// again did not know them, and refused each connection in silence.
// PEER-73
#[tokio::test]
async fn a_site_names_the_newest_introduction_first_and_after_a_refusal_the_one_before() {
    let (test, peer) = (site().await, TestPeer::new("b.example"));
    for person in ["eve", "zoe"] {
        test.admin("person.create", json!({ "name": person })).await;
    }
    for person in ["ada", "eve", "zoe"] {
        test.introduce(&peer, person).await;
    }
    let expected = ["zoe", "eve", "ada", "zoe"].map(|name| format!("{name}@example.org"));
    assert_eq!(named(&test, &peer, 4).await, expected);
    // The same persons meet again, one of them with a new name.
    let rename = json!({ "name": "eve", "new_name": "evelyn" });
    test.admin("person.update", rename).await;
    test.introduce(&peer, "evelyn").await;
    let expected = ["evelyn", "zoe", "ada"].map(|name| format!("{name}@example.org"));
    assert_eq!(named(&test, &peer, 3).await, expected);
}

/// This site reached the peer, which welcomed it.
async fn reached(test: &TestSite, peer: &TestPeer) {
    let key = peer.key().public().signing;
    let (id, cut) = (peer.known().id(), Box::new(|_| {}));
    let reached = test
        .site
        .peer_reached(id, key, &peer.events, cut, test.now());
    drop(reached.await.unwrap().unwrap());
}

/// A peer that was restarted, sealed or without room on its disk closed the connection in silence as one that knows
/// no such introduction does. Each time, the site went on to the next introduction, and once the peer was back, it
/// was refused up to 31 times more.
// PEER-77
#[tokio::test]
async fn a_site_names_the_introduction_that_the_peer_accepted_with_every_second_attempt() {
    let (test, peer) = (site().await, TestPeer::new("b.example"));
    for person in ["eve", "zoe", "amy"] {
        test.admin("person.create", json!({ "name": person })).await;
    }
    for person in ["ada", "eve", "zoe"] {
        test.introduce(&peer, person).await;
    }
    let names = |names: &[&str]| -> Vec<String> {
        let names = names.iter();
        names.map(|name| format!("{name}@example.org")).collect()
    };
    // The peer knows no introduction by zoe.
    assert_eq!(named(&test, &peer, 1).await, names(&["zoe"]));
    test.site
        .peer_plan(peer.known().id(), test.now())
        .await
        .unwrap();
    reached(&test, &peer).await;
    let refused = ["eve", "eve", "zoe", "eve", "ada"];
    assert_eq!(named(&test, &peer, 5).await, names(&refused));
    assert_eq!(named(&test, &peer, 1).await, names(&["eve"]));
    // Another introduction comes first, until the peer refuses it.
    test.introduce(&peer, "amy").await;
    let refused = ["amy", "eve", "zoe", "eve", "ada", "eve", "amy"];
    assert_eq!(named(&test, &peer, 7).await, names(&refused));
}

/// The first two persons introduced the sites again, for example for a new address. Their introduction was then one
/// of those that make room, and one person of the peer with 31 accounts pushed it out.
// PEER-73
#[tokio::test]
async fn the_introduction_of_the_first_two_persons_stays_also_if_they_repeat_it() {
    let (test, peer) = (site().await, TestPeer::new("b.example"));
    test.admin("person.create", json!({ "name": "eve" })).await;
    test.introduce(&peer, "ada").await;
    test.introduce(&peer, "eve").await;
    let later = test.now().plus_seconds(1);
    peer.join(&test.site, &ticket(&test).await, later)
        .await
        .unwrap();
    let expected = ["ada", "eve"].map(|name| format!("{name}@example.org"));
    assert_eq!(named(&test, &peer, 2).await, expected);
    for number in 0..40 {
        let person = format!("person-{number}");
        test.admin("person.create", json!({ "name": person })).await;
        test.introduce(&peer, &person).await;
    }
    let shown = show(&test).await["introductions"].clone();
    assert_eq!(shown.as_array().unwrap().len(), 32);
    assert_eq!(shown[0]["own"], "ada@example.org");
    assert_eq!(shown[1]["own"], "person-9@example.org");
}

/// From the 33rd introduction on, the new pair was stored at one of the two sites alone.
// PEER-73
#[tokio::test]
async fn the_first_introduction_and_the_newest_ones_are_kept() {
    let (test, peer) = (site().await, TestPeer::new("b.example"));
    test.introduce(&peer, "ada").await;
    for number in 0..40 {
        let person = format!("person-{number}");
        test.admin("person.create", json!({ "name": person })).await;
        test.introduce(&peer, &person).await;
    }
    let shown = show(&test).await["introductions"].clone();
    let shown = shown.as_array().unwrap().iter();
    let own: Vec<_> = shown
        .map(|introduction| introduction["own"].clone())
        .collect();
    let newest = (9..40).map(|number| format!("person-{number}@example.org"));
    let expected: Vec<_> = std::iter::once("ada@example.org".to_owned())
        .chain(newest)
        .collect();
    assert_eq!(own, expected);
    assert!(connects(&test, &peer).await);
}

/// The host of a first join was stored in lower case, that of a second one as it came. The peer then told the
/// address again, which cost one of its eight changes.
// PEER-32
#[tokio::test]
async fn the_host_of_a_peer_is_stored_in_lower_case_with_each_join() {
    let (test, mut peer) = (site().await, TestPeer::new("b.example"));
    peer.host = "B.example".to_owned();
    for person in ["ada", "eve"] {
        if person == "eve" {
            test.admin("person.create", json!({ "name": person })).await;
        }
        test.introduce(&peer, person).await;
        assert_eq!(show(&test).await["address"], "b.example:4750");
    }
}

// PEER-15
#[tokio::test]
async fn a_peer_that_replaced_its_key_three_times_is_followed_and_its_old_keys_are_refused() {
    let (test, first) = (site().await, TestPeer::new("b.example"));
    join(&test, &first).await.unwrap();
    assert!(connects(&test, &first).await);
    let newest = first.rotated().rotated().rotated();
    assert!(connects(&test, &newest).await);
    let shown = show(&test).await;
    assert_eq!(shown["key_event"], 3);
    assert_eq!(shown["site"], first.known().id().to_string());
    for old in [&first, &first.rotated()] {
        assert!(!connects(&test, old).await);
    }
}

/// The thief has the current key and not the next one.
// PEER-15
#[tokio::test]
async fn a_key_event_of_a_thief_is_refused_and_the_peers_own_one_is_followed() {
    let (test, peer) = (site().await, TestPeer::new("b.example"));
    join(&test, &peer).await.unwrap();
    let thief = peer.rotated_to(&TestPeer::new("b.example"));
    assert!(!connects(&test, &thief).await);
    assert_eq!(show(&test).await["key_event"], 0);
    assert!(connects(&test, &peer.rotated()).await);
    let alarms = test.admin("alarm.list", json!({})).await;
    assert_eq!(
        alarms["entries"],
        json!([]),
        "a site without an admin has none"
    );
}

// PEER-8, PEER-12
#[tokio::test]
async fn a_join_with_a_replaced_key_or_another_zone_is_refused_and_spends_the_ticket() {
    let (test, peer) = (site().await, TestPeer::new("b.example"));
    join(&test, &peer).await.unwrap();
    let newest = peer.rotated();
    join(&test, &newest).await.unwrap();
    assert_eq!(show(&test).await["key_event"], 1);
    assert_eq!(join(&test, &peer).await, Err(NotEnrolled::Refused));
    let mut moved = newest.rotated();
    moved.zone = "c.example".to_owned();
    assert_eq!(join(&test, &moved).await, Err(NotEnrolled::Refused));
    let own = TestPeer::new("example.org");
    assert_eq!(join(&test, &own).await, Err(NotEnrolled::Refused));
    let tickets = test.admin("ticket.list", json!({ "person": "ada" })).await;
    let tickets = tickets["entries"].as_array().unwrap().iter();
    let mut why: Vec<_> = tickets
        .filter_map(|ticket| ticket["why"].as_str())
        .collect();
    why.sort_unstable();
    assert_eq!(why, ["wrong_proof", "zone_in_use", "zone_in_use"]);
}

// PEER-8, PEER-10
#[tokio::test]
async fn a_ticket_of_another_kind_or_without_a_proof_is_spent_and_an_unknown_one_is_counted() {
    let (test, peer) = (site().await, TestPeer::new("b.example"));
    let unknown = peer.ticket();
    let refused = peer.join(&test.site, &unknown, test.now()).await;
    assert_eq!(refused, Err(NotEnrolled::Refused));
    let ticket = ticket(&test).await;
    let request = peer.request(&ticket);
    let source = countersign_testkit::harness::PEER_SOURCE;
    let no_proof = async { None };
    let refused = test
        .site
        .accept_peer(&request, no_proof, source, test.now())
        .await;
    assert_eq!(refused, Err(NotEnrolled::Refused));
    let again = peer.join(&test.site, &ticket, test.now()).await;
    assert_eq!(again, Err(NotEnrolled::Refused));
    assert_eq!(show(&test).await, Value::Null);
}

/// Tries to become a peer and to connect, in this order.
async fn is_served(
    test: &TestSite,
    ticket: &PeerTicket,
    new: &TestPeer,
    old: &TestPeer,
) -> [bool; 2] {
    let joined = new.join(&test.site, ticket, test.now()).await;
    [joined.is_ok(), connects(test, old).await]
}

#[tokio::test]
async fn a_lockdown_of_the_site_refuses_joins_at_the_first_level_and_connections_at_the_second() {
    let (test, peer) = (site().await, TestPeer::new("b.example"));
    join(&test, &peer).await.unwrap();
    let (ticket, other) = (ticket(&test).await, TestPeer::new("c.example"));
    for (level, connects) in [("enrolment", true), ("logins", false), ("all", false)] {
        let imposed = json!({ "level": level });
        test.admin("lockdown.site", imposed).await;
        let served = is_served(&test, &ticket, &other, &peer).await;
        assert_eq!(served, [false, connects], "{level}");
        let plan = test
            .site
            .peer_plan(peer.known().id(), test.now())
            .await
            .unwrap();
        assert_eq!(plan.is_some(), connects, "{level}");
    }
    test.admin("lockdown.lift", json!({ "site": true })).await;
    // The ticket was not spent.
    let served = is_served(&test, &ticket, &other, &peer).await;
    assert_eq!(served, [true, true]);
}

#[tokio::test]
async fn a_peer_in_lockdown_is_refused_by_its_site_id_until_it_is_lifted() {
    let (test, peer) = (site().await, TestPeer::new("b.example"));
    join(&test, &peer).await.unwrap();
    let site_id = peer.known().id();
    let imposed = json!({ "peer": "b.example", "reason": "under investigation" });
    let view = test.admin("lockdown.peer", imposed.clone()).await;
    assert_eq!(view["target"], format!("peer {site_id} (b.example)"));
    assert_eq!(view["peer"], site_id.to_string());
    test.admin("lockdown.peer", imposed).await;
    let imposed = test.audited().await;
    let imposed = imposed
        .iter()
        .filter(|line| line.starts_with("lockdown.peer"));
    assert_eq!(imposed.count(), 1, "the same again writes nothing");
    assert_eq!(
        show(&test).await["lockdown"]["reason"],
        "under investigation"
    );
    let spare = ticket(&test).await;
    // Another key of the same site does not help, and another peer is served.
    assert_eq!(
        is_served(&test, &spare, &peer, &peer.rotated()).await,
        [false, false]
    );
    assert!(
        test.site
            .peer_plan(site_id, test.now())
            .await
            .unwrap()
            .is_none()
    );
    let other = TestPeer::new("c.example");
    join(&test, &other).await.unwrap();
    assert!(connects(&test, &other).await);

    // It stays in lockdown although an admin forgets it.
    test.admin("peer.remove", json!({ "peer": "b.example" }))
        .await;
    test.admin("peer.forget", json!({ "peer": site_id })).await;
    assert!(peer.join(&test.site, &spare, test.now()).await.is_err());
    test.admin("lockdown.lift", json!({ "peer": site_id }))
        .await;
    assert_eq!(is_served(&test, &spare, &peer, &peer).await, [true, true]);
    let status = test.admin("lockdown.status", json!({})).await;
    assert_eq!(status["entries"], json!([]));
    for unknown in ["d.example", "b..example"] {
        let (code, _) = test
            .refused("lockdown.peer", json!({ "peer": unknown }))
            .await;
        assert_eq!(code, Code::NOT_FOUND, "{unknown}");
    }
}

#[tokio::test]
async fn a_person_in_lockdown_gets_no_ticket_for_peers_and_theirs_are_refused_unspent() {
    let (test, peer) = (site().await, TestPeer::new("b.example"));
    let ticket = ticket(&test).await;
    test.admin("lockdown.person", json!({ "name": "ada" }))
        .await;
    let (code, _) = test
        .refused("peer.ticket", json!({ "person": "ada" }))
        .await;
    assert_eq!(code, Code::CONFLICT);
    assert!(peer.join(&test.site, &ticket, test.now()).await.is_err());
    test.admin("lockdown.lift", json!({ "person": "ada" }))
        .await;
    assert!(peer.join(&test.site, &ticket, test.now()).await.is_ok());
}
