//! The dialog without errors, and the errors that a consumer reports.

use std::convert::Infallible;
use std::task::{Context, Poll};

use bytes::Bytes;
use countersign_http_auth::{AuthenticatedApp, ConsumerError, Responder, TICKET_PATH};
use countersign_proto::broker::v2::Refusal;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tower_layer::Layer;
use tower_service::Service;

use super::wire::serve;
use super::world::{A, B, C, HOUR, SECOND, World, get_from, ok, party, post_to, routes, unsent};

#[tokio::test]
async fn a_provider_knows_the_consumer_that_calls_it() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let client = world.client(&ledger);
    let who = get_from(&client, &ledger, "/who?all=1&x=%20").await;
    assert_eq!(who, ok(r#"billing {"team":"billing"}"#));
    assert_eq!(post_to(&client, &ledger, "12.50").await, ok("12.50"));
    assert_eq!(post_to(&client, &ledger, "").await, ok(""));
    // One ticket, presented once.
    assert_eq!(world.site.tickets(), 1);
    let paths: Vec<String> = ledger.wire().into_iter().map(|sent| sent.path).collect();
    let expected = [TICKET_PATH, "/who?all=1&x=%20", "/echo", "/echo"];
    assert_eq!(paths, expected);
}

#[tokio::test]
async fn a_tower_client_can_call() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let mut client = world.consumer(&ledger).build().unwrap().layer(client);
    for content in ["1", "2"] {
        let request = Request::post(ledger.url("/echo"));
        let request = request.body(Full::<Bytes>::from(content)).unwrap();
        let answer = client.call(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        let body = answer.into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), content);
    }
    assert_eq!(world.site.tickets(), 1);
    let elsewhere = Request::get("http://127.0.0.1:1/");
    let refused = client
        .call(elsewhere.body(Full::<Bytes>::default()).unwrap())
        .await;
    let refused = refused.unwrap_err().downcast::<ConsumerError>().unwrap();
    let unknown = ConsumerError::UnknownTarget("http://127.0.0.1:1".to_owned());
    assert_eq!(*refused, unknown);
}

#[tokio::test]
async fn a_hyper_service_can_be_called() {
    let world = World::new().await;
    let provider = world.provider().build().unwrap();
    let who = hyper_util::service::TowerToHyperService::new(provider.layer(Who));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let client = world.consumer_of(&url).build().unwrap().client().unwrap();
    let serving = tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let hyper = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let who = who.clone();
            tokio::spawn(async move {
                // It ends when the client disconnects.
                let _ = hyper.serve_connection(TokioIo::new(socket), who).await;
            });
        }
    });
    let answer = client.get(&url).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), A);
    let unsigned = reqwest::get(&url).await.unwrap();
    assert_eq!(unsigned.text().await.unwrap(), Refusal::NotVerified.body());
    serving.abort();
}

/// Returns the consumer's id, without axum.
#[derive(Clone)]
struct Who;

impl Service<Request<Full<Bytes>>> for Who {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let app = request.extensions().get::<AuthenticatedApp>().unwrap();
        std::future::ready(Ok(Response::new(app.id.clone().into())))
    }
}

#[tokio::test]
async fn the_ticket_path_can_be_set() {
    let world = World::new().await;
    let provider = world.provider().ticket_path("/tickets").build().unwrap();
    let ledger = serve(routes(&provider)).await;
    let elsewhere = world.consumer(&ledger).calls(B, ledger.url("/tickets"));
    let client = elsewhere.build().unwrap().client().unwrap();
    assert_eq!(post_to(&client, &ledger, "a").await, ok("a"));
    assert_eq!(ledger.wire()[0].path, "/tickets");
}

#[tokio::test]
async fn concurrent_requests_share_one_ticket() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let client = world.client(&ledger);
    let many = (0..20).map(|_| get_from(&client, &ledger, "/who"));
    let answers = futures_util::future::join_all(many).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(world.site.tickets(), 1);
    // Nine tenths of the lifetime have passed; then all of it.
    world.time.pass(HOUR - 60 * SECOND);
    let many = (0..20).map(|_| get_from(&client, &ledger, "/who"));
    let answers = futures_util::future::join_all(many).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(world.site.tickets(), 2);
    world.time.pass(2 * HOUR);
    let many = (0..20).map(|_| get_from(&client, &ledger, "/who"));
    let answers = futures_util::future::join_all(many).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(world.site.tickets(), 3);
}

// BRK-41
#[tokio::test]
async fn a_consumer_gets_another_ticket_after_a_rejection_and_repeats_idempotent_requests() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let client = world.client(&ledger);
    assert_eq!(post_to(&client, &ledger, "a").await, ok("a"));
    world.time.pass(2 * SECOND);
    // A restart with an empty store.
    ledger.replace(routes(&world.provider().build().unwrap()));
    // The rejection is unauthenticated, so a request that is not idempotent is not repeated.
    assert_eq!(post_to(&client, &ledger, "b").await.status, 401);
    assert_eq!(world.site.tickets(), 1);
    assert_eq!(post_to(&client, &ledger, "b").await, ok("b"));
    assert_eq!(world.site.tickets(), 2);
    world.time.pass(2 * SECOND);
    ledger.replace(routes(&world.provider().build().unwrap()));
    let who = client.get(ledger.url("/who").to_string()).send().await;
    assert_eq!(who.unwrap().status().as_u16(), 200);
    assert_eq!(world.site.tickets(), 3);
    // A provider that rejects every request costs only one more ticket.
    let never = world.provider().authority("elsewhere.example");
    ledger.replace(routes(&never.build().unwrap()));
    world.time.pass(2 * SECOND);
    assert_eq!(post_to(&client, &ledger, "c").await.status, 401);
    assert_eq!(world.site.tickets(), 3);
    assert_eq!(post_to(&client, &ledger, "d").await.status, 401);
    assert_eq!(world.site.tickets(), 4);
}

#[tokio::test]
async fn an_error_names_the_party_that_caused_it() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let call = async |client: reqwest_middleware::ClientWithMiddleware| {
        unsent(client.get(ledger.url("/who").to_string())).await
    };
    let refused = |responder, refusal: Refusal| ConsumerError::Refused {
        responder,
        status: refusal.status(),
        refusal: Some(refusal),
    };
    // A key that is not registered.
    world.site.register(A, &[party(50)]);
    let other = call(world.client(&ledger)).await;
    assert_eq!(other, refused(Responder::Site, Refusal::NotVerified));
    world.site.register(A, &[party(2)]);
    let to_archive = world.consumer(&ledger).calls(C, ledger.url(""));
    let other = call(to_archive.build().unwrap().client().unwrap()).await;
    assert_eq!(other, refused(Responder::Site, Refusal::NotAllowed));
    // Another application is at the provider's address.
    let archive = world.provider_of(C, 4).build().unwrap();
    ledger.replace(routes(&archive));
    let other = call(world.client(&ledger)).await;
    assert_eq!(other, refused(Responder::Provider, Refusal::NotVerified));
    ledger.replace(axum::Router::new());
    let none = ConsumerError::Refused {
        responder: Responder::Provider,
        status: 404,
        refusal: None,
    };
    assert_eq!(call(world.client(&ledger)).await, none);
    // Another program is at the site's address.
    let anything = || async { "{}" };
    world.site.replace(axum::Router::new().fallback(anything));
    let other = call(world.client(&ledger)).await;
    assert_eq!(other, ConsumerError::FailedVerification(Responder::Site));
}
