//! What a provider finds out about a presentation before it does public-key work for it, and what a restart without
//! a file leaves it unsure of.

use std::sync::Arc;

use countersign_http_auth::v1::Provider;
use countersign_proto::broker::v1::V1Refusal;
use serde_json::{Value, json};

use super::super::wire::{Answered, Said, serve};
use super::super::world::{A, B, HOUR, SECOND, Time, ok, post_to};
use super::master::TestMaster;
use super::world::{World, application, guarded, public};

fn no(refusal: &V1Refusal) -> Answered {
    Answered {
        status: refusal.status(),
        challenge: None,
        body: refusal.body(),
    }
}

/// The same ticket with an ID object that nothing comes of.
fn with_another_id(presentation: &Said, id: &str) -> Said {
    let mut value: Value = serde_json::from_slice(&presentation.body).unwrap();
    value["id"] = json!(id);
    let mut other = presentation.clone();
    other.body = value.to_string().into();
    other
}

/// The story: a recorded ticket, a year old or accepted before, cost an RSA private operation under each key before
/// its time was looked at, as often as a client sent it, with any ID object.
// BRK-60
#[tokio::test]
async fn a_ticket_that_was_decided_costs_no_public_key_work_again() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    post_to(&world.client(&ledger), &ledger, "12.50").await;
    let recorded = ledger.wire().remove(0);
    // Another restart, a year later: nothing is known of the ticket.
    ledger.replace(guarded(&world.provider().build()));
    world.time.pass(365 * 24 * HOUR);
    let clock = world.time.now();
    // Read once, as its ID object shows, and not a second time.
    let garbled = with_another_id(&recorded, "AAAA");
    assert_eq!(ledger.say(garbled.clone()).await, no(&V1Refusal::Nonces));
    for again in [garbled, with_another_id(&recorded, "AAAB"), recorded] {
        assert_eq!(ledger.say(again).await, no(&V1Refusal::Stale { clock }));
    }
    assert_eq!(post_to(&world.client(&ledger), &ledger, "1").await, ok("1"));
}

/// A client that shows a ticket with a signature of its own does not decide what becomes of the ticket.
// BRK-60
#[tokio::test]
async fn a_ticket_is_not_decided_by_a_wrong_signature() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let client = world.client(&ledger);
    post_to(&client, &ledger, "12.50").await;
    let recorded = ledger.wire().remove(0);
    let fresh = guarded(&world.provider().clock(before(&world.time)).build());
    ledger.replace(fresh);
    let mut forged: Value = serde_json::from_slice(&recorded.body).unwrap();
    forged["ticket"]["signature"] = json!("AAAA");
    let mut said = recorded.clone();
    said.body = forged.to_string().into();
    assert_eq!(ledger.say(said).await, no(&V1Refusal::NotVerified));
    let garbled = with_another_id(&recorded, "AAAA");
    assert_eq!(ledger.say(garbled).await, no(&V1Refusal::Nonces));
    assert_eq!(ledger.say(recorded).await.status, 200);
}

/// A clock of a provider that began a minute before.
fn before(time: &Time) -> impl Fn() -> u64 + Send + Sync + 'static {
    let (time, began) = (time.clone(), std::sync::atomic::AtomicBool::new(false));
    move || match began.swap(true, std::sync::atomic::Ordering::Relaxed) {
        false => time.now() - 60 * SECOND,
        true => time.now(),
    }
}

/// The story: a provider with a memory store refused each request whose sender's clock said that it was signed before
/// the provider began, so a consumer that is 55 s slow was refused for 55 s, and everybody in the second in which
/// it began.
// BRK-28
#[tokio::test]
async fn a_fresh_request_of_a_slow_consumer_is_accepted_just_after_a_start() {
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
        // What was answered before a start is not answered after it.
        let [presentation, said] = ledger.wire().try_into().unwrap();
        world.time.pass(1);
        ledger.replace(guarded(&world.provider().build()));
        let clock = world.time.now();
        let answer = ledger.say(presentation).await;
        assert_eq!(answer, no(&V1Refusal::Stale { clock }));
        assert_eq!(ledger.say(said).await.status, 401);
    }
}

/// The story: the tickets of a site that knows whole seconds alone were refused in the second in which a provider
/// began.
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
    let provider = Provider::builder(application(B, "provider"), world.master.known());
    let ledger = serve(guarded(&provider.clock(move || now.now()).build())).await;
    assert_eq!(post_to(&world.client(&ledger), &ledger, "1").await, ok("1"));
}
