//! Joins that are stored again, because the peer was changed at the same time.

use std::sync::Arc;

use countersign_core::access::Caller;
use countersign_core::engine::NotEnrolled;
use countersign_core::store::MemoryStore;
use countersign_proto::operation::Code;
use countersign_testkit::faulty::{Fault, FaultyStore};
use countersign_testkit::harness::{TestPeer, TestSite, run};
use futures_util::FutureExt;
use serde_json::{Value, json};

/// A site whose store refuses a commit as stale when the test says so, with a peer that eve
/// introduced, and the person ada.
async fn site() -> (TestSite, TestPeer, Arc<FaultyStore>) {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new()), Fault::Stale));
    let test = TestSite::builder().store(store.clone()).build().await;
    test.takes_enrolments();
    for person in ["ada", "eve"] {
        test.admin("person.create", json!({ "name": person })).await;
    }
    let peer = TestPeer::new("b.example");
    test.site.connect_peers_with(Arc::new(peer.clone()));
    test.admin("peer.start", json!({})).await;
    test.introduce(&peer, "eve").await;
    (test, peer, store)
}

/// What an admin does about the person or the peer.
fn changes(peer: &TestPeer) -> [(&'static str, Value); 3] {
    [
        ("lockdown.person", json!({ "name": "ada" })),
        ("lockdown.peer", json!({ "peer": peer.known().id() })),
        ("person.lock", json!({ "name": "ada" })),
    ]
}

/// Lets the next commit of a join be stale, and runs the operation then.
async fn stale_once<T>(
    test: &TestSite,
    store: &FaultyStore,
    joining: impl Future<Output = T>,
    (operation, params): (&str, Value),
) -> T {
    let mut joining = Box::pin(joining);
    store.break_after(0, 1);
    while store.is_pending() {
        assert!((&mut joining).now_or_never().is_none());
    }
    test.admin(operation, params).await;
    joining.await
}

async fn introductions(test: &TestSite) -> usize {
    let shown = test
        .admin("peer.show", json!({ "peer": "b.example" }))
        .await;
    shown["introductions"].as_array().unwrap().len()
}

/// A connection of the peer stored what it had told the site while the join was stored. The join was tried again, and
/// did not look at the lockdown that an admin had imposed meanwhile.
// PEER-78
#[tokio::test]
async fn a_join_that_is_stored_again_is_refused_if_there_is_a_lockdown_or_lock_since() {
    for change in changes(&TestPeer::new("b.example")).map(|(operation, _)| operation) {
        let (test, peer, store) = site().await;
        let params = changes(&peer)
            .into_iter()
            .find(|(of, _)| *of == change)
            .unwrap();
        let issued = test.admin("peer.ticket", json!({ "person": "ada" })).await;
        let ticket = issued["uri"].as_str().unwrap().parse().unwrap();
        let joining = peer.join(&test.site, &ticket, test.now());
        let joined = stale_once(&test, &store, joining, params).await;
        assert_eq!(joined, Err(NotEnrolled::Refused), "{change}");
        assert_eq!(introductions(&test).await, 1, "{change}");

        let (test, peer, store) = site().await;
        let params = changes(&peer)
            .into_iter()
            .find(|(of, _)| *of == change)
            .unwrap();
        let ticket = peer.ticket();
        let caller = Caller::admin_socket();
        let join = json!({ "ticket": ticket.to_uri().expose(), "person": "ada" });
        let joining = run(&test.site, &caller, "peer.join", join);
        let (code, data) = stale_once(&test, &store, joining, params).await;
        assert_eq!(code, Code::CONFLICT, "{change}: {data}");
        assert_eq!(introductions(&test).await, 1, "{change}");
    }
}
