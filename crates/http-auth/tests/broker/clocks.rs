//! Wrong clocks.

use countersign_http_auth::{ConsumerError, ProviderError, Responder};
use countersign_proto::broker::v2::Refusal;

use super::wire::serve;
use super::world::{HOUR, SECOND, World, ok, party, post_to, rejected, routes, unsent};

// BRK-4
#[tokio::test]
async fn clocks_that_are_wrong_by_an_hour_are_corrected_from_the_site() {
    for (of_consumer, of_provider) in [(-1, 0), (1, 0), (0, -1), (0, 1), (1, -1), (-1, 1), (-1, -1)]
    {
        let world = World::new().await;
        let wrong = |hours: i64| {
            let time = world.time.clone();
            move || {
                let hour = i64::try_from(HOUR).unwrap();
                time.now().checked_add_signed(hours * hour).unwrap()
            }
        };
        let provider = world.provider().clock(wrong(of_provider)).build().unwrap();
        let ledger = serve(routes(&provider)).await;
        let consumer = world.consumer(&ledger).clock(wrong(of_consumer));
        let client = consumer.build().unwrap().client().unwrap();
        assert_eq!(post_to(&client, &ledger, "a").await, ok("a"));
        assert_eq!(post_to(&client, &ledger, "b").await, ok("b"));
        assert_eq!(world.site.tickets(), 1);
        // The provider requested the time once, the consumer only if its clock was wrong.
        let asked = 1 + usize::from(of_consumer != 0);
        assert_eq!(world.site.time_requests(), asked);
    }
}

#[tokio::test]
async fn a_consumer_whose_clock_becomes_wrong_requests_the_time() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let ahead = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let (time, by) = (world.time.clone(), ahead.clone());
    let clock = move || time.now() + by.load(std::sync::atomic::Ordering::Relaxed);
    let consumer = world.consumer(&ledger).clock(clock);
    let client = consumer.build().unwrap().client().unwrap();
    assert_eq!(post_to(&client, &ledger, "a").await, ok("a"));
    ahead.store(70 * SECOND, std::sync::atomic::Ordering::Relaxed);
    let who = client.get(ledger.url("/who").to_string()).send().await;
    assert_eq!(who.unwrap().status().as_u16(), 200);
    assert_eq!(world.site.tickets(), 1);
}

/// A request that was sent is not reported as unsent, even if the site cannot be reached
/// afterwards.
#[tokio::test]
async fn a_rejection_is_returned_if_the_site_cannot_be_reached() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let ahead = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let (time, by) = (world.time.clone(), ahead.clone());
    let clock = move || time.now() + by.load(std::sync::atomic::Ordering::Relaxed);
    let consumer = world.consumer(&ledger).clock(clock);
    let client = consumer.build().unwrap().client().unwrap();
    assert_eq!(post_to(&client, &ledger, "a").await, ok("a"));
    ahead.store(70 * SECOND, std::sync::atomic::Ordering::Relaxed);
    world.site.replace(axum::Router::new());
    assert_eq!(post_to(&client, &ledger, "b").await.status, 401);
    let who = client.get(ledger.url("/who").to_string()).send().await;
    assert_eq!(who.unwrap().status().as_u16(), 401);
}

#[tokio::test]
async fn a_provider_requests_the_time_at_intervals_and_not_for_each_request() {
    let world = World::new().await;
    let provider = world.provider().build().unwrap();
    provider.ask_time().await.unwrap();
    let ledger = serve(routes(&provider)).await;
    let client = world.client(&ledger);
    for _ in 0..10 {
        assert_eq!(post_to(&client, &ledger, "a").await, ok("a"));
    }
    assert_eq!(world.site.time_requests(), 1);
    world.time.pass(HOUR / 6);
    assert_eq!(post_to(&client, &ledger, "a").await, ok("a"));
    while world.site.time_requests() < 2 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn only_the_site_can_set_a_clock() {
    let world = World::new().await;
    let wrong = {
        let time = world.time.clone();
        move || time.now() + HOUR
    };
    let provider = world.provider().clock(wrong.clone()).build().unwrap();
    let ledger = serve(routes(&provider)).await;
    let consumer = world.consumer(&ledger).clock(wrong).build().unwrap();
    // The same server with another key.
    world.site.set_keys(vec![party(50)]);
    assert_eq!(
        provider.ask_time().await,
        Err(ProviderError::FailedVerification)
    );
    world.site.set_keys(vec![party(1), party(50)]);
    let long = || async { "x".repeat(100_000) };
    let clock = axum::Router::new().route("/auth/clock", axum::routing::get(long));
    world.site.replace(clock.fallback(|| async {
        let refusal = Refusal::Clock;
        let status = http::StatusCode::from_u16(refusal.status()).unwrap();
        (status, refusal.body())
    }));
    assert_eq!(
        provider.ask_time().await,
        Err(ProviderError::FailedVerification)
    );
    let client = consumer.client().unwrap();
    let request = client.get(ledger.url("/who").to_string());
    assert_eq!(
        unsent(request).await,
        ConsumerError::FailedVerification(Responder::Site)
    );
}

#[tokio::test]
async fn a_provider_works_while_the_site_cannot_be_reached() {
    let world = World::new().await;
    let provider = world.provider().build().unwrap();
    let ledger = serve(routes(&provider)).await;
    let client = world.client(&ledger);
    assert_eq!(post_to(&client, &ledger, "a").await, ok("a"));
    world.site.replace(axum::Router::new());
    world.time.pass(HOUR / 2);
    assert_eq!(post_to(&client, &ledger, "b").await, ok("b"));
    let again = ledger.last();
    assert_eq!(ledger.send(again).await, rejected(Refusal::Replayed));
}
