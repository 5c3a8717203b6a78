//! The symmetric ticket path: two applications, each with a session of its service, and HTTP between them. The
//! site itself serves no HTTP here.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::routing::get;
use axum::{Extension, Router};
use countersign_client::{Client, Connector, LoginAs};
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::party::SealingSuite;
use countersign_http_auth::{
    Application, AuthenticatedApp, Consumer, ConsumerError, Provider, Responder, Site, TICKET_PATH,
};
use countersign_proto::broker::v2::Refusal;
use countersign_proto::broker::v2::consumer::Consumer as Parties;
use countersign_proto::broker::v2::message::AuthResponse;
use countersign_proto::broker::v2::symmetric::TicketResult;
use countersign_proto::uri::SiteUri;
use countersign_server::clock;
use countersign_testkit::harness::{ServedSite, party, time};
use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tower_layer::Layer;
use tower_service::Service;

use crate::operations::site;
use crate::proxy::Proxy;

fn millis() -> u64 {
    u64::try_from(clock::now().millis()).unwrap()
}

/// An application and a session of its service.
pub(crate) struct Registered {
    pub(crate) application: Application,
    pub(crate) robot: Arc<Identity>,
    pub(crate) session: Arc<Client>,
}

pub(crate) async fn register(served: &ServedSite, id: &str) -> Registered {
    register_over(served, id, &served.uri).await
}

async fn register_over(served: &ServedSite, id: &str, uri: &SiteUri) -> Registered {
    let robot = Arc::new(Identity::generate(&mut SystemEntropy));
    let name = format!("{id}-robot");
    served.create_service(&name, &robot).await;
    let mut settings = json!({ "service": name });
    if id != "ledger" {
        settings["may_call"] = json!([{ "app": "ledger" }]);
    }
    let key = served.create_application(id, settings).await;
    let connector = Connector::new(uri);
    let client = connector.connect(LoginAs::Service(robot.clone()));
    Registered {
        application: Application {
            id: id.to_owned(),
            keys: vec![key],
        },
        robot,
        session: Arc::new(client.await.unwrap()),
    }
}

/// The applications' settings for the site. Nothing listens at its HTTP address.
pub(crate) fn known(served: &ServedSite) -> Site {
    let opened = served.site.unsealed_keys().unwrap();
    Site {
        id: opened.broker.id().to_owned(),
        url: "http://127.0.0.1:1".parse().unwrap(),
        keys: vec![opened.broker.party().unwrap().public().clone()],
    }
}

/// The site at its HTTP listener, where a provider learns its time.
pub(crate) fn reachable(served: &ServedSite) -> Site {
    let address = served.server.http_address().unwrap();
    Site {
        url: format!("http://{address}").parse().unwrap(),
        ..known(served)
    }
}

/// Serves `ledger`. Returns its address.
pub(crate) async fn serve(provider: &Provider) -> String {
    let who = async |Extension(app): Extension<AuthenticatedApp>| app.id;
    let router = Router::new()
        .route("/who", get(who))
        .layer(provider.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

pub(crate) fn consumer(served: &ServedSite, billing: &Registered, ledger: &str) -> Consumer {
    Consumer::builder(billing.application.clone(), known(served))
        .calls("ledger", ledger.parse().unwrap())
        .tickets_over(billing.session.clone())
        // The clock is an hour wrong; the site's response corrects it.
        .clock(|| millis() - 3_600_000)
        .build()
        .unwrap()
}

/// A ticket for a new consumer.
pub(crate) async fn call(
    consumer: &Consumer,
    ledger: &str,
) -> Result<(u16, String), ConsumerError> {
    let client = consumer.client().unwrap();
    match client.get(format!("{ledger}/who")).send().await {
        Ok(answer) => Ok((answer.status().as_u16(), answer.text().await.unwrap())),
        Err(reqwest_middleware::Error::Middleware(error)) => Err(error.downcast().unwrap()),
        Err(error) => panic!("{error}"),
    }
}

/// [BRK-56]
#[tokio::test]
async fn applications_call_each_other_with_tickets_from_sessions() {
    let served = site().serve().await;
    let mut ledger = register(&served, "ledger").await;
    let billing = register(&served, "billing").await;
    let provider = Provider::builder(ledger.application.clone(), reachable(&served))
        .ticket_keys_from(ledger.session.clone())
        .build()
        .unwrap();
    let address = serve(&provider).await;
    let called = || async { call(&consumer(&served, &billing, &address), &address).await };
    let fine = Ok((200, "billing".to_owned()));
    // The provider requests the ticket keys at the first ticket.
    assert_eq!(called().await, fine);

    // The key was changed, and so the ticket keys: the provider requests them at the first ticket under a new
    // one, but not again immediately.
    let next = party();
    let rotate = json!({ "id": "ledger", "public_key": next.public().to_pem() });
    served.admin("app.rotate_key", rotate).await;
    ledger.application.keys.insert(0, next);
    provider.set_keys(ledger.application.keys.clone());
    let refused = |responder, refusal: Refusal| {
        Err(ConsumerError::Refused {
            responder,
            status: refusal.status(),
            refusal: Some(refusal),
        })
    };
    assert_eq!(
        called().await,
        refused(Responder::Provider, Refusal::NotVerified)
    );
    time::pass(Duration::from_secs(5)).await;
    assert_eq!(called().await, fine);
    provider.ask_ticket_keys().await.unwrap();
    assert_eq!(called().await, fine);

    served.admin("app.lock", json!({ "id": "billing" })).await;
    assert_eq!(
        called().await,
        refused(Responder::Site, Refusal::NotAllowed)
    );
    served.admin("app.unlock", json!({ "id": "billing" })).await;
    // A ticket that is issued within the uncertainty of the provider's clock is void too.
    time::until(async || called().await == fine).await;

    // The service is locked, so its session ends.
    served
        .admin("service.lock", json!({ "name": "billing-robot" }))
        .await;
    assert!(matches!(called().await, Err(ConsumerError::Session(_))));
    provider.set_session(None);
    assert!(provider.ask_ticket_keys().await.is_err());
}

/// [BRK-56]: when the session of a provider got no replies and clients presented tickets under an unknown key,
/// each client waited for a request of its own after all earlier ones: 30 s, 60 s, 90 s and so on.
#[tokio::test]
async fn with_a_silent_session_all_waiting_clients_share_one_request() {
    let served = site().serve().await;
    let proxy = Proxy::before(&served).await;
    let ledger = register_over(&served, "ledger", &proxy.uri).await;
    let billing = register(&served, "billing").await;
    let site = known(&served);
    let provider = Provider::builder(ledger.application.clone(), site.clone())
        .ticket_keys_from(ledger.session.clone())
        .build()
        .unwrap();
    // The session does not reply, and no new request is sent soon.
    assert!(provider.ask_time().await.is_err());
    let params = json!({ "app": "billing", "providers": ["ledger"] });
    let mut answer: Value = billing
        .session
        .call("broker", "ticket", &params)
        .await
        .unwrap();
    let mut answered: Vec<TicketResult> = serde_json::from_value(answer["tickets"].take()).unwrap();
    let Some(TicketResult::Granted(ticket)) = answered.pop() else {
        panic!("refused");
    };
    let parties = Parties {
        id: "billing".to_owned(),
        keys: billing.application.keys.clone(),
        site: site.id,
        site_keys: site.keys,
        suite: SealingSuite::XWing,
    };
    let granted = parties.read_session_response("ledger", *ticket).unwrap();
    let (_, presentation) = granted.present(millis(), &mut SystemEntropy).unwrap();
    let router = Router::new().route("/who", get(async || "verified"));
    let mut service = provider.layer(router);
    let mut present = || {
        let content = Full::<Bytes>::from(presentation.clone());
        let request = Request::post(TICKET_PATH).body(content).unwrap();
        service.call(request)
    };
    let status = |answer: Result<Response<Body>, _>| {
        let answer: Result<_, Infallible> = answer;
        answer.unwrap().status()
    };

    proxy.mute();
    tokio::time::pause();
    let began = tokio::time::Instant::from_std(clock::monotonic());
    let mut waiting: Vec<_> = (0..255).map(|_| present()).collect();
    assert!(waiting.iter_mut().all(|one| one.now_or_never().is_none()));
    // The request is sent.
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_secs(5)).await;
    // A later client waits for the same reply, and the next one exceeds the limit.
    waiting.push(present());
    assert!(waiting[255].as_mut().now_or_never().is_none());
    let busy = present().now_or_never().map(status);
    assert_eq!(busy, Some(StatusCode::SERVICE_UNAVAILABLE));
    for answer in futures_util::future::join_all(waiting).await {
        assert_eq!(status(answer), StatusCode::UNAUTHORIZED);
    }
    let took = began.elapsed();
    assert!((10..11).contains(&took.as_secs()), "{took:?}");

    // For five seconds after the end of that request there is no new one.
    provider.set_session(Some(billing.session.clone()));
    tokio::time::advance(Duration::from_millis(4_900)).await;
    let refused = present().now_or_never().map(status);
    assert_eq!(refused, Some(StatusCode::UNAUTHORIZED));
    tokio::time::advance(Duration::from_millis(200)).await;
    let mut asks = present();
    assert!(asks.as_mut().now_or_never().is_none());
    tokio::time::resume();
    // That session belongs to the service of another application.
    assert_eq!(status(asks.await), StatusCode::UNAUTHORIZED);
    let connector = Connector::new(&served.uri);
    let session = connector
        .connect(LoginAs::Service(ledger.robot))
        .await
        .unwrap();
    provider.set_session(Some(Arc::new(session)));
    time::pass(Duration::from_secs(5)).await;
    assert_eq!(status(present().await), StatusCode::OK);
}

/// [BRK-9]: also for symmetric tickets.
#[tokio::test]
async fn a_symmetric_ticket_is_accepted_once() {
    let served = site().serve().await;
    let ledger = register(&served, "ledger").await;
    let billing = register(&served, "billing").await;
    let site = known(&served);
    let provider = Provider::builder(ledger.application.clone(), site.clone())
        .ticket_keys_from(ledger.session.clone())
        .build()
        .unwrap();
    provider.ask_ticket_keys().await.unwrap();
    let address = serve(&provider).await;
    let params = json!({ "app": "billing", "providers": vec!["ledger"; 256] });
    let mut answer: Value = billing
        .session
        .call("broker", "ticket", &params)
        .await
        .unwrap();
    let answered: Vec<TicketResult> = serde_json::from_value(answer["tickets"].take()).unwrap();
    let granted = |answered| match answered {
        TicketResult::Granted(response) => *response,
        TicketResult::Refused(code) => panic!("{code}"),
    };
    let tickets: Vec<AuthResponse> = answered.into_iter().map(granted).collect();
    assert_eq!(tickets.len(), 256);
    let parties = Parties {
        id: "billing".to_owned(),
        keys: billing.application.keys.clone(),
        site: site.id,
        site_keys: site.keys,
        suite: SealingSuite::XWing,
    };
    let http = reqwest::Client::new();
    for ticket in tickets.into_iter().take(2) {
        let granted = parties.read_session_response("ledger", ticket).unwrap();
        let (presenting, body) = granted.present(millis(), &mut SystemEntropy).unwrap();
        let present = async || {
            let request = http
                .post(format!("{address}{TICKET_PATH}"))
                .body(body.clone());
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.bytes().await.unwrap())
        };
        let (status, answer) = present().await;
        assert_eq!(status, 200);
        assert!(presenting.read_acknowledgement(&answer).is_ok());
        assert_eq!(present().await, (409, Refusal::Replayed.body().into()));
    }
}
