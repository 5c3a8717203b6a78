//! What a site tells the transport that connects it with its peers, and when.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use countersign_core::engine::{
    AskError, NewPeerConnection, OperationName, OwnSide, PeerServerState, PeerTransport,
    TransportError,
};
use countersign_core::store::{MemoryStore, StoreError};
use countersign_core::throttle::{Rate, Rates};
use countersign_proto::operation::{Code, Outcome};
use countersign_proto::peer::{JoinedSite, PeerHello, PeerTicket};
use countersign_proto::site_identity::SiteId;
use countersign_testkit::faulty::{Fault, FaultyStore};
use countersign_testkit::harness::{PEER_SOURCE, TestPeer, TestSite};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::Notify;

/// After so many polls, a verification waits for the peers.
const POLLS: usize = 1_000;

/// Records what the site tells it. A question for heads ends when the test says so.
#[derive(Default)]
struct Recorder {
    ended: Mutex<Vec<SiteId>>,
    questions: AtomicUsize,
    answer: Notify,
}

impl Recorder {
    fn ended(&self) -> usize {
        self.ended.lock().unwrap().len()
    }

    fn questions(&self) -> usize {
        self.questions.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl PeerTransport for Recorder {
    async fn join(&self, _: &PeerTicket, _: &OwnSide) -> Result<JoinedSite, TransportError> {
        Err(TransportError::Unreachable("no site".to_owned()))
    }

    async fn ask(
        &self,
        _: SiteId,
        _: OperationName,
        _: Box<RawValue>,
    ) -> Result<Outcome, AskError> {
        Err(AskError::Unreachable("no site".to_owned()))
    }

    fn wake(&self) {}

    fn ended(&self, peer: SiteId) {
        self.ended.lock().unwrap().push(peer);
    }

    async fn settle(&self, _: bool) {}

    async fn heads_sent(&self) {
        self.questions.fetch_add(1, Ordering::Relaxed);
        self.answer.notified().await;
    }

    fn state(&self) -> PeerServerState {
        PeerServerState::Running
    }
}

/// A site with the person ada and a peer server, and its peer.
async fn with_peer(test: TestSite) -> (TestSite, Arc<TestPeer>, Arc<Recorder>) {
    test.takes_enrolments();
    test.admin("person.create", json!({ "name": "ada" })).await;
    let recorder = Arc::new(Recorder::default());
    test.site.connect_peers_with(recorder.clone());
    test.admin("peer.start", json!({})).await;
    let peer = test.peer("ada").await;
    (test, peer, recorder)
}

/// The transport connects to a peer unless there is a connection. It found one that was given up a
/// moment later, was not told, and what waited for the peer waited for up to a minute.
// PEER-67
#[tokio::test]
async fn a_connection_that_is_given_up_at_any_step_is_told_to_the_transport() {
    // Each query is a step: one of a file may be done before it is polled.
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new()), Fault::Fails));
    let (test, peer, recorder) = with_peer(TestSite::builder().store(store).build().await).await;
    let id = peer.known().id();
    let mut given_up = 0;
    for polls in 1.. {
        let mut opening = Box::pin(peer.connect(&test.site, test.now()));
        let mut polled = 0;
        let opened = poll_fn(|context| {
            polled += 1;
            match opening.as_mut().poll(context) {
                Poll::Ready(opened) => Poll::Ready(Some(opened)),
                Poll::Pending if polled >= polls => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        let registered = test.site.peer_connections(id).len();
        let before = recorder.ended();
        let is_opened = opened.is_some();
        drop((opening, opened));
        assert_eq!(recorder.ended() - before, registered, "after {polls} polls");
        assert_eq!(test.site.peer_connections(id), []);
        if is_opened {
            assert_eq!(registered, 1);
            break;
        }
        given_up += registered;
    }
    assert!(
        given_up > 0,
        "no connection was given up after it was registered"
    );
    // One that is refused after it was registered.
    let before = recorder.ended();
    test.admin("peer.stop", json!({})).await;
    assert!(peer.connect(&test.site, test.now()).await.is_none());
    assert_eq!(recorder.ended() - before, 1);
    assert!(recorder.ended.lock().unwrap().iter().all(|of| *of == id));
}

/// A hostile peer opened connections in a loop and left them. Each cost reads of the store, two lines of the log, and
/// a look at what waits for all peers; after 64 ends at once, the connections of the others looked too.
// PEER-79
#[tokio::test]
async fn a_peer_that_connects_in_a_loop_is_refused_and_at_last_suspended() {
    let (test, peer, recorder) = with_peer(TestSite::new().await).await;
    let connects = async |times: usize, now| {
        let mut opened = 0;
        for _ in 0..times {
            opened += usize::from(peer.connect(&test.site, now).await.is_some());
        }
        opened
    };
    let now = test.now();
    assert_eq!(connects(100, now).await, 16);
    assert_eq!(recorder.ended(), 16);
    let state = async || {
        let listed = test.admin("peer.list", json!({})).await;
        listed["entries"][0]["state"].clone()
    };
    assert_eq!(state().await, "active");
    assert_eq!(connects(10, now.plus_seconds(2)).await, 1);
    // A client without the peer's key uses up nothing.
    let other = TestPeer::new("b.example");
    let hello = PeerHello::new(peer.known().id(), peer.bob(), &peer.events);
    for _ in 0..100 {
        let new = NewPeerConnection {
            hello: hello.clone(),
            key: other.key().public().signing,
            source: PEER_SOURCE,
            cut: Box::new(|_| {}),
        };
        let opened = test.site.open_peer(new, now.plus_seconds(4)).await;
        assert!(opened.unwrap().is_none());
    }
    assert_eq!(connects(10, now.plus_seconds(4)).await, 1);
    assert_eq!(state().await, "active");
    connects(200, now.plus_seconds(4)).await;
    assert_eq!(state().await, "suspended");
}

/// The link between two honest sites broke after each answer. The site that connected did so again at once,
/// was refused above its rate, and after some minutes the other one suspended it.
// PEER-80
#[tokio::test]
async fn a_site_whose_connections_break_for_an_hour_is_neither_refused_nor_suspended() {
    // An attacker may delay connections for as long as the first line may take.
    for delayed in [0, 30_000] {
        let (test, peer, _) = with_peer(TestSite::new().await).await;
        let (mut dialer, began) = (Rates::default(), test.now());
        let (mut arriving, mut opened) = (0, 0);
        for millis in (0..3_600_000).step_by(100) {
            let now = began.plus_millis(millis);
            let dialed = dialer.take(Rate::ConnectionsTo(test.site.id()), now);
            arriving += usize::from(dialed.is_ok());
            if delayed == 0 || millis % delayed == 0 {
                for _ in 0..std::mem::take(&mut arriving) {
                    assert!(peer.connect(&test.site, now).await.is_some(), "{millis}");
                    opened += 1;
                }
            }
        }
        assert!(opened > 890, "{opened}");
        let shown = test.admin("peer.show", json!({ "peer": peer.known().id() }));
        let shown = shown.await;
        assert_eq!(shown["state"], "active");
        assert!(shown["breaches"].is_null());
    }
}

/// The disk of a site was full, so that it could not store when it saw a peer. It refused the connection in silence:
/// the peer was told that this site does not know it.
// PEER-77
#[tokio::test]
async fn a_peer_connects_also_if_the_store_cannot_write_that_it_was_seen() {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new()), Fault::Fails));
    let site = TestSite::builder().store(store.clone()).build().await;
    let (test, peer, _) = with_peer(site).await;
    let (id, key) = (peer.known().id(), peer.key().public().signing);
    let seen = async || {
        let shown = test
            .admin("peer.show", json!({ "peer": "b.example" }))
            .await;
        shown["last_seen"].clone()
    };
    store.break_after(0, usize::MAX);
    let incoming = peer.connect(&test.site, test.now()).await.unwrap();
    let cut = Box::new(|_| {});
    let reached = test
        .site
        .peer_reached(id, key, &peer.events, cut, test.now());
    let outgoing = reached.await.unwrap().unwrap();
    for connection in [&incoming, &outgoing] {
        let trouble = connection.seen.as_ref().unwrap_err();
        assert!(matches!(trouble, StoreError::Unavailable { .. }));
    }
    store.break_after(usize::MAX, 0);
    assert_eq!(seen().await, Value::Null);
    drop((incoming, outgoing));
    // The next connection stores it.
    let opened = peer.connect(&test.site, test.now()).await.unwrap();
    assert_eq!(opened.seen, Ok(()));
    assert!(seen().await.is_string());
}

/// Each verification of many at the same time sent a head of its own to every peer.
// PEER-64
#[tokio::test]
async fn verifications_at_the_same_time_share_one_question_also_if_the_first_client_goes() {
    let (test, _, recorder) = with_peer(TestSite::new().await).await;
    let verify = || test.as_admin("audit.verify", json!({ "peers": true }));
    let mut context = Context::from_waker(Waker::noop());
    let mut first = Box::pin(verify());
    let mut second = Box::pin(verify());
    for _ in 0..POLLS {
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert!(second.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(recorder.questions(), 1);
    drop(first);
    recorder.answer.notify_one();
    assert_eq!(second.await.0, Code::SUCCESS);
    assert_eq!(recorder.questions(), 1);
    // The next one asks anew.
    recorder.answer.notify_one();
    assert_eq!(verify().await.0, Code::SUCCESS);
    assert_eq!(recorder.questions(), 2);
}
