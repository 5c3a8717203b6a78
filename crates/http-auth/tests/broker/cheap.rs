//! What a provider finds out about a presentation before it does public-key work for it.

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

use super::wire::{Said, serve};
use super::world::{HOUR, SECOND, World, guarded, no, ok, post_to};

/// The presentation with another signature, which nothing that verifies one would accept.
fn unsigned(presentation: &Said) -> Said {
    let mut value: Value = serde_json::from_slice(&presentation.body).unwrap();
    value["ticket"]["signature"] = json!("A".repeat(86));
    let mut unsigned = presentation.clone();
    unsigned.body = value.to_string().into();
    unsigned
}

/// The story: a recorded presentation, a year old or accepted before, was verified, opened and answered with fresh
/// key material before its time and its id were looked at, as often as a client sent it. That the signature here is
/// wrong is not found out: it is not looked at.
// BRK-60
#[tokio::test]
async fn a_ticket_that_came_before_or_is_over_costs_no_public_key_work() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tickets.db");
    let world = World::new().await;
    let started = async || {
        let tickets = SqliteTickets::open(&file, Limits::default()).await.unwrap();
        guarded(&world.provider().tickets(tickets).build().unwrap())
    };
    let ledger = serve(started().await).await;
    post_to(&world.client(&ledger), &ledger, "12.50").await;
    let recorded = ledger.wire().remove(0);
    assert_eq!(recorded.path, TICKET_PATH);
    let replayed = no(Refusal::Replayed);
    assert_eq!(ledger.say(unsigned(&recorded)).await, replayed);
    ledger.replace(started().await);
    assert_eq!(ledger.say(unsigned(&recorded)).await, replayed);
    world.time.pass(365 * 24 * HOUR);
    let over = no(Refusal::Expired);
    assert_eq!(ledger.say(unsigned(&recorded)).await, over);
    // What nothing is known of is verified.
    let another = world.client(&ledger);
    assert_eq!(post_to(&another, &ledger, "1").await, ok("1"));
}

/// The story: a presentation that was refused for what its verification showed was verified again each time.
// BRK-60
#[tokio::test]
async fn the_same_presentation_is_decided_once() {
    let world = World::new().await;
    // A provider that forgets its tickets: only the presentation itself tells that it came before.
    let ledger = world.ledger().await;
    post_to(&world.client(&ledger), &ledger, "12.50").await;
    let recorded = ledger.wire().remove(0);
    let provider = world.provider().build().unwrap();
    ledger.replace(guarded(&provider));
    world.time.pass(61 * SECOND);
    assert_eq!(ledger.say(recorded.clone()).await, no(Refusal::Clock));
    // It would be of now at this time.
    world.time.set_back(61 * SECOND);
    assert_eq!(ledger.say(recorded.clone()).await, no(Refusal::Clock));
    // Keys that are set anew may decide otherwise.
    provider.set_site_keys(world.site.known().keys);
    assert_eq!(ledger.say(recorded).await.status, 200);
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

/// Presents until one is told to come again, and gives how many wait and that answer. Each has another ID object, so
/// that none is known from another one.
fn fill(
    service: &mut VerifiedService<Never, V2>,
    presentation: &Said,
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
            // One whose work was done at once.
            Some(Ok(answer)) if answer.status() == StatusCode::UNAUTHORIZED => {}
            Some(answer) => return (waiting, answer.unwrap()),
        }
    }
    panic!("there is no end");
}

/// The story: as many presentations as came were verified at the same time, of one client too, and the requests of
/// others waited for the processor.
// BRK-60
#[tokio::test]
async fn presentations_beyond_those_that_may_wait_are_told_to_come_again() {
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
        // Those that are worked on, and those that wait for them.
        let range = at_least + 1..=at_most;
        assert!(range.contains(&waiting.len()), "{}", waiting.len());
        assert_eq!(busy.headers()["retry-after"], "1");
        for answer in futures_util::future::join_all(waiting).await {
            assert_eq!(answer.unwrap().status(), StatusCode::UNAUTHORIZED);
        }
    }
}
