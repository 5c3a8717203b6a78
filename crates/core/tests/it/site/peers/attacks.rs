//! What a thief of a peer's key, a hostile peer and a slow one can do, at a site without listeners.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use countersign_core::access::Caller;
use countersign_core::engine::{NewPeerConnection, PeerConnection};
use countersign_core::lockdown::LockdownLevel;
use countersign_core::sessions::CloseReason;
use countersign_proto::operation::Code;
use countersign_proto::peer::PeerHello;
use countersign_testkit::harness::{
    PEER_SOURCE, StubTransport, TestPeer, TestSite, run, stays_open,
};
use serde_json::{Value, json};

/// A site with the person ada, the admin root and a peer server, and its peer.
pub(super) async fn site() -> (TestSite, Arc<TestPeer>) {
    let (test, peer) = TestSite::with_peer().await;
    test.person("root", "admin").await;
    (test, peer)
}

/// Why connections were cut.
#[derive(Clone, Default)]
pub(super) struct Cut(Arc<Mutex<Vec<CloseReason>>>);

impl Cut {
    fn reasons(&self) -> Vec<CloseReason> {
        self.0.lock().unwrap().clone()
    }
}

/// A connection with the peer's key, after a hello with these key events.
pub(super) async fn connect(
    test: &TestSite,
    peer: &TestPeer,
    hello: PeerHello,
    cut: &Cut,
) -> Option<PeerConnection> {
    let cut = cut.clone();
    let new = NewPeerConnection {
        hello,
        key: peer.key().public().signing,
        source: PEER_SOURCE,
        cut: Box::new(move |reason| cut.0.lock().unwrap().push(reason)),
    };
    test.site.open_peer(new, test.now()).await.unwrap()
}

pub(super) fn hello(of: &TestPeer) -> PeerHello {
    PeerHello::new(
        of.events[0].event().site_id().unwrap(),
        of.bob(),
        &of.events,
    )
}

async fn calls(test: &TestSite, caller: &Caller, command: &str, params: Value) -> (Code, Value) {
    run(&test.site, caller, command, params).await
}

pub(super) fn message(id: u32, number: u64, to: &str) -> Value {
    json!({
        "id": format!("019523d0-5c00-7000-8000-{id:012}"),
        "number": number,
        "from": "bob@b.example",
        "to": to,
        "text": "hello",
        "sent": "2026-03-01T12:00:00.000Z",
    })
}

pub(super) const ADA: &str = "ada@example.org";

/// What the site does with one message.
pub(super) async fn delivered(test: &TestSite, caller: &Caller, message: Value) -> String {
    let params = json!({ "messages": [message] });
    let (code, data) = calls(test, caller, "peer.deliver", params).await;
    assert_eq!(code, Code::SUCCESS, "{data}");
    data["reports"][0]["state"].as_str().unwrap().to_owned()
}

pub(super) async fn inbox(test: &TestSite) -> usize {
    let inbox = test.admin("peer.inbox", json!({ "person": "ada" })).await;
    inbox["entries"].as_array().unwrap().len()
}

async fn state(test: &TestSite) -> String {
    let listed = test.admin("peer.list", json!({})).await;
    listed["entries"][0]["state"].as_str().unwrap().to_owned()
}

async fn alarms(test: &TestSite) -> Vec<Value> {
    test.site.raise_reported(test.now()).await.unwrap();
    let listed = test.admin("alarm.list", json!({})).await;
    listed["entries"].as_array().unwrap().clone()
}

/// A thief of the current key connected as often as possible. The peer replaced its key, and the
/// thief's connections stayed: they got the messages for the peer and kept the peer out.
// PEER-22
#[tokio::test]
async fn a_new_key_of_a_peer_ends_the_connections_with_the_old_one_and_the_peer_connects() {
    let (test, thief) = site().await;
    let (cut, honest) = (Cut::default(), Cut::default());
    let mut stolen = Vec::new();
    for _ in 0..4 {
        stolen.extend(connect(&test, &thief, hello(&thief), &cut).await);
    }
    assert_eq!(stolen.len(), 4);
    let peer = thief.rotated();
    let connection = connect(&test, &peer, hello(&peer), &honest).await;
    assert_eq!(cut.reasons(), [CloseReason::KeyRevoked; 4]);
    assert!(connect(&test, &thief, hello(&thief), &cut).await.is_none());
    assert_eq!(honest.reasons(), []);
    let (code, _) = calls(&test, &connection.unwrap().caller, "peer.ping", json!({})).await;
    assert_eq!(code, Code::SUCCESS);
}

/// A thief of a replaced key had an operation on its connection, which was cut when the peer connected with
/// its new key. The site permitted it, since a connection of the peer was open, and counted it as one of
/// the peer.
// PEER-22
#[tokio::test]
async fn an_operation_on_a_cut_connection_is_refused_while_another_one_of_the_peer_is_open() {
    let (test, thief) = site().await;
    let cut = Cut::default();
    let stolen = connect(&test, &thief, hello(&thief), &cut).await.unwrap();
    let peer = thief.rotated();
    let honest = connect(&test, &peer, hello(&peer), &Cut::default()).await;
    assert_eq!(cut.reasons(), [CloseReason::KeyRevoked]);
    // Enough to suspend the peer, if they were its own.
    for command in ["peer.ping", "person.list"] {
        for _ in 0..300 {
            let (code, _) = calls(&test, &stolen.caller, command, json!({})).await;
            assert_eq!(code, Code::NOT_PERMITTED);
        }
    }
    assert_eq!(state(&test).await, "active");
    let (code, _) = calls(&test, &honest.unwrap().caller, "peer.ping", json!({})).await;
    assert_eq!(code, Code::SUCCESS);
}

/// A link that was cut four times in five minutes, or a peer that came from new addresses, left four
/// connections open here that the peer had lost: its next ones were refused, in silence and with penalties.
// PEER-70
#[tokio::test]
async fn a_new_connection_of_a_peer_replaces_its_oldest_one_and_a_client_without_its_key_ends_none()
{
    let (test, peer) = site().await;
    let cuts: [Cut; 5] = Default::default();
    let mut open = Vec::new();
    for cut in &cuts[..4] {
        open.push(connect(&test, &peer, hello(&peer), cut).await.unwrap());
    }
    // Neither another key nor another person nor another site ends a connection of the peer.
    let other = TestPeer::new("b.example");
    let mut of_other_person = hello(&peer);
    of_other_person.id = "eve@b.example".parse().unwrap();
    for (client, hello) in [
        (&other, hello(&peer)),
        (&other, hello(&other)),
        (&*peer, of_other_person),
    ] {
        let refused = connect(&test, client, hello, &Cut::default()).await;
        assert!(refused.is_none());
    }
    assert!(cuts.iter().all(|cut| cut.reasons().is_empty()));
    open.push(connect(&test, &peer, hello(&peer), &cuts[4]).await.unwrap());
    let reasons: Vec<_> = cuts.iter().map(Cut::reasons).collect();
    assert_eq!(reasons[0], [CloseReason::Replaced]);
    assert!(reasons[1..].iter().all(Vec::is_empty), "{reasons:?}");
    // Connections that were cut and do not end count too, so that there is a bound.
    for _ in 0..10 {
        open.extend(connect(&test, &peer, hello(&peer), &Cut::default()).await);
    }
    assert_eq!(open.len(), 8);
    open.clear();
    assert!(
        connect(&test, &peer, hello(&peer), &cuts[0])
            .await
            .is_some()
    );
}

// PEER-22
#[tokio::test]
async fn sealing_and_a_new_own_key_end_the_connections_with_peers() {
    let (test, peer) = site().await;
    test.admin(
        "peer.send",
        json!({ "from": "ada", "to": "bob@b.example", "text": "hello" }),
    )
    .await;
    let cut = Cut::default();
    let opened = connect(&test, &peer, hello(&peer), &cut).await.unwrap();
    let file = json!({ "slot_file": test.slot.to_text().expose() });
    let rotate = json!({ "secrets": [file], "slots": [file] });
    test.admin("site.key_new", rotate).await;
    assert_eq!(cut.reasons(), [CloseReason::KeyRevoked]);
    let site = opened.site;
    drop(opened);
    let waiting = async || {
        test.site
            .messages_for(site, test.now())
            .await
            .unwrap()
            .messages
    };
    assert_eq!(waiting().await.len(), 1);
    let cut = Cut::default();
    let _open = connect(&test, &peer, hello(&peer), &cut).await.unwrap();
    test.admin("site.seal", json!({})).await;
    assert_eq!(cut.reasons(), [CloseReason::SiteSealed]);
    assert_eq!(waiting().await, []);
    assert!(connect(&test, &peer, hello(&peer), &cut).await.is_none());
}

/// Anyone who knows a site id could raise the alarm of a stolen key, and one alarm hid those of all
/// other peers for an hour.
// PEER-15
#[tokio::test]
async fn a_fork_alarm_needs_the_peers_key_and_names_the_peer() {
    let (test, peer) = site().await;
    let attacker = TestPeer::new("b.example");
    let forged = PeerHello {
        events: attacker.rotated().events,
        ..hello(&peer)
    };
    let cut = Cut::default();
    assert!(
        connect(&test, &attacker, forged.clone(), &cut)
            .await
            .is_none()
    );
    let from_the_middle = test
        .site
        .follow_key_events(forged.site, &forged.events, test.now());
    assert!(from_the_middle.await.unwrap().known().is_none());
    assert_eq!(alarms(&test).await, Vec::<Value>::new());
    let thief = peer.rotated_to(&attacker);
    for _ in 0..3 {
        assert!(connect(&test, &thief, hello(&thief), &cut).await.is_none());
    }
    let raised = alarms(&test).await;
    let text = raised[0]["text"].as_str().unwrap();
    assert!(text.contains(&hello(&peer).site.to_string()), "{text}");
    let key = raised[0]["key"].as_str().unwrap();
    assert!(key.contains(&hello(&peer).site.to_string()), "{key}");
    let forks = test.audited().await;
    let forks = forks.iter().filter(|line| line.starts_with("peer.fork "));
    assert_eq!(forks.count(), 1);
}

// PEER-21
#[tokio::test]
async fn a_peer_that_floods_a_site_is_limited_and_then_suspended_with_an_alarm() {
    let messages = |number: u32, to: &str| {
        let messages = (1..=32).map(|n| message(n, u64::from(number * 32 + n), to));
        json!({ "messages": messages.collect::<Vec<_>>() })
    };
    let unknown = |n| messages(n, "eve@example.org");
    let known = |_| messages(0, ADA);
    let floods: [(&str, &dyn Fn(u32) -> Value); 3] = [
        ("peer.ping", &|_| json!({})),
        ("peer.deliver", &unknown),
        ("peer.deliver", &known),
    ];
    for (command, params) in floods {
        let (test, peer) = site().await;
        let opened = connect(&test, &peer, hello(&peer), &Cut::default()).await;
        let opened = opened.unwrap();
        let mut done = 0;
        for n in 0..10_000 {
            match calls(&test, &opened.caller, command, params(n)).await.0 {
                Code::SUCCESS => done += 1,
                Code::BUSY => {}
                _ => break,
            }
        }
        assert!(done <= 256, "{command}: {done}");
        assert_eq!(state(&test).await, "suspended");
        let mut raised = alarms(&test).await;
        raised.retain(|alarm| alarm["key"].as_str().unwrap().starts_with("peer "));
        assert_eq!(raised.len(), 1, "{raised:?}");
    }
}

/// The names of people could be tested by the thousand in a second.
// PEER-21, PEER-24
#[tokio::test]
async fn a_peer_that_tests_names_learns_a_few_and_others_still_get_messages() {
    let (test, peer) = site().await;
    let opened = connect(&test, &peer, hello(&peer), &Cut::default()).await;
    let caller = stays_open(opened.unwrap());
    assert_eq!(
        delivered(&test, &caller, message(1, 1, ADA)).await,
        "accepted"
    );
    test.admin("person.create", json!({ "name": "eve" })).await;
    let mut refused = 0;
    for n in 0..100 {
        let unknown = message(2, 1, &format!("no-{n}@example.org"));
        refused += u32::from(delivered(&test, &caller, unknown).await == "refused");
    }
    // The first message to ada was one of sixty.
    assert_eq!(refused, 59);
    // Whether eve exists is not told, and a conversation goes on.
    assert_eq!(
        delivered(&test, &caller, message(3, 1, "eve@example.org")).await,
        "later"
    );
    assert_eq!(
        delivered(&test, &caller, message(4, 2, ADA)).await,
        "accepted"
    );
}

#[tokio::test]
async fn a_lockdown_or_lock_while_the_other_site_answers_prevents_the_join() {
    for meanwhile in [
        ("lockdown.site", json!({ "level": "all" })),
        ("person.lock", json!({ "name": "ada" })),
    ] {
        let (test, _) = site().await;
        let root = test.person("admin", "admin").await;
        let test = Arc::new(test);
        let other = TestPeer::new("c.example");
        let ticket = other.ticket().to_uri().expose().to_owned();
        let during = test.clone();
        let slow = StubTransport::joining(move || {
            let (test, joined) = (during.clone(), other.joined());
            let (operation, params) = meanwhile.clone();
            async move {
                test.admin(operation, params).await;
                Ok(joined)
            }
        });
        test.site.connect_peers_with(slow);
        let params = json!({ "ticket": ticket, "person": "ada" });
        let (code, data) = calls(&test, &root.caller, "peer.join", params).await;
        assert!(
            matches!(code, Code::LOCKDOWN | Code::CONFLICT),
            "{code:?}: {data}"
        );
        let listed = test.admin("peer.list", json!({})).await;
        assert_eq!(listed["entries"].as_array().unwrap().len(), 1);
    }
}

/// A thief of a session queued messages; the lock did not stop them.
#[tokio::test]
async fn messages_of_a_person_in_lockdown_or_locked_wait_and_hide_no_others() {
    let (test, peer) = site().await;
    let send = async |from: &str, count: usize| {
        for n in 0..count {
            let to = format!("bob{}@b.example", n % 8);
            let params = json!({ "from": from, "to": to, "text": "hello" });
            test.admin("peer.send", params).await;
        }
    };
    let site = hello(&peer).site;
    send("ada", 50).await;
    test.admin("person.create", json!({ "name": "eve" })).await;
    send("eve", 1).await;
    for (on, off, lift) in [
        (
            "lockdown.person",
            "lockdown.lift",
            json!({ "person": "ada" }),
        ),
        ("person.lock", "person.unlock", json!({ "name": "ada" })),
    ] {
        test.admin(on, json!({ "name": "ada" })).await;
        let sent = test
            .site
            .messages_for(site, test.now())
            .await
            .unwrap()
            .messages;
        let from: Vec<_> = sent.iter().map(|sent| sent.from.to_string()).collect();
        assert_eq!(from, ["eve@example.org"]);
        test.admin(off, lift).await;
        let sent = test.site.messages_for(site, test.now()).await.unwrap();
        assert_eq!(sent.messages.len(), 32);
    }
}

/// The level was compared once, before a retry: an admin session that imposed `enrolment` at the
/// same time as the socket imposed `logins` left the lower one.
#[tokio::test]
async fn a_session_cannot_lower_the_level_that_the_socket_imposes_at_the_same_time() {
    for polls in 0..40 {
        let test = TestSite::builder().file().build().await;
        let root = test.person("root", "admin").await;
        let params = json!({ "level": LockdownLevel::Enrolment });
        let mut lower = pin!(calls(&test, &root.caller, "lockdown.site", params));
        let mut context = Context::from_waker(Waker::noop());
        let is_done = (0..polls).any(|_| lower.as_mut().poll(&mut context).is_ready());
        test.admin("lockdown.site", json!({ "level": "logins" }))
            .await;
        if !is_done {
            lower.await;
        }
        let level = test.site.lockdowns().level();
        assert_eq!(level, Some(LockdownLevel::Logins), "after {polls} polls");
    }
}
