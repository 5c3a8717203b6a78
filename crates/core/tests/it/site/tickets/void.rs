//! Tickets that were given before an application was locked, deleted or put in lockdown: the services
//! of its providers are told.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use countersign_core::store::MemoryStore;
use countersign_proto::operation::Code;
use countersign_testkit::faulty::{Fault, FaultyStore};
use countersign_testkit::harness::{TestSession, TestSite, run};
use serde_json::{Value, json};

/// A site with `billing`, which may call `ledger`, `archive`, which no application may call, and the services
/// of all three.
struct World {
    test: TestSite,
    billing: TestSession,
    told: [Told; 3],
}

/// No service was told anything.
const NOTHING: [Vec<String>; 3] = [const { Vec::new() }; 3];

/// The events that a session received.
type Told = Arc<Mutex<Vec<Value>>>;

fn told(test: &TestSite, session: &TestSession) -> Told {
    let told = Told::default();
    let events = told.clone();
    let sink = move |event: &Arc<countersign_proto::operation::Event>| {
        if event.event == "tickets_void" {
            assert_eq!(event.group, "broker");
            let data = serde_json::from_str(event.data.get()).unwrap();
            events.lock().unwrap().push(data);
        }
        true
    };
    test.site.events().subscribe(&session.info, Box::new(sink));
    told
}

impl World {
    async fn new() -> Self {
        Self::of(TestSite::new().await).await
    }

    async fn of(test: TestSite) -> Self {
        let mut sessions = Vec::new();
        for id in ["billing", "ledger", "archive"] {
            let service = format!("{id}-robot");
            sessions.push(test.service(&service).await.0);
            test.create_application(id, json!({ "service": service }))
                .await;
        }
        let allow = json!({ "id": "billing", "allow": [{ "app": "ledger" }] });
        test.admin("app.update", allow).await;
        let [billing, ledger, archive] =
            <[TestSession; 3]>::try_from(sessions).unwrap_or_else(|_| panic!("three sessions"));
        let told = [&billing, &ledger, &archive].map(|session| told(&test, session));
        Self {
            test,
            billing,
            told,
        }
    }

    /// Returns the applications whose tickets the services of billing, ledger and archive were told
    /// to be void since the last call, or `all`.
    fn void(&self) -> [Vec<String>; 3] {
        let app = |data: Value| data["app"].as_str().unwrap_or("all").to_owned();
        self.told
            .each_ref()
            .map(|told| told.lock().unwrap().drain(..).map(app).collect())
    }

    /// Returns whether billing gets a ticket for ledger.
    async fn gets_a_ticket(&self) -> bool {
        let params = json!({ "app": "billing", "providers": ["ledger"] });
        let caller = &self.billing.caller;
        let (code, data) = run(&self.test.site, caller, "broker.ticket", params).await;
        assert_eq!(code, Code::SUCCESS, "{data}");
        data["tickets"][0].get("granted").is_some()
    }
}

// BRK-80
#[tokio::test]
async fn providers_are_told_that_tickets_of_a_locked_or_deleted_consumer_are_void() {
    let world = World::new().await;
    assert!(world.gets_a_ticket().await);
    let billing = || vec!["billing".to_owned()];
    let told = [billing(), billing(), vec![]];
    let id = || json!({ "id": "billing" });
    for (imposed, params, lifted, lift) in [
        ("app.lock", id(), "app.unlock", id()),
        (
            "lockdown.app",
            id(),
            "lockdown.lift",
            json!({ "app": "billing" }),
        ),
    ] {
        world.test.admin(imposed, params).await;
        assert_eq!(world.void(), told, "{imposed}");
        assert!(!world.gets_a_ticket().await, "{imposed}");
        world.test.admin(lifted, lift).await;
        assert_eq!(world.void(), NOTHING, "{lifted}");
        assert!(world.gets_a_ticket().await, "{lifted}");
    }
    world.test.admin("app.delete", id()).await;
    assert_eq!(world.void(), told);
}

/// The tickets that a stolen service had got for its application stayed valid for up to an hour.
// BRK-80
#[tokio::test]
async fn providers_are_told_that_tickets_of_the_applications_of_a_service_in_lockdown_are_void() {
    let world = World::new().await;
    let service = json!({ "name": "billing-robot" });
    world.test.admin("lockdown.service", service).await;
    let [_, ledger, archive] = world.void();
    assert_eq!(ledger, ["billing"]);
    assert_eq!(archive, Vec::<String>::new());
    // A person is the service of no application.
    world.test.person("maria", "member").await;
    let person = json!({ "name": "maria" });
    world.test.admin("lockdown.person", person).await;
    assert_eq!(world.void(), NOTHING);
}

/// A world whose site takes a step with each read of its store.
async fn in_steps() -> World {
    let store = MemoryStore::new();
    let steps = FaultyStore::new(Arc::new(store.reopened()), Fault::Fails);
    let builder = TestSite::builder().memory(store, Arc::new(steps));
    World::of(builder.build().await).await
}

/// The applications of a service were read before the lockdown had its turn: one that got the service while
/// another change of lockdowns was under way kept its tickets, and the answer said nothing of it.
// BRK-100
#[tokio::test]
async fn an_application_that_gets_a_service_before_the_turn_of_its_lockdown_loses_its_tickets_too()
{
    let mut context = Context::from_waker(Waker::noop());
    for polls in 1..100 {
        let world = in_steps().await;
        let (test, site) = (&world.test, &world.test.site);
        let root = test.person("root", "admin").await;
        test.person("maria", "member").await;
        let allow = json!({ "id": "archive", "allow": [{ "app": "ledger" }] });
        test.admin("app.update", allow).await;
        let maria = json!({ "name": "maria" });
        let mut first = pin!(run(site, &root.caller, "lockdown.person", maria));
        if (0..polls).any(|_| first.as_mut().poll(&mut context).is_ready()) {
            break;
        }
        let service = json!({ "name": "billing-robot" });
        let mut second = pin!(run(site, &root.caller, "lockdown.service", service));
        if (0..1_000).any(|_| second.as_mut().poll(&mut context).is_ready()) {
            // The first one did not have its turn yet.
            continue;
        }
        let settings = json!({ "service": "billing-robot" });
        let update = json!({ "id": "archive", "settings": settings });
        test.admin("app.update", update).await;
        assert_eq!(first.await.0, Code::SUCCESS);
        assert_eq!(second.await.0, Code::SUCCESS);
        let [_, ledger, _] = world.void();
        assert_eq!(ledger, ["archive", "billing"]);
        return;
    }
    panic!("no change waited for its turn");
}

/// An application that got the service between the last read of its lockdown and the commit kept its tickets,
/// and so did one that got it during the lockdown.
// BRK-100
#[tokio::test]
async fn an_application_gets_no_service_in_lockdown_without_the_loss_of_its_tickets() {
    let mut context = Context::from_waker(Waker::noop());
    for is_update_first in [false, true] {
        for polls in 0.. {
            let world = in_steps().await;
            let (test, site) = (&world.test, &world.test.site);
            let root = test.person("root", "admin").await;
            let allow = json!({ "id": "archive", "allow": [{ "app": "ledger" }] });
            test.admin("app.update", allow).await;
            let settings = json!({ "service": "billing-robot" });
            let update = (
                "app.update",
                json!({ "id": "archive", "settings": settings }),
            );
            let lockdown = ("lockdown.service", json!({ "name": "billing-robot" }));
            let both = if is_update_first {
                [update, lockdown]
            } else {
                [lockdown, update]
            };
            let [first, second] = both.map(|(name, params)| run(site, &root.caller, name, params));
            let (mut first, mut second) = (pin!(first), pin!(second));
            let is_done = (0..polls).any(|_| first.as_mut().poll(&mut context).is_ready());
            // It may wait for the turn of the first.
            let done = (0..1_000).find_map(|_| match second.as_mut().poll(&mut context) {
                Poll::Ready((code, _)) => Some(code),
                Poll::Pending => None,
            });
            let mut codes = vec![];
            if !is_done {
                codes.push(first.await.0);
            }
            codes.push(match done {
                Some(code) => code,
                None => second.await.0,
            });
            let shown = test.admin("app.show", json!({ "id": "archive" })).await;
            let [_, ledger, _] = world.void();
            let is_told = ledger.contains(&"archive".to_owned());
            assert_eq!(
                is_told,
                !shown["service"].is_null(),
                "{is_update_first}, {polls}: {codes:?}, {shown}"
            );
            if is_done {
                break;
            }
        }
    }
}

/// Each application of the service was an event of its own: those of a service with many pushed all other
/// events out of what the site keeps for clients that come back, the lockdown itself too.
// BRK-100
#[tokio::test]
async fn providers_are_told_once_of_the_many_applications_of_a_service_in_lockdown() {
    let world = World::new().await;
    for n in 0..16 {
        let callees = json!([{ "app": "ledger" }]);
        let settings = json!({ "service": "billing-robot", "may_call": callees });
        let id = format!("consumer-{n}");
        world.test.create_application(&id, settings).await;
    }
    let service = json!({ "name": "billing-robot" });
    world.test.admin("lockdown.service", service).await;
    let [_, ledger, archive] = world.void();
    assert_eq!(ledger, ["all"]);
    assert_eq!(archive, Vec::<String>::new());
}

// BRK-80
#[tokio::test]
async fn a_provider_is_told_that_a_consumer_may_no_longer_call_it() {
    let world = World::new().await;
    let disallow = json!({ "id": "billing", "disallow": [{ "app": "ledger" }] });
    world.test.admin("app.update", disallow).await;
    assert_eq!(world.void(), [vec![], vec!["billing".to_owned()], vec![]]);
}

/// Only `disallow` told the provider: a new list of callees, and a group that the provider left, did not.
// BRK-80
#[tokio::test]
async fn a_provider_is_told_of_every_change_after_which_a_consumer_may_no_longer_call_it() {
    let world = World::new().await;
    let update = async |params: Value| world.test.admin("app.update", params).await;
    let billing = || vec!["billing".to_owned()];
    update(json!({ "id": "archive", "settings": { "groups": ["books"] } })).await;
    let callees = json!([{ "group": "books" }]);
    update(json!({ "id": "billing", "settings": { "may_call": callees } })).await;
    assert_eq!(world.void(), [vec![], billing(), vec![]]);
    update(json!({ "id": "archive", "settings": { "groups": ["books", "more"] } })).await;
    assert_eq!(world.void(), NOTHING);
    update(json!({ "id": "archive", "settings": { "groups": [] } })).await;
    assert_eq!(world.void(), [vec![], vec![], billing()]);
    update(json!({ "id": "archive", "settings": { "groups": ["books"] } })).await;
    update(json!({ "id": "billing", "settings": { "may_call": [] } })).await;
    assert_eq!(world.void(), [vec![], vec![], billing()]);
}

/// A provider that many consumers could call is told once that all its tickets are void.
// BRK-80
#[tokio::test]
async fn a_provider_that_leaves_a_group_of_many_consumers_is_told_that_all_tickets_are_void() {
    let world = World::new().await;
    let update = async |params: Value| world.test.admin("app.update", params).await;
    update(json!({ "id": "archive", "settings": { "groups": ["books"] } })).await;
    for n in 0..17 {
        let id = format!("consumer-{n}");
        let callees = json!([{ "group": "books" }]);
        world
            .test
            .create_application(&id, json!({ "may_call": callees }))
            .await;
    }
    update(json!({ "id": "archive", "settings": { "groups": [] } })).await;
    assert_eq!(world.void(), [vec![], vec![], vec!["archive".to_owned()]]);
}

// BRK-80
#[tokio::test]
async fn a_provider_in_lockdown_is_told_itself_and_gets_no_tickets_and_no_keys() {
    let world = World::new().await;
    world
        .test
        .admin("lockdown.app", json!({ "id": "ledger" }))
        .await;
    assert_eq!(world.void(), [vec![], vec!["ledger".to_owned()], vec![]]);
    assert!(!world.gets_a_ticket().await);
    let ticket = json!({ "consumer": "billing", "provider": "ledger" });
    let preview = world.test.admin("app.ticket", ticket).await;
    assert_eq!(preview["why_not"], "ledger is in lockdown");
    let now = world.test.now();
    let ledger = world
        .test
        .site
        .registered("ledger", now)
        .await
        .unwrap()
        .unwrap();
    let keys = world.test.site.unsealed_keys().unwrap();
    assert!(
        world
            .test
            .site
            .ticket_keys(&keys.broker, &ledger, now)
            .is_err()
    );
}

/// At the level `logins`, no ticket is issued on any path.
#[tokio::test]
async fn a_lockdown_of_logins_refuses_the_operations_that_return_tickets() {
    let world = World::new().await;
    world
        .test
        .admin("lockdown.site", json!({ "level": "logins" }))
        .await;
    for (name, params) in [
        (
            "broker.ticket",
            json!({ "app": "billing", "providers": ["ledger"] }),
        ),
        ("broker.ticket_keys", json!({ "app": "billing" })),
    ] {
        let (code, _) = run(&world.test.site, &world.billing.caller, name, params).await;
        assert_eq!(code, Code::LOCKDOWN, "{name}");
    }
    assert_eq!(world.billing.was_cut(), None);
}
