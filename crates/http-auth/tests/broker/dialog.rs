//! The dialog as it should be.

use std::convert::Infallible;
use std::task::{Context, Poll};

use bytes::Bytes;
use countersign_http_auth::{AuthenticatedApp, By, ConsumerError, TICKET_PATH};
use countersign_proto::broker::v2::Refusal;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tower_layer::Layer;
use tower_service::Service;

use super::wire::serve;
use super::world::{A, B, C, HOUR, SECOND, World, get_from, guarded, ok, party, post_to, unsent};

#[tokio::test]
async fn an_application_calls_another_which_knows_who_it_is() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let client = world.client(&ledger);
    let who = get_from(&client, &ledger, "/who?all=1&x=%20").await;
    assert_eq!(who, ok(r#"billing {"team":"billing"}"#));
    assert_eq!(post_to(&client, &ledger, "12.50").await, ok("12.50"));
    assert_eq!(post_to(&client, &ledger, "").await, ok(""));
    // One ticket, presented once.
    assert_eq!(world.site.tickets(), 1);
    let paths: Vec<String> = ledger.wire().into_iter().map(|said| said.path).collect();
    let expected = [TICKET_PATH, "/who?all=1&x=%20", "/echo", "/echo"];
    assert_eq!(paths, expected);
}

#[tokio::test]
async fn any_client_that_is_a_service_can_call() {
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
    let unknown = ConsumerError::Unknown("http://127.0.0.1:1".to_owned());
    assert_eq!(*refused, unknown);
}

#[tokio::test]
async fn any_service_can_be_called() {
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
                // It ends when the client goes.
                let _ = hyper.serve_connection(TokioIo::new(socket), who).await;
            });
        }
    });
    let answer = client.get(&url).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), A);
    let nobody = reqwest::get(&url).await.unwrap();
    assert_eq!(nobody.text().await.unwrap(), Refusal::NotVerified.body());
    serving.abort();
}

/// Tells who calls, with nothing of axum.
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
async fn tickets_are_taken_where_both_were_told() {
    let world = World::new().await;
    let provider = world.provider().ticket_path("/tickets").build().unwrap();
    let ledger = serve(guarded(&provider)).await;
    let elsewhere = world.consumer(&ledger).calls(B, ledger.url("/tickets"));
    let client = elsewhere.build().unwrap().client().unwrap();
    assert_eq!(post_to(&client, &ledger, "a").await, ok("a"));
    assert_eq!(ledger.wire()[0].path, "/tickets");
}

#[tokio::test]
async fn requests_at_the_same_time_share_one_ticket() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let client = world.client(&ledger);
    let many = (0..20).map(|_| get_from(&client, &ledger, "/who"));
    let answers = futures_util::future::join_all(many).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(world.site.tickets(), 1);
    // Nine tenths of the time are over; then all of it.
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
async fn who_is_not_known_any_more_gets_another_ticket_and_what_may_be_is_asked_once_more() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let client = world.client(&ledger);
    assert_eq!(post_to(&client, &ledger, "a").await, ok("a"));
    world.time.pass(2 * SECOND);
    // A restart without memory.
    ledger.replace(guarded(&world.provider().build().unwrap()));
    // Nobody vouches for that answer: what might be done twice is not sent twice.
    assert_eq!(post_to(&client, &ledger, "b").await.status, 401);
    assert_eq!(world.site.tickets(), 1);
    assert_eq!(post_to(&client, &ledger, "b").await, ok("b"));
    assert_eq!(world.site.tickets(), 2);
    world.time.pass(2 * SECOND);
    ledger.replace(guarded(&world.provider().build().unwrap()));
    let who = client.get(ledger.url("/who").to_string()).send().await;
    assert_eq!(who.unwrap().status().as_u16(), 200);
    assert_eq!(world.site.tickets(), 3);
    // A provider that believes no request: one more ticket, and no more.
    let never = world.provider().authority("elsewhere.example");
    ledger.replace(guarded(&never.build().unwrap()));
    world.time.pass(2 * SECOND);
    assert_eq!(post_to(&client, &ledger, "c").await.status, 401);
    assert_eq!(world.site.tickets(), 3);
    assert_eq!(post_to(&client, &ledger, "d").await.status, 401);
    assert_eq!(world.site.tickets(), 4);
}

#[tokio::test]
async fn what_goes_wrong_says_with_whom() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let call = async |client: reqwest_middleware::ClientWithMiddleware| {
        unsent(client.get(ledger.url("/who").to_string())).await
    };
    let refused = |by, refusal: Refusal| ConsumerError::Refused {
        by,
        status: refusal.status(),
        refusal: Some(refusal),
    };
    // An id that may not call.
    world.site.register(A, &[party(50)]);
    let other = call(world.client(&ledger)).await;
    assert_eq!(other, refused(By::Site, Refusal::NotVerified));
    world.site.register(A, &[party(2)]);
    let to_archive = world.consumer(&ledger).calls(C, ledger.url(""));
    let other = call(to_archive.build().unwrap().client().unwrap()).await;
    assert_eq!(other, refused(By::Site, Refusal::NotAllowed));
    // Somebody else answers at the provider's address.
    let archive = world.provider_of(C, 4).build().unwrap();
    ledger.replace(guarded(&archive));
    let other = call(world.client(&ledger)).await;
    assert_eq!(other, refused(By::Provider, Refusal::NotVerified));
    ledger.replace(axum::Router::new());
    let none = ConsumerError::Refused {
        by: By::Provider,
        status: 404,
        refusal: None,
    };
    assert_eq!(call(world.client(&ledger)).await, none);
    // And at the site's.
    let anything = || async { "{}" };
    world.site.replace(axum::Router::new().fallback(anything));
    let other = call(world.client(&ledger)).await;
    assert_eq!(other, ConsumerError::FailedVerification(By::Site));
}
