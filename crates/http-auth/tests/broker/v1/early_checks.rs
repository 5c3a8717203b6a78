//! Checks that a provider makes before public-key work on a presentation, and tickets from before a
//! restart without a file.

use std::sync::Arc;

use countersign_http_auth::Provider;
use countersign_proto::broker::v1::V1Refusal;
use serde_json::{Value, json};

use super::super::wire::{RecordedRequest, Reply, serve};
use super::super::world::{A, B, HOUR, SECOND, Time, ok, post_to};
use super::master::TestMaster;
use super::world::{World, application, public, routes};

fn rejected(refusal: &V1Refusal) -> Reply {
    Reply {
        status: refusal.status(),
        challenge: None,
        body: refusal.body(),
    }
}

/// The same ticket with an invalid ID object.
fn with_another_id(presentation: &RecordedRequest, id: &str) -> RecordedRequest {
    let mut value: Value = serde_json::from_slice(&presentation.body).unwrap();
    value["id"] = json!(id);
    let mut other = presentation.clone();
    other.body = value.to_string().into();
    other
}

/// Regression: a recorded ticket, a year old or accepted before, cost an RSA private operation with
/// each key before its time was checked, each time it was sent, with any ID object.
// BRK-60
#[tokio::test]
async fn a_ticket_with_a_known_outcome_costs_no_public_key_work() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    post_to(&world.client(&ledger), &ledger, "12.50").await;
    let recorded = ledger.wire().remove(0);
    // A restart and a year later, the ticket is unknown.
    ledger.replace(routes(&world.provider().build()));
    world.time.pass(365 * 24 * HOUR);
    let clock = world.time.now();
    // It is opened once, as the refusal for its ID object shows, and not again.
    let garbled = with_another_id(&recorded, "AAAA");
    assert_eq!(
        ledger.send(garbled.clone()).await,
        rejected(&V1Refusal::Nonces)
    );
    for again in [garbled, with_another_id(&recorded, "AAAB"), recorded] {
        assert_eq!(
            ledger.send(again).await,
            rejected(&V1Refusal::Stale { clock })
        );
    }
    assert_eq!(post_to(&world.client(&ledger), &ledger, "1").await, ok("1"));
}

/// An attacker that presents a ticket with a forged signature does not affect the outcome of the
/// ticket.
// BRK-60
#[tokio::test]
async fn a_forged_signature_does_not_set_the_outcome_of_a_ticket() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let client = world.client(&ledger);
    post_to(&client, &ledger, "12.50").await;
    let recorded = ledger.wire().remove(0);
    let fresh = routes(&world.provider().clock(before(&world.time)).build());
    ledger.replace(fresh);
    let mut forged: Value = serde_json::from_slice(&recorded.body).unwrap();
    forged["ticket"]["signature"] = json!("AAAA");
    let mut sent = recorded.clone();
    sent.body = forged.to_string().into();
    assert_eq!(ledger.send(sent).await, rejected(&V1Refusal::NotVerified));
    let garbled = with_another_id(&recorded, "AAAA");
    assert_eq!(ledger.send(garbled).await, rejected(&V1Refusal::Nonces));
    assert_eq!(ledger.send(recorded).await.status, 200);
}

/// A clock that makes the provider start a minute ago.
fn before(time: &Time) -> impl Fn() -> u64 + Send + Sync + 'static {
    let (time, began) = (time.clone(), std::sync::atomic::AtomicBool::new(false));
    move || match began.swap(true, std::sync::atomic::Ordering::Relaxed) {
        false => time.now() - 60 * SECOND,
        true => time.now(),
    }
}

/// Regression: a provider with a memory store rejected each request with a timestamp before the
/// provider's start. So a consumer whose clock is 55 s slow was rejected for 55 s, and every
/// consumer in the second of the start.
// BRK-28
#[tokio::test]
async fn a_fresh_request_of_a_consumer_with_a_slow_clock_is_accepted_after_a_start() {
    for (slow, up) in [
        (55 * SECOND, 3 * SECOND),
        (0, 0),
        (700, 0),
        (59 * SECOND, 1),
    ] {
        let world = World::new().await;
        world.time.pass(500);
        let ledger = world.ledger().await;
        world.time.pass(up);
        let time = world.time.clone();
        let consumer = world.consumer(&ledger).clock(move || time.now() - slow);
        let client = consumer.build().unwrap().client().unwrap();
        assert_eq!(post_to(&client, &ledger, "1").await, ok("1"), "{slow} {up}");
        // A request accepted before a restart is rejected after it.
        let [presentation, sent] = ledger.wire().try_into().unwrap();
        world.time.pass(1);
        ledger.replace(routes(&world.provider().build()));
        let clock = world.time.now();
        let answer = ledger.send(presentation).await;
        assert_eq!(answer, rejected(&V1Refusal::Stale { clock }));
        assert_eq!(ledger.send(sent).await.status, 401);
    }
}

/// Regression: tickets of a site with timestamps in whole seconds were refused in the second of the
/// provider's start.
// BRK-28
#[tokio::test]
async fn whole_seconds_are_compared_as_whole_seconds() {
    let time = Time::still();
    let seconds = time.clone();
    let master = TestMaster::start(Arc::new(move || seconds.now() / SECOND * SECOND)).await;
    for (id, name) in [(A, "consumer"), (B, "provider")] {
        master.register(id, vec![public(name)], HOUR);
    }
    master.allow(A, B);
    time.pass(700);
    let world = World { time, master };
    let now = world.time.clone();
    let provider = Provider::builder(application(B, "provider"), world.master.configured());
    let ledger = serve(routes(&provider.clock(move || now.now()).build())).await;
    assert_eq!(post_to(&world.client(&ledger), &ledger, "1").await, ok("1"));
}
