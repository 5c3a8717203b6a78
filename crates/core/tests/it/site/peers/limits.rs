//! What a person of a site and its peers may do to the site and to other people, at most.

use std::future::pending;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use countersign_core::access::Caller;
use countersign_core::engine::{
    DeliveryReport, IncomingState, MAX_JOINS, MAX_PAGE_BYTES, NewPeerConnection, NotEnrolled,
    PeerBreach,
};
use countersign_core::id::MessageId;
use countersign_core::peers::MAX_NEW_RECIPIENTS;
use countersign_core::timestamp::Timestamp;
use countersign_proto::operation::Code;
use countersign_proto::peer::{PeerHello, PeerTicket};
use countersign_testkit::harness::{PEER_SOURCE, StubTransport, TestPeer, TestSite, run};
use serde_json::{Value, json};

/// After so many polls, a join waits for the other site.
const POLLS: usize = 1_000;

/// A person whose ticket names a silent address held a turn at public-key work for 30 s: on most
/// machines there are one or two for all accounts.
#[tokio::test]
async fn a_join_that_waits_for_the_other_site_holds_no_turn_at_public_key_work() {
    let test = TestSite::new().await;
    let join = test.site.table().find("peer", "join").unwrap();
    assert!(!join.is_costly());
}

// PEER-52
#[tokio::test]
async fn one_join_of_a_person_and_four_in_all_wait_for_other_sites() {
    let (test, _) = TestSite::with_peer().await;
    test.site
        .connect_peers_with(StubTransport::joining(pending));
    let ticket = TestPeer::new("c.example").ticket();
    let ticket = ticket.to_uri().expose().to_owned();
    let caller = Caller::admin_socket();
    let join = |person: &str| {
        let params = json!({ "ticket": ticket, "person": person });
        let (site, caller) = (test.site.clone(), caller.clone());
        Box::pin(async move { run(&site, &caller, "peer.join", params).await.0 })
    };
    let mut context = Context::from_waker(Waker::noop());
    let mut waiting = Vec::new();
    for n in 0..MAX_JOINS {
        let person = format!("person-{n}");
        test.admin("person.create", json!({ "name": person })).await;
        let mut first = join(&person);
        for _ in 0..POLLS {
            assert_eq!(first.as_mut().poll(&mut context), Poll::Pending);
        }
        assert_eq!(join(&person).await, Code::BUSY, "a second one of {person}");
        waiting.push(first);
    }
    assert_eq!(join("ada").await, Code::BUSY);
    waiting.pop();
    let mut next = pin!(join("ada"));
    for _ in 0..POLLS {
        assert_eq!(next.as_mut().poll(&mut context), Poll::Pending);
    }
}

/// A page of a thousand messages had up to 28 MB.
// OPS-12
#[tokio::test]
async fn a_page_of_long_entries_ends_early_and_the_next_one_continues_it() {
    let (test, _) = TestSite::with_peer().await;
    let text = "\u{20ac}".repeat(1_365);
    for _ in 0..300 {
        let params = json!({ "from": "ada", "to": "bob@b.example", "text": text });
        test.admin("peer.send", params).await;
    }
    let (mut seen, mut after) = (Vec::new(), Value::Null);
    loop {
        let params = json!({ "person": "ada", "limit": 1000, "after": after });
        let page = test.admin("peer.outbox", params).await;
        let entries = page["entries"].as_array().unwrap();
        assert!(!entries.is_empty() && entries.len() < 300);
        let bytes: usize = entries.iter().map(|entry| entry.to_string().len()).sum();
        assert!(bytes <= MAX_PAGE_BYTES, "{bytes}");
        seen.extend(entries.iter().map(|entry| entry["id"].to_string()));
        if page["next"].is_null() {
            break;
        }
        after = page["next"].clone();
    }
    assert_eq!(seen.len(), 300);
    seen.dedup();
    assert_eq!(seen.len(), 300);
}

async fn send(test: &TestSite, to: &str) -> Code {
    let params = json!({ "from": "ada", "to": to, "text": "hello" });
    let caller = Caller::admin_socket();
    run(&test.site, &caller, "peer.send", params).await.0
}

/// The ids and recipients of the messages that are sent now.
async fn sent_now(test: &TestSite, peer: &TestPeer, now: Timestamp) -> Vec<(MessageId, String)> {
    let batch = test
        .site
        .messages_for(peer.known().id(), now)
        .await
        .unwrap();
    let messages = batch.messages.iter();
    messages
        .map(|message| (message.id, message.to.to_string()))
        .collect()
}

/// One full inbox held up the messages of a whole site: those that had to wait came first again.
// PEER-51
#[tokio::test]
async fn a_pair_that_has_to_wait_holds_up_no_other_and_is_sent_again_later() {
    let (test, peer) = TestSite::with_peer().await;
    let (site, now) = (peer.known().id(), test.now());
    for to in ["bob@b.example", "bob@b.example", "eve@b.example"] {
        send(&test, to).await;
    }
    let reports: Vec<_> = sent_now(&test, &peer, now).await;
    let reports: Vec<_> = reports
        .into_iter()
        .map(|(id, to)| DeliveryReport {
            id,
            state: match to.as_str() {
                "eve@b.example" => IncomingState::Accepted,
                _ => IncomingState::Later,
            },
        })
        .collect();
    assert_eq!(reports.len(), 3);
    let follow = test.site.messages_reported(site, &reports, now).await;
    assert!(!follow.unwrap(), "the site rests");
    assert_eq!(sent_now(&test, &peer, now).await, []);
    assert_eq!(test.site.peers_awaited(now).await.unwrap(), []);
    let batch = test.site.messages_for(site, now).await.unwrap();
    let until = now.plus_seconds(5);
    assert_eq!(batch.again, Some(until));
    send(&test, "zoe@b.example").await;
    let others = sent_now(&test, &peer, now).await;
    assert_eq!(others.len(), 1);
    assert_eq!(others[0].1, "zoe@b.example");
    assert_eq!(sent_now(&test, &peer, until).await.len(), 3);
}

// PEER-51
#[tokio::test]
async fn first_messages_of_a_person_wait_for_eight_persons_of_a_peer_at_most() {
    let (test, peer) = TestSite::with_peer().await;
    for n in 0..MAX_NEW_RECIPIENTS {
        let to = format!("p{n}@b.example");
        assert_eq!(send(&test, &to).await, Code::SUCCESS);
    }
    assert_eq!(send(&test, "p8@b.example").await, Code::CONFLICT);
    assert_eq!(send(&test, "p0@b.example").await, Code::SUCCESS);
    let first = sent_now(&test, &peer, test.now()).await[0].0;
    let reports = [DeliveryReport {
        id: first,
        state: IncomingState::Accepted,
    }];
    let reported = test
        .site
        .messages_reported(peer.known().id(), &reports, test.now());
    reported.await.unwrap();
    assert_eq!(send(&test, "p8@b.example").await, Code::SUCCESS);
    assert_eq!(send(&test, "p9@b.example").await, Code::CONFLICT);
    assert_eq!(send(&test, "p0@b.example").await, Code::SUCCESS);
}

/// What a thief of a session has queued was sent as soon as the lockdown of its person was lifted.
#[tokio::test]
async fn the_messages_of_a_person_that_wait_are_discarded_at_once() {
    let (test, peer) = TestSite::with_peer().await;
    for to in ["bob@b.example", "eve@b.example"] {
        send(&test, to).await;
    }
    let caller = Caller::admin_socket();
    let ada = || json!({ "person": "ada" });
    let discard = async |name| run(&test.site, &caller, name, ada()).await.0;
    assert_eq!(discard("peer.discard").await, Code::INVALID_PARAMS);
    assert_eq!(discard("peer.discard_waiting").await, Code::SUCCESS);
    assert_eq!(sent_now(&test, &peer, test.now()).await, []);
}

/// A member's phone in a loop discarded nothing, each time with an audit entry, until the disk was full.
#[tokio::test]
async fn a_person_without_messages_that_wait_discards_nothing_without_an_audit_entry() {
    let (test, _) = TestSite::with_peer().await;
    send(&test, "bob@b.example").await;
    let caller = Caller::admin_socket();
    let discard = async || {
        let ada = json!({ "person": "ada" });
        run(&test.site, &caller, "peer.discard_waiting", ada)
            .await
            .0
    };
    assert_eq!(discard().await, Code::SUCCESS);
    let entries = test.audit().await.len();
    assert_eq!(discard().await, Code::SUCCESS);
    assert_eq!(test.audit().await.len(), entries);
}

/// A peer that replaced its key without end made the site verify, store and audit without end.
// PEER-50
#[tokio::test]
async fn new_keys_of_a_peer_are_followed_eight_times_at_once_and_then_once_an_hour() {
    let (test, peer) = TestSite::with_peer().await;
    let now = test.now();
    let connects = async |peer: &TestPeer, now| {
        let connection = peer.connect(&test.site, now).await;
        connection.is_some_and(|connection| {
            drop(connection);
            true
        })
    };
    let mut newest = (*peer).clone();
    for _ in 0..8 {
        newest = newest.rotated();
        assert!(connects(&newest, now).await);
    }
    let ninth = newest.rotated();
    assert!(!connects(&ninth, now).await);
    assert!(connects(&newest, now).await, "it is a peer all the same");
    // A ticket that is not used up lets the peer join again later.
    let issued = test.admin("peer.ticket", json!({ "person": "ada" })).await;
    let ticket: PeerTicket = issued["uri"].as_str().unwrap().parse().unwrap();
    let refused = ninth.join(&test.site, &ticket, now).await;
    assert_eq!(refused, Err(NotEnrolled::Refused));
    let listed = test.admin("ticket.list", json!({ "person": "ada" })).await;
    let mut listed = listed["entries"].as_array().unwrap().iter();
    assert!(listed.any(|listed| listed["id"] == issued["id"] && listed["state"] == "open"));
    assert!(connects(&ninth, now.plus_seconds(3_600)).await);
}

/// A client with any key could make the site verify the key events of a peer.
// PEER-15
#[tokio::test]
async fn key_events_whose_last_key_the_client_does_not_prove_are_not_followed() {
    let (test, peer) = TestSite::with_peer().await;
    let hello = PeerHello::new(peer.known().id(), peer.bob(), &peer.rotated().events);
    let new = NewPeerConnection {
        hello,
        key: peer.key().public().signing,
        source: PEER_SOURCE,
        cut: Box::new(|_| {}),
    };
    assert!(
        test.site
            .open_peer(new, test.now())
            .await
            .unwrap()
            .is_none()
    );
    let listed = test.admin("peer.list", json!({})).await;
    assert_eq!(listed["entries"][0]["key_event"], 0);
}

async fn state(test: &TestSite) -> Value {
    test.admin("peer.list", json!({})).await["entries"][0]["state"].clone()
}

/// A busy site that answered an honest peer once in a while counted each answer as a breach.
// PEER-21
#[tokio::test]
async fn operations_above_a_rate_are_breaches_only_within_a_second_of_another_one() {
    let (test, peer) = TestSite::with_peer().await;
    let (site, now) = (peer.known().id(), test.now());
    let fault = async |now| {
        let counted = test.site.peer_fault(site, PeerBreach::Rate, now).await;
        counted.unwrap();
    };
    for second in 0..400 {
        fault(now.plus_seconds(second)).await;
    }
    assert_eq!(state(&test).await, "active");
    let now = now.plus_seconds(500);
    for _ in 0..151 {
        fault(now).await;
    }
    assert_eq!(state(&test).await, "suspended");
}

fn message(number: u64, to: &str) -> Value {
    json!({
        "id": format!("019523d0-5c00-7000-8000-{number:012}"),
        "number": number,
        "from": "bob@b.example",
        "to": to,
        "text": "hello",
        "sent": "2026-03-01T12:00:00.000Z",
    })
}

/// The reason of a refusal, and the state `later` without it, told which names exist.
// PEER-24
#[tokio::test]
async fn a_peer_learns_no_name_from_great_numbers_or_from_first_messages_that_are_accepted() {
    let (test, peer) = TestSite::with_peer().await;
    let opened = peer.connect(&test.site, test.now()).await.unwrap();
    let deliver = async |message: Value| {
        let params = json!({ "messages": [message] });
        let (code, data) = run(&test.site, &opened.caller, "peer.deliver", params).await;
        assert_eq!(code, Code::SUCCESS, "{data}");
        data["reports"][0].clone()
    };
    let mut great = message(1, "ada@example.org");
    great["number"] = json!(u64::MAX);
    let known = deliver(great.clone()).await;
    great["to"] = json!("no-one@example.org");
    assert_eq!(deliver(great).await, known);
    let mut accepted = 0;
    for n in 0..61 {
        let name = format!("person-{n}");
        test.admin("person.create", json!({ "name": name })).await;
        let report = deliver(message(n + 1, &format!("{name}@example.org"))).await;
        accepted += u32::from(report["state"] == "accepted");
    }
    assert_eq!(accepted, 60);
    let unknown = deliver(message(100, "no-one@example.org")).await;
    assert_eq!(unknown["state"], "later");
}

// PEER-9, PEER-52
#[tokio::test]
async fn the_site_of_a_bound_ticket_repeats_it_eight_times_at_once() {
    let (test, _) = TestSite::with_peer().await;
    let peer = TestPeer::new("c.example");
    let issued = test.admin("peer.ticket", json!({ "person": "ada" })).await;
    let ticket: PeerTicket = issued["uri"].as_str().unwrap().parse().unwrap();
    let now = test.now();
    for _ in 0..9 {
        assert_eq!(peer.join(&test.site, &ticket, now).await, Ok(()));
    }
    let refused = Err(NotEnrolled::Refused);
    assert_eq!(peer.join(&test.site, &ticket, now).await, refused);
    let later = now.plus_seconds(60);
    assert_eq!(peer.join(&test.site, &ticket, later).await, Ok(()));
}

/// A peer that was restored from a backup, and a thief of an old key, raised the alarm of a stolen key.
// PEER-53
#[tokio::test]
async fn a_site_that_joins_with_key_events_of_before_is_refused_without_an_alarm_of_a_fork() {
    let (test, peer) = TestSite::with_peer().await;
    let newest = peer.rotated();
    assert!(newest.connect(&test.site, test.now()).await.is_some());
    let join = async |peer: &TestPeer| {
        let issued = test.admin("peer.ticket", json!({ "person": "ada" })).await;
        let ticket: PeerTicket = issued["uri"].as_str().unwrap().parse().unwrap();
        peer.join(&test.site, &ticket, test.now()).await
    };
    assert_eq!(join(&peer).await, Err(NotEnrolled::Refused));
    test.site.raise_reported(test.now()).await.unwrap();
    let listed = test.admin("alarm.list", json!({})).await;
    assert_eq!(listed["entries"], json!([]));
    assert_eq!(join(&newest).await, Ok(()));
}
