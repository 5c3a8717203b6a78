//! The dialog without errors, and the errors that a consumer reports.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use countersign_http_auth::v1::TICKET_PATH;
use countersign_http_auth::{ConsumerError, Responder};
use countersign_proto::broker::v2::Refusal;
use http::Extensions;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Middleware, Next};
use serde_json::Value;
use tower_layer::Layer;
use tower_service::Service;

use super::super::wire::{Served, serve};
use super::super::world::{A, B, C, HOUR, SECOND, get_from, ok, post_to};
use super::world::{World, key, public, routes};

#[tokio::test]
async fn a_provider_knows_the_consumer_that_calls_it() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let client = world.client(&ledger);
    let who = get_from(&client, &ledger, "/who?all=1&x=%20").await;
    assert_eq!(who, ok(r#"billing {"team":"billing"}"#));
    assert_eq!(post_to(&client, &ledger, "12.50").await, ok("12.50"));
    assert_eq!(post_to(&client, &ledger, "").await, ok(""));
    // One ticket, presented once, as Serveros does it.
    assert_eq!(world.master.tickets(), 1);
    let [asked] = world.master.wire().try_into().unwrap();
    assert_eq!(asked.method, "GET");
    assert!(
        asked
            .path
            .starts_with("/auth/authenticate?authRequest=%7B%22")
    );
    assert!(!asked.path.contains('+'));
    let wire = ledger.wire();
    let paths: Vec<&str> = wire.iter().map(|sent| sent.path.as_str()).collect();
    assert_eq!(paths, [TICKET_PATH, "/who?all=1&x=%20", "/echo", "/echo"]);
    assert_eq!(wire[0].method, "POST");
    assert_eq!(wire[0].headers["content-type"], "application/json");
    let presentation: Value = serde_json::from_slice(&wire[0].body).unwrap();
    let members: Vec<&String> = presentation.as_object().unwrap().keys().collect();
    assert_eq!(members, ["id", "ticket"]);
    let signed = wire[1].headers["authorization"].to_str().unwrap();
    assert!(signed.starts_with("Hawk id=\""));
}

#[tokio::test]
async fn a_tower_client_can_call() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let mut client = world.consumer(&ledger).build().unwrap().layer(client);
    for content in ["1", "2"] {
        let request = http::Request::post(ledger.url("/echo"));
        let request = request.body(Full::<Bytes>::from(content)).unwrap();
        let answer = client.call(request).await.unwrap();
        let body = answer.into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), content);
    }
    assert_eq!(world.master.tickets(), 1);
}

#[tokio::test]
async fn the_ticket_path_can_be_set() {
    let world = World::new().await;
    let ledger = world.provider().ticket_path("/tickets").build();
    let ledger = serve(routes(&ledger)).await;
    let consumer = world.consumer(&ledger).calls(B, ledger.url("/tickets"));
    let client = consumer.build().unwrap().client().unwrap();
    assert_eq!(post_to(&client, &ledger, "a").await, ok("a"));
    assert_eq!(ledger.wire()[0].path, "/tickets");
}

#[tokio::test]
async fn credentials_are_shared_and_renewed_before_they_expire() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let client = world.client(&ledger);
    for (passed, tickets) in [(0, 1), (HOUR - 61 * SECOND, 1), (SECOND, 2), (2 * HOUR, 3)] {
        world.time.pass(passed);
        let many = (0..20).map(|_| get_from(&client, &ledger, "/who"));
        let answers = futures_util::future::join_all(many).await;
        assert!(answers.iter().all(|answer| answer.status == 200));
        assert_eq!(world.master.tickets(), tickets);
    }
}

// BRK-29
#[tokio::test]
async fn a_consumer_gets_another_ticket_after_a_rejection_and_repeats_idempotent_requests() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let client = world.client(&ledger);
    assert_eq!(post_to(&client, &ledger, "a").await, ok("a"));
    world.time.pass(2 * SECOND);
    // A restart with an empty store.
    ledger.replace(routes(&world.provider().build()));
    // The rejection is unauthenticated, so a request that is not idempotent is not repeated.
    assert_eq!(post_to(&client, &ledger, "b").await.status, 401);
    assert_eq!(world.master.tickets(), 1);
    assert_eq!(post_to(&client, &ledger, "b").await, ok("b"));
    assert_eq!(world.master.tickets(), 2);
    world.time.pass(2 * SECOND);
    ledger.replace(routes(&world.provider().build()));
    let who = client.get(ledger.url("/who").to_string()).send().await;
    assert_eq!(who.unwrap().status().as_u16(), 200);
    assert_eq!(world.master.tickets(), 3);
    // A provider that rejects every request costs only one more ticket.
    let never = world.provider().authority("elsewhere.example");
    ledger.replace(routes(&never.build()));
    world.time.pass(2 * SECOND);
    assert_eq!(post_to(&client, &ledger, "c").await.status, 401);
    assert_eq!(post_to(&client, &ledger, "d").await.status, 401);
    assert_eq!(world.master.tickets(), 4);
}

/// Sends a request and returns the consumer's error.
async fn failure(client: ClientWithMiddleware, served: &Served) -> ConsumerError {
    let answer = client.get(served.url("/who").to_string()).send().await;
    match answer.unwrap_err() {
        Error::Middleware(error) => error.downcast().unwrap(),
        Error::Reqwest(error) => panic!("{error}"),
    }
}

fn refused(responder: Responder, status: u16, refusal: Refusal) -> ConsumerError {
    ConsumerError::Refused {
        responder,
        status,
        refusal: Some(refusal),
    }
}

#[tokio::test]
async fn an_error_names_the_party_that_caused_it() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let to_archive = world.consumer(&ledger).calls(C, ledger.url(""));
    let client = to_archive.build().unwrap().client().unwrap();
    let not_allowed = refused(Responder::Site, 422, Refusal::NotAllowed);
    assert_eq!(failure(client, &ledger).await, not_allowed);
    // A key that is not registered.
    let known = |name| {
        move |it: &mut countersign_proto::broker::v1::site::V1Application| {
            it.keys = vec![public(name)];
        }
    };
    world.master.change(A, known("provider"));
    let not_verified = refused(Responder::Site, 500, Refusal::NotVerified);
    assert_eq!(failure(world.client(&ledger), &ledger).await, not_verified);
    world.master.change(A, known("consumer"));
    // The clock of the site, then of the provider, differs by more than a minute.
    let ahead = || {
        let time = world.time.clone();
        move || time.now() + 61 * SECOND
    };
    let client = world.consumer(&ledger).clock(ahead()).build().unwrap();
    let stale = refused(Responder::Site, 401, Refusal::Clock);
    assert_eq!(failure(client.client().unwrap(), &ledger).await, stale);
    ledger.replace(routes(&world.provider().clock(ahead()).build()));
    let stale = refused(Responder::Provider, 401, Refusal::Clock);
    assert_eq!(failure(world.client(&ledger), &ledger).await, stale);
    // Another program is at the provider's address, then at the site's.
    let archive = world.provider_of(C, "consumer2").build();
    ledger.replace(routes(&archive));
    let not_verified = refused(Responder::Provider, 500, Refusal::NotVerified);
    assert_eq!(failure(world.client(&ledger), &ledger).await, not_verified);
    world
        .master
        .set(|master| master.keys.insert(0, key("consumer2")));
    world
        .master
        .replace(axum::Router::new().fallback(async || "{}"));
    let failed_verification = ConsumerError::FailedVerification(Responder::Site);
    assert_eq!(
        failure(world.client(&ledger), &ledger).await,
        failed_verification
    );
}

#[tokio::test]
async fn a_response_that_took_more_than_a_minute_is_stale() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let time = world.time.clone();
    let looked = AtomicUsize::new(0);
    let slow = move || match looked.fetch_add(1, Ordering::Relaxed) {
        0 => time.now(),
        _ => time.now() + 61 * SECOND,
    };
    let client = world.consumer(&ledger).clock(slow).build().unwrap();
    let stale = ConsumerError::Stale(Responder::Site);
    assert_eq!(failure(client.client().unwrap(), &ledger).await, stale);
    assert_eq!(world.master.tickets(), 1);
    assert!(ledger.wire().is_empty());
}

#[tokio::test]
async fn keys_are_rotated_while_applications_call_each_other() {
    let world = World::new().await;
    let provider = world.provider().build();
    let ledger = serve(routes(&provider)).await;
    let consumer = world.consumer(&ledger).build().unwrap();
    let client = consumer.client().unwrap();
    assert_eq!(post_to(&client, &ledger, "a").await, ok("a"));
    // The site and both applications have new keys.
    let new = || public("consumer2");
    provider.set_keys(
        vec![key("consumer2"), key("provider")],
        vec![new(), public("master")],
    );
    consumer.set_keys(vec![key("consumer2")], vec![new()]);
    world
        .master
        .set(|master| master.keys = vec![key("consumer2")]);
    world.master.change(A, |billing| billing.keys = vec![new()]);
    world.master.change(B, |ledger| ledger.keys = vec![new()]);
    world.time.pass(HOUR + SECOND);
    assert_eq!(post_to(&client, &ledger, "b").await, ok("b"));
    assert_eq!(world.master.tickets(), 2);
}

/// A proxy before the provider that terminates TLS and does not change `host`.
struct Proxy(Served);

#[async_trait]
impl Middleware for Proxy {
    async fn handle(
        &self,
        mut request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<reqwest::Response, Error> {
        let address = request.url_mut();
        if let Some("ledger.example") = address.host_str() {
            let to = self.0.url(address.path());
            *address = to.to_string().parse().unwrap();
            let host = http::HeaderValue::from_static("ledger.example");
            request.headers_mut().insert("host", host);
        }
        next.run(request, extensions).await
    }
}

// BRK-27
#[tokio::test]
async fn a_provider_behind_a_proxy_accepts_the_default_port_of_either_scheme() {
    let world = World::new().await;
    for scheme in ["https", "http"] {
        let ledger = world.ledger().await;
        let address = format!("{scheme}://ledger.example");
        let consumer = world.consumer(&ledger);
        let consumer = consumer.calls(B, address.parse().unwrap()).build().unwrap();
        let client = ClientBuilder::new(reqwest::Client::new());
        let client = client.with(consumer).with(Proxy(ledger)).build();
        let answer = client.get(format!("{address}/who")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{scheme}");
    }
}
