//! What a site tells the transport that connects it with its peers, and when.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use countersign_core::engine::{AskError, OwnSide, PeerServerState, PeerTransport, TransportError};
use countersign_core::store::MemoryStore;
use countersign_proto::operation::{Code, Outcome};
use countersign_proto::peer::{JoinedSite, PeerTicket};
use countersign_proto::site_identity::SiteId;
use countersign_testkit::faulty::{Fault, FaultyStore};
use countersign_testkit::harness::{TestPeer, TestSite};
use serde_json::json;
use serde_json::value::RawValue;
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
        _: (&'static str, &'static str),
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
