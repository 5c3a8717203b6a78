//! Limits on content, stored entries and time.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::{HeaderValue, Method};
use countersign_http_auth::{ConsumerError, Limits, MemoryTickets, Responder, TICKET_PATH};
use countersign_proto::broker::v2::Refusal;
use tower_layer::Layer;
use tower_service::Service;

use super::wire::{RecordedRequest, serve};
use super::world::{C, HOUR, SECOND, World, ok, post_to, rejected, routes, unsent};

#[tokio::test]
async fn content_is_accepted_up_to_the_maximum_length() {
    let world = World::new().await;
    let provider = world.provider().max_content(1_000).build().unwrap();
    let ledger = serve(routes(&provider)).await;
    let client = world.client(&ledger);
    let (fits, long) = ("x".repeat(1_000), "x".repeat(1_001));
    assert_eq!(post_to(&client, &ledger, fits.clone()).await, ok(&fits));
    assert_eq!(post_to(&client, &ledger, long.clone()).await.status, 413);

    let consumer = world.consumer(&ledger).max_content(1_000);
    let client = consumer.build().unwrap().client().unwrap();
    assert_eq!(post_to(&client, &ledger, fits.clone()).await, ok(&fits));
    let request = client.post(ledger.url("/echo").to_string()).body(long);
    assert_eq!(unsent(request).await, ConsumerError::TooLong(1_000));
}

// BRK-40
#[tokio::test]
async fn content_of_unauthenticated_clients_is_not_read() {
    let world = World::new().await;
    let provider = world.provider().max_content(1_000).build().unwrap();
    let ledger = serve(routes(&provider)).await;
    post_to(&world.client(&ledger), &ledger, "x").await;
    let mut changed = ledger.last();
    let long = "x".repeat(1_001);
    changed.body = long.clone().into();
    // A request that names a stored ticket gets 413.
    assert_eq!(ledger.send(changed.clone()).await.status, 413);
    let input = changed.headers["signature-input"].to_str().unwrap();
    let (before, id) = input.split_once("keyid=\"").unwrap();
    let other = format!("{before}keyid=\"{}{}", "A".repeat(22), &id[22..]);
    let other = HeaderValue::try_from(other).unwrap();
    changed.headers.insert("signature-input", other);
    assert_eq!(ledger.send(changed).await, rejected(Refusal::NotVerified));
    let mut unsigned = RecordedRequest::unsigned(Method::POST, "/echo");
    unsigned.body = long.into();
    assert_eq!(ledger.send(unsigned).await, rejected(Refusal::NotVerified));
}

// BRK-42
#[tokio::test]
async fn a_full_store_rejects_new_tickets_and_requests() {
    let world = World::new().await;
    let tickets = MemoryTickets::new(Limits {
        tickets: 1,
        requests: 3,
    });
    let provider = world.provider().tickets(tickets).build().unwrap();
    let ledger = serve(routes(&provider)).await;
    let (first, second) = (world.client(&ledger), world.client(&ledger));
    assert_eq!(post_to(&first, &ledger, "1").await, ok("1"));
    let request = second.get(ledger.url("/who").to_string());
    let busy = ConsumerError::Refused {
        responder: Responder::Provider,
        status: 503,
        refusal: None,
    };
    assert_eq!(unsent(request).await, busy);
    assert_eq!(post_to(&first, &ledger, "2").await, ok("2"));
    assert_eq!(post_to(&first, &ledger, "3").await.status, 503);
    // An accepted request is still known.
    assert_eq!(
        ledger.send(ledger.wire().remove(1)).await,
        rejected(Refusal::Replayed)
    );
    // Expired entries make room.
    world.time.pass(121 * SECOND);
    assert_eq!(post_to(&first, &ledger, "4").await, ok("4"));
    world.time.pass(2 * HOUR);
    assert_eq!(post_to(&second, &ledger, "5").await, ok("5"));
}

/// Regression: one consumer presented tickets and sent requests until the store was full, and all
/// other consumers were rejected for as long.
// BRK-42
#[tokio::test]
async fn an_application_that_fills_its_share_leaves_room_for_others() {
    let world = World::new().await;
    let tickets = MemoryTickets::new(Limits {
        tickets: 6,
        requests: 6,
    });
    let provider = world.provider().tickets(tickets).build().unwrap();
    let ledger = serve(routes(&provider)).await;
    let greedy: Vec<_> = (0..4).map(|_| world.client(&ledger)).collect();
    let mut fine = 0;
    for client in &greedy {
        let address = ledger.url("/who").to_string();
        let answer = client.get(address).send().await;
        fine += usize::from(answer.is_ok_and(|answer| answer.status() == 200));
    }
    assert_eq!(fine, 3, "as much as was free for each");
    assert_eq!(post_to(&greedy[0], &ledger, "1").await.status, 503);
    let modest = world.client_of(C, 4, &ledger);
    assert_eq!(post_to(&modest, &ledger, "1").await, ok("1"));
    assert_eq!(post_to(&modest, &ledger, "2").await, ok("2"));
}

#[tokio::test]
async fn a_response_that_is_too_long_is_rejected() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let client = world.client(&ledger);
    let long = || async { "x".repeat(1_000_000) };
    world.site.replace(axum::Router::new().fallback(long));
    let request = client.get(ledger.url("/who").to_string());
    assert_eq!(
        unsent(request).await,
        ConsumerError::FailedVerification(Responder::Site)
    );
}

#[tokio::test]
async fn provider_and_consumer_time_out() {
    let world = World::new().await;
    let provider = world.provider().timeout(Duration::ZERO).build().unwrap();
    let mut service = provider.layer(routes(&provider));
    let presentation = http::Request::post(TICKET_PATH).body(Never).unwrap();
    let answer = service.call(presentation).await.unwrap();
    assert_eq!(answer.status(), Refusal::NotVerified.status());

    let ledger = world.ledger().await;
    let never = || std::future::pending::<String>();
    world.site.replace(axum::Router::new().fallback(never));
    let consumer = world.consumer(&ledger).timeout(Duration::from_millis(1));
    let client = consumer.build().unwrap().client().unwrap();
    let request = client.get(ledger.url("/who").to_string());
    assert_eq!(
        unsent(request).await,
        ConsumerError::Timeout(Responder::Site)
    );
}

#[tokio::test]
async fn streamed_content_is_not_sent() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let client = world.client(&ledger);
    let request = client.post(ledger.url("/echo").to_string());
    let request = request.body(reqwest::Body::wrap(Never));
    assert_eq!(unsent(request).await, ConsumerError::Streamed);
    assert!(ledger.wire().is_empty());
}

/// Content that never arrives.
struct Never;

impl http_body::Body for Never {
    type Data = bytes::Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Infallible>>> {
        Poll::Pending
    }
}
