//! Checks that a provider makes before public-key work on a presentation.

use std::convert::Infallible;
use std::pin::Pin;

use axum::body::Bytes;
use countersign_http_auth::{Limits, SqliteTickets, TICKET_PATH, V2, VerifiedService};
use countersign_proto::broker::v2::Refusal;
use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tower_layer::Layer;
use tower_service::Service;

use super::wire::{RecordedRequest, serve};
use super::world::{HOUR, SECOND, World, ok, post_to, rejected, routes};

/// The presentation with an invalid signature.
fn unsigned(presentation: &RecordedRequest) -> RecordedRequest {
    let mut value: Value = serde_json::from_slice(&presentation.body).unwrap();
    value["ticket"]["signature"] = json!("A".repeat(86));
    let mut unsigned = presentation.clone();
    unsigned.body = value.to_string().into();
    unsigned
}

/// Regression: a recorded presentation, a year old or accepted before, was verified, opened and
/// acknowledged with fresh key material before its time and id were checked, each time it was sent.
/// The invalid signature here goes unnoticed because it is not verified.
// BRK-60
#[tokio::test]
async fn an_accepted_or_expired_ticket_costs_no_public_key_work() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tickets.db");
    let world = World::new().await;
    let started = async || {
        let tickets = SqliteTickets::open(&file, Limits::default()).await.unwrap();
        routes(&world.provider().tickets(tickets).build().unwrap())
    };
    let ledger = serve(started().await).await;
    post_to(&world.client(&ledger), &ledger, "12.50").await;
    let recorded = ledger.wire().remove(0);
    assert_eq!(recorded.path, TICKET_PATH);
    let replayed = rejected(Refusal::Replayed);
    assert_eq!(ledger.send(unsigned(&recorded)).await, replayed);
    ledger.replace(started().await);
    assert_eq!(ledger.send(unsigned(&recorded)).await, replayed);
    world.time.pass(365 * 24 * HOUR);
    let over = rejected(Refusal::Expired);
    assert_eq!(ledger.send(unsigned(&recorded)).await, over);
    // An unknown ticket is verified.
    let another = world.client(&ledger);
    assert_eq!(post_to(&another, &ledger, "1").await, ok("1"));
}

/// Regression: a presentation that was refused after verification was verified again each time.
// BRK-60
#[tokio::test]
async fn a_refused_presentation_is_verified_only_once() {
    let world = World::new().await;
    // A provider with an empty store can recognise only the presentation itself.
    let ledger = world.ledger().await;
    post_to(&world.client(&ledger), &ledger, "12.50").await;
    let recorded = ledger.wire().remove(0);
    let provider = world.provider().build().unwrap();
    ledger.replace(routes(&provider));
    world.time.pass(61 * SECOND);
    assert_eq!(
        ledger.send(recorded.clone()).await,
        rejected(Refusal::Clock)
    );
    // Its time would be accepted now.
    world.time.set_back(61 * SECOND);
    assert_eq!(
        ledger.send(recorded.clone()).await,
        rejected(Refusal::Clock)
    );
    // Setting keys clears the cached refusals.
    provider.set_site_keys(world.site.configured().keys);
    assert_eq!(ledger.send(recorded).await.status, 200);
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Bytes>, Infallible>> + Send>>;

/// A service that is never called.
#[derive(Clone)]
struct Never;

impl Service<Request<Full<Bytes>>> for Never {
    type Response = Response<Bytes>;
    type Error = Infallible;
    type Future = std::future::Pending<Result<Response<Bytes>, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        std::future::pending()
    }
}

/// Presents until one presentation is rejected as busy. Returns the waiting responses and that
/// response. Each presentation has another ID object, so that none is in the cache.
fn fill(
    service: &mut VerifiedService<Never, V2>,
    presentation: &RecordedRequest,
) -> (Vec<Answer>, Response<Bytes>) {
    let mut value: Value = serde_json::from_slice(&presentation.body).unwrap();
    let mut waiting = Vec::new();
    for number in 0..10_000 {
        value["id"] = json!(format!("{number:04}"));
        let content = Full::new(Bytes::from(value.to_string()));
        let request = Request::post(TICKET_PATH).body(content).unwrap();
        let mut answer = service.call(request);
        match (&mut answer).now_or_never() {
            None => waiting.push(answer),
            // Its verification is done already.
            Some(Ok(answer)) if answer.status() == StatusCode::UNAUTHORIZED => {}
            Some(answer) => return (waiting, answer.unwrap()),
        }
    }
    panic!("there is no end");
}

/// Regression: any number of presentations was verified concurrently, also of one client, and the
/// requests of other clients waited for the processor.
// BRK-60
#[tokio::test]
async fn presentations_beyond_the_waiting_limit_get_503_with_retry_after() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    post_to(&world.client(&ledger), &ledger, "12.50").await;
    let presentation = unsigned(&ledger.wire().remove(0));
    for (sources_known, at_least, at_most) in [(false, 256, 10_000), (true, 32, 255)] {
        let mut provider = world.provider();
        if sources_known {
            provider = provider.source(|_| Some([192, 0, 2, 1].into()));
        }
        let provider = provider.build().unwrap();
        provider.ask_time().await.unwrap();
        let mut service = provider.layer(Never);
        let (waiting, busy) = fill(&mut service, &presentation);
        assert_eq!(busy.status(), StatusCode::SERVICE_UNAVAILABLE);
        // Those in progress and those that wait.
        let range = at_least + 1..=at_most;
        assert!(range.contains(&waiting.len()), "{}", waiting.len());
        assert_eq!(busy.headers()["retry-after"], "1");
        for answer in futures_util::future::join_all(waiting).await {
            assert_eq!(answer.unwrap().status(), StatusCode::UNAUTHORIZED);
        }
    }
}
