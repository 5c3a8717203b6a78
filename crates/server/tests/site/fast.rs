//! The fast path whole: two applications, each with a session of its service, and HTTP between them. The site itself
//! answers nothing over HTTP here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::routing::get;
use axum::{Extension, Router};
use countersign_client::broker::{
    Application, AuthenticatedApp, By, Consumer, ConsumerError, Provider, Site, TICKET_PATH,
};
use countersign_client::{Client, Connector, Who};
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::party::{PartyKey, SealingSuite};
use countersign_proto::broker::v2::Refusal;
use countersign_proto::broker::v2::consumer::Consumer as Parties;
use countersign_proto::broker::v2::fast::Answered;
use countersign_proto::broker::v2::message::AuthResponse;
use countersign_server::clock;
use serde_json::{Value, json};

use crate::founded::Founded;

fn party() -> PartyKey {
    PartyKey::new(Arc::new(Identity::generate(&mut SystemEntropy)))
}

fn millis() -> u64 {
    u64::try_from(clock::now().millis()).unwrap()
}

/// An application, and a session of its service.
struct Registered {
    application: Application,
    session: Arc<Client>,
}

async fn register(founded: &Founded, id: &str) -> Registered {
    let robot = Arc::new(Identity::generate(&mut SystemEntropy));
    let name = format!("{id}-robot");
    let service = json!({ "name": name, "certificate": robot.certificate().to_pem() });
    founded.admin("service", "create", service).await;
    let key = party();
    let mut settings = json!({ "service": name });
    if id != "ledger" {
        settings["may_call"] = json!([{ "app": "ledger" }]);
    }
    let keys = [key.public().to_pem()];
    let app = json!({ "id": id, "public_keys": keys, "settings": settings });
    founded.admin("app", "create", app).await;
    let connector = Connector::new(&founded.uri);
    let client = connector.connect(Who::Service(robot));
    Registered {
        application: Application {
            id: id.to_owned(),
            keys: vec![key],
        },
        session: Arc::new(client.await.unwrap()),
    }
}

/// What applications know of the site. Nobody answers at that address.
fn known(founded: &Founded) -> Site {
    let opened = founded.site.opened().unwrap();
    Site {
        id: opened.broker.id().to_owned(),
        url: "http://127.0.0.1:1".parse().unwrap(),
        keys: vec![opened.broker.party().unwrap().public().clone()],
    }
}

/// Serves `ledger`, and says where.
async fn serve(provider: &Provider) -> String {
    let who = async |Extension(app): Extension<AuthenticatedApp>| app.id;
    let router = Router::new()
        .route("/who", get(who))
        .layer(provider.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn consumer(founded: &Founded, billing: &Registered, ledger: &str) -> Consumer {
    Consumer::builder(billing.application.clone(), known(founded))
        .calls("ledger", ledger.parse().unwrap())
        .tickets_over(billing.session.clone())
        // An hour wrong: the site's answer puts it right.
        .clock(|| millis() - 3_600_000)
        .build()
        .unwrap()
}

/// What a new consumer gets: a ticket of its own.
async fn call(consumer: &Consumer, ledger: &str) -> Result<(u16, String), ConsumerError> {
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
    let founded = Founded::new().await;
    let mut ledger = register(&founded, "ledger").await;
    let billing = register(&founded, "billing").await;
    let passed = Arc::new(AtomicU64::new(0));
    let clock = passed.clone();
    let provider = Provider::builder(ledger.application.clone(), known(&founded))
        .ticket_keys_from(ledger.session.clone())
        .clock(move || millis() + clock.load(Ordering::Relaxed))
        .build()
        .unwrap();
    let address = serve(&provider).await;
    let called = || async { call(&consumer(&founded, &billing, &address), &address).await };
    let fine = Ok((200, "billing".to_owned()));
    // The keys are asked for with the first ticket.
    assert_eq!(called().await, fine);

    // Another key, so other ticket keys: asked for with the first ticket under one, but not at once again.
    let next = party();
    let rotate = json!({ "id": "ledger", "public_key": next.public().to_pem() });
    founded.admin("app", "rotate_key", rotate).await;
    ledger.application.keys.insert(0, next);
    provider.set_keys(ledger.application.keys.clone());
    let refused = |by, refusal: Refusal| {
        Err(ConsumerError::Refused {
            by,
            status: refusal.status(),
            refusal: Some(refusal),
        })
    };
    assert_eq!(called().await, refused(By::Provider, Refusal::NotVerified));
    passed.store(6_000, Ordering::Relaxed);
    assert_eq!(called().await, fine);
    provider.ask_ticket_keys().await.unwrap();
    assert_eq!(called().await, fine);

    founded
        .admin("app", "lock", json!({ "id": "billing" }))
        .await;
    assert_eq!(called().await, refused(By::Site, Refusal::NotAllowed));
    founded
        .admin("app", "unlock", json!({ "id": "billing" }))
        .await;
    assert_eq!(called().await, fine);

    // The service is locked, so its session is cut.
    founded
        .admin("service", "lock", json!({ "name": "billing-robot" }))
        .await;
    assert!(matches!(called().await, Err(ConsumerError::Session(_))));
    provider.set_session(None);
    assert!(provider.ask_ticket_keys().await.is_err());
}

/// [BRK-9]: whatever the form of the ticket.
#[tokio::test]
async fn a_ticket_of_the_fast_path_is_presented_once() {
    let founded = Founded::new().await;
    let ledger = register(&founded, "ledger").await;
    let billing = register(&founded, "billing").await;
    let site = known(&founded);
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
    let answered: Vec<Answered> = serde_json::from_value(answer["tickets"].take()).unwrap();
    let granted = |answered| match answered {
        Answered::Granted(response) => *response,
        Answered::Refused(code) => panic!("{code}"),
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
        let granted = parties.granted_in_session("ledger", ticket).unwrap();
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
        assert!(presenting.acknowledged(&answer).is_ok());
        assert_eq!(present().await, (409, Refusal::Replayed.body().into()));
    }
}
