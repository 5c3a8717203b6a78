//! Tickets across sites that became void: the site of the consumer tells its peer, and each site tells
//! the providers that have a session.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use countersign_core::access::Caller;
use countersign_core::audit::AuditDraft;
use countersign_core::engine::Site;
use countersign_core::peers::{MAX_VOID_AT_PEER, VoidAtPeer};
use countersign_core::store::{Change, ChangeSet, PeerChange, Store};
use countersign_proto::broker::v2::limits::MAX_FOREIGN_TICKET;
use countersign_proto::operation::{Code, Event};
use countersign_testkit::harness::{NOW, TestSession, TestSite, operation, run};
use serde_json::{Value, json};

use super::foreign::World;

/// The applications whose tickets a service was told to be void.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn of(test: &TestSite, session: &TestSession) -> Self {
        let told = Self::default();
        let events = told.clone();
        let sink = move |event: &Arc<Event>| {
            if event.event == "tickets_void" {
                let data: Value = serde_json::from_str(event.data.get()).unwrap();
                let app = data["app"].as_str().unwrap().to_owned();
                events.0.lock().unwrap().push(app);
            }
            true
        };
        test.site.events().subscribe(&session.info, Box::new(sink));
        told
    }

    fn take(&self) -> Vec<String> {
        self.0.lock().unwrap().drain(..).collect()
    }
}

/// Tells peers what waits to be told.
async fn tell(test: &TestSite) -> bool {
    let mut all = true;
    for peer in test.site.peers_to_tell(NOW) {
        all &= test.site.tell_void_tickets(peer, NOW).await;
    }
    all
}

// BRK-96, PEER-42
#[tokio::test]
async fn a_provider_is_told_when_a_consumer_of_a_peer_is_locked_deleted_or_may_not_call_it() {
    let world = World::allowed().await;
    let (a, b) = (&world.sites.a, &world.sites.b);
    let told = Told::of(b, &world.ledger);
    let billing = json!({ "id": "billing" });
    let callee = json!([{ "foreign": "ledger@b.example" }]);
    let caller = json!(["billing@a.example"]);
    let peer = json!({ "peer": "a.example" });
    for (site, name, params, undo, undone) in [
        (
            a,
            "app.lock",
            billing.clone(),
            "app.unlock",
            billing.clone(),
        ),
        (
            a,
            "lockdown.app",
            billing.clone(),
            "lockdown.lift",
            json!({ "app": "billing" }),
        ),
        (
            a,
            "app.update",
            json!({ "id": "billing", "disallow": callee }),
            "app.update",
            json!({ "id": "billing", "allow": callee }),
        ),
        (
            a,
            "app.update",
            json!({ "id": "billing", "settings": { "may_call": [] } }),
            "app.update",
            json!({ "id": "billing", "allow": callee }),
        ),
        (
            b,
            "app.update",
            json!({ "id": "ledger", "disallow_callers": caller }),
            "app.update",
            json!({ "id": "ledger", "allow_callers": caller }),
        ),
        (b, "peer.suspend", peer.clone(), "peer.resume", peer.clone()),
        (
            b,
            "lockdown.peer",
            peer.clone(),
            "lockdown.lift",
            peer.clone(),
        ),
        (
            b,
            "peer.permit",
            json!({ "peer": "a.example", "allows": [] }),
            "peer.permit",
            json!({ "peer": "a.example", "allows": ["messages", "tickets"] }),
        ),
        (a, "app.delete", billing.clone(), "", Value::Null),
    ] {
        site.admin(name, params.clone()).await;
        assert!(tell(a).await, "{name}");
        assert_eq!(told.take(), ["billing@a.example"], "{name} {params}");
        if !undo.is_empty() {
            site.admin(undo, undone).await;
            assert!(tell(a).await);
            assert_eq!(told.take(), [""; 0], "{undo}");
        }
    }
}

/// The peer is told when it can be reached again, and not after the tickets have ended anyway.
// BRK-96
#[tokio::test]
async fn what_a_peer_is_to_be_told_waits_until_it_can_be_reached() {
    let world = World::allowed().await;
    let (a, b) = (&world.sites.a, &world.sites.b);
    let told = Told::of(b, &world.ledger);
    world.sites.link.store(false, Ordering::Relaxed);
    a.admin("app.lock", json!({ "id": "billing" })).await;
    assert!(!tell(a).await);
    assert_eq!(told.take(), [""; 0]);
    world.sites.link.store(true, Ordering::Relaxed);
    assert!(tell(a).await);
    assert_eq!(told.take(), ["billing@a.example"]);
    assert_eq!(a.site.peers_to_tell(NOW), []);

    world.sites.link.store(false, Ordering::Relaxed);
    a.admin("app.unlock", json!({ "id": "billing" })).await;
    a.admin("app.lock", json!({ "id": "billing" })).await;
    assert_eq!(a.site.peers_to_tell(NOW), [b.site.id()]);
    let later = NOW.plus_millis(3_600_000);
    assert_eq!(a.site.peers_to_tell(later), []);
}

/// A site that stopped before it reached the peer forgot what the peer was to be told, and the peer's
/// providers accepted the tickets of a locked application until they expired.
// BRK-96
#[tokio::test]
async fn what_a_peer_is_to_be_told_waits_also_when_the_site_stops() {
    let world = World::allowed().await;
    let (a, b) = (&world.sites.a, &world.sites.b);
    world.sites.link.store(false, Ordering::Relaxed);
    a.admin("app.lock", json!({ "id": "billing" })).await;
    assert_eq!(a.restarted().await.peers_to_tell(NOW), [b.site.id()]);
    world.sites.link.store(true, Ordering::Relaxed);
    assert!(tell(a).await);
    assert_eq!(a.restarted().await.peers_to_tell(NOW), []);
}

/// A peer speaks for its own applications, also in what it declares void.
// PEER-41
#[tokio::test]
async fn a_peer_cannot_declare_the_tickets_of_other_sites_void() {
    let world = World::allowed().await;
    let told = Told::of(&world.sites.b, &world.ledger);
    let b = &world.sites.b;
    let caller = super::foreign::caller(&world).await;
    for names in [json!(["billing@b.example"]), json!(["billing@c.example"])] {
        let params = json!({ "consumers": names });
        let name = "broker.foreign_void";
        let (code, _) = run(&b.site, &caller, name, params).await;
        assert_eq!(code, Code::NOT_PERMITTED);
    }
    let too_many: Vec<_> = (0..65).map(|n| format!("app{n}@a.example")).collect();
    for names in [json!([]), json!(too_many)] {
        let params = json!({ "consumers": names });
        let name = "broker.foreign_void";
        let (code, _) = run(&b.site, &caller, name, params).await;
        assert_eq!(code, Code::INVALID_PARAMS);
    }
    assert_eq!(told.take(), [""; 0]);
}

/// A peer for which 4,096 consumers wait was not told of further ones, and nothing told the admin.
// BRK-101
#[tokio::test]
async fn a_lockdown_says_that_a_peer_cannot_be_told_of_all_void_tickets() {
    let world = World::allowed().await;
    let (a, peer) = (&world.sites.a, world.sites.b.site.id());
    let lock = async |site: &Site| {
        let service = json!({ "name": "billing-robot" });
        let operation = operation("lockdown.service", &service);
        let outcome = site.run(&Caller::admin_socket(), &operation, NOW).await;
        assert_eq!(outcome.code, Code::SUCCESS);
        outcome.output
    };
    let voids = (0..MAX_VOID_AT_PEER).map(|number| VoidAtPeer {
        peer,
        consumer: format!("other{number}@a.example").parse().unwrap(),
        at: NOW,
    });
    let change = Change::Peer(PeerChange::Void(voids.collect()));
    let audit = AuditDraft::done(&Caller::site(), "test.void", NOW);
    let set = ChangeSet::new(vec![change], audit);
    a.memory().commit(set).await.unwrap();
    let full = a.unsealed().await;
    let output = lock(&full).await;
    assert!(output.contains("wait to be told: 1."), "{output}");
    let unlock = json!({ "service": "billing-robot" });
    run(&full, &Caller::admin_socket(), "lockdown.lift", unlock).await;
    // Once they have ended, there is room.
    assert!(
        full.peers_to_tell(NOW.plus_millis(MAX_FOREIGN_TICKET))
            .is_empty()
    );
    let output = lock(&full).await;
    assert!(!output.contains("told"), "{output}");
}
