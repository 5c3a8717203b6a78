//! Tickets that a provider accepted before their consumer was locked, deleted or put in lockdown.

use std::sync::Arc;

use countersign_client::{Connector, LoginAs};
use countersign_core::sessions::Audience;
use countersign_core::timestamp::Timestamp;
use countersign_crypto::entropy::SystemEntropy;
use countersign_http_auth::{Limits, Provider, Site, SqliteTickets, TICKET_PATH};
use countersign_proto::operation::Event;
use countersign_testkit::harness::{ServedSite, time};
use serde_json::json;
use serde_json::value::to_raw_value;

use crate::http::symmetric::{Registered, call, consumer, known, reachable, register, serve};
use crate::http::{MOMENT, now, request};
use crate::operations::site;

/// `billing`, which calls `ledger`, and the address of ledger. Both have sessions.
struct World {
    served: ServedSite,
    billing: Registered,
    ledger: Registered,
    provider: Provider,
    address: String,
}

impl World {
    async fn new() -> Self {
        Self::with(reachable).await
    }

    /// The provider knows the site as `known` returns it.
    async fn with(known: fn(&ServedSite) -> Site) -> Self {
        let served = site().serve().await;
        let ledger = register(&served, "ledger").await;
        let billing = register(&served, "billing").await;
        let provider = Provider::builder(ledger.application.clone(), known(&served))
            .ticket_keys_from(ledger.session.clone())
            .build()
            .unwrap();
        let address = serve(&provider).await;
        Self {
            served,
            billing,
            ledger,
            provider,
            address,
        }
    }

    fn consumer(&self) -> countersign_http_auth::Consumer {
        consumer(&self.served, &self.billing, &self.address)
    }
}

// BRK-80, BRK-102
#[tokio::test]
async fn a_provider_with_a_session_refuses_tickets_that_were_given_before_a_lock() {
    let world = World::new().await;
    let id = || json!({ "id": "billing" });
    for (imposed, lifted, lift) in [
        ("app.lock", "app.unlock", id()),
        ("lockdown.app", "lockdown.lift", json!({ "app": "billing" })),
    ] {
        let consumer = world.consumer();
        assert_eq!(call(&consumer, &world.address).await.unwrap().0, 200);
        world.served.admin(imposed, id()).await;
        // The consumer goes on using its ticket, without asking the site.
        time::until(async || call(&consumer, &world.address).await.is_err()).await;
        world.served.admin(lifted, lift).await;
        // A ticket that is issued within the uncertainty of the provider's clock is void too.
        time::until(async || {
            let called = call(&world.consumer(), &world.address).await;
            called.is_ok_and(|(status, _)| status == 200)
        })
        .await;
    }
    assert_eq!(world.ledger.session.ended(), None);
    drop(world.provider);
    world.served.stop().await;
}

/// The site ends the session of the provider's service: the provider accepts no ticket of before.
// BRK-103
#[tokio::test]
async fn a_provider_whose_session_a_lockdown_ends_refuses_all_tickets_of_before() {
    let world = World::new().await;
    let consumer = world.consumer();
    assert_eq!(call(&consumer, &world.address).await.unwrap().0, 200);
    world.served.admin("lockdown.site", json!({})).await;
    time::until(async || call(&consumer, &world.address).await.is_err()).await;
    drop(world.provider);
    world.served.stop().await;
}

/// A site was killed between the commit of a lock and its event. The provider logged in again after the
/// restart, and went on accepting the ticket for its lifetime, because nothing told it of the lock.
// BRK-103
#[tokio::test]
async fn a_provider_that_gets_a_session_after_one_ended_refuses_all_tickets_of_before() {
    let world = World::new().await;
    let consumer = world.consumer();
    assert_eq!(call(&consumer, &world.address).await.unwrap().0, 200);
    let first = world.ledger.session.clone();
    let robot = json!({ "name": "ledger-robot" });
    let sessions = world.served.admin("session.list", robot).await;
    let cut = json!({ "id": sessions["entries"][0]["id"] });
    world.served.admin("session.cut", cut).await;
    time::until(async || first.ended().is_some()).await;
    world
        .served
        .admin("app.lock", json!({ "id": "billing" }))
        .await;
    // The provider cannot know it.
    assert_eq!(call(&consumer, &world.address).await.unwrap().0, 200);
    let robot = LoginAs::Service(world.ledger.robot.clone());
    let connector = Connector::new(&world.served.uri);
    let next = Arc::new(connector.connect(robot).await.unwrap());
    world.provider.set_session(Some(next.clone()));
    time::until(async || call(&consumer, &world.address).await.is_err()).await;

    // The provider follows the events of its new session.
    let id = || json!({ "id": "billing" });
    world.served.admin("app.unlock", id()).await;
    let consumer = world.consumer();
    time::until(async || {
        let called = call(&consumer, &world.address).await;
        called.is_ok_and(|(status, _)| status == 200)
    })
    .await;
    world.served.admin("app.lock", id()).await;
    time::until(async || call(&consumer, &world.address).await.is_err()).await;
    drop((world.provider, next));
    world.served.stop().await;
}

/// A provider that missed events passed over the gap, and accepted tickets of which an event had said
/// that they are void.
// BRK-103
#[tokio::test]
async fn a_provider_that_missed_events_refuses_all_tickets_of_before() {
    // The provider cannot ask for the site's time, so that the tickets of the next minute are void too:
    // the consumer cannot simply get another one.
    let world = World::with(known).await;
    let consumer = world.consumer();
    assert_eq!(call(&consumer, &world.address).await.unwrap().0, 200);
    let missed = Arc::new(Event {
        group: "events".to_owned(),
        event: "missed".to_owned(),
        data: to_raw_value(&json!({})).unwrap(),
    });
    let events = world.served.site.events();
    assert!(events.publish(&Audience::All, &missed) > 0);
    time::until(async || call(&consumer, &world.address).await.is_err()).await;
    drop(world.provider);
    world.served.stop().await;
}

/// The mark was the time of the provider's clock: one that was behind left tickets valid.
// BRK-102
#[tokio::test]
async fn tickets_are_void_up_to_the_time_of_the_event_if_the_clock_of_the_provider_is_behind() {
    let world = World::new().await;
    let consumer = world.consumer();
    assert_eq!(call(&consumer, &world.address).await.unwrap().0, 200);
    let at = i64::try_from(now()).unwrap() + 3_600_000;
    let data = json!({ "app": "billing", "at": Timestamp::from_millis(at) });
    let void = Arc::new(Event {
        group: "broker".to_owned(),
        event: "tickets_void".to_owned(),
        data: to_raw_value(&data).unwrap(),
    });
    let events = world.served.site.events();
    assert!(events.publish(&Audience::All, &void) > 0);
    time::until(async || call(&consumer, &world.address).await.is_err()).await;
    let again = call(&world.consumer(), &world.address).await;
    assert!(
        !again.is_ok_and(|(status, _)| status == 200),
        "a ticket of now"
    );
    drop(world.provider);
    world.served.stop().await;
}

/// A provider that restarted without a session forgot which tickets are void, and accepted them for up
/// to a day.
// BRK-103
#[tokio::test]
async fn a_provider_with_a_file_of_tickets_knows_after_a_restart_which_are_void() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tickets.db");
    let open = async || SqliteTickets::open(&file, Limits::default()).await.unwrap();
    let served = site().serve().await;
    let ledger = register(&served, "ledger").await;
    let billing = register(&served, "billing").await;
    let builder = || Provider::builder(ledger.application.clone(), reachable(&served));
    let first = builder().tickets(open().await);
    let first = first.ticket_keys_from(ledger.session.clone());
    let first = first.build().unwrap();
    let address = serve(&first).await;
    time::pass(MOMENT).await;
    // Over HTTP, with the application's own key: no ticket key is needed to open such a ticket.
    let key = billing.application.keys[0].clone();
    let asks = served.consumer("billing", key);
    let presentation = async || {
        let asked = asks.ask("ledger", now(), &mut SystemEntropy);
        let (asked, sealed) = asked.unwrap();
        let body = serde_json::to_vec(&sealed).unwrap();
        let answer = request(&served, "POST", "/authenticate", &body).await;
        let granted = asks.read_response(asked, answer.body.as_bytes()).unwrap();
        granted.present(now(), &mut SystemEntropy).unwrap().1
    };
    let present = async |address: &str, body: String| {
        let post = reqwest::Client::new().post(format!("{address}{TICKET_PATH}"));
        post.body(body).send().await.unwrap().status().as_u16()
    };
    assert_eq!(present(&address, presentation().await).await, 200);
    let held = presentation().await;
    let consumer = consumer(&served, &billing, &address);
    assert_eq!(call(&consumer, &address).await.unwrap().0, 200);
    let id = || json!({ "id": "billing" });
    served.admin("app.lock", id()).await;
    time::until(async || call(&consumer, &address).await.is_err()).await;
    served.admin("app.unlock", id()).await;
    drop(first);

    let restarted = builder().tickets(open().await).build().unwrap();
    let address = serve(&restarted).await;
    assert_eq!(present(&address, held).await, 401);
    time::until(async || present(&address, presentation().await).await == 200).await;
    served.stop().await;
}
