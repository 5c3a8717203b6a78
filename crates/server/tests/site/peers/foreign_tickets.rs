//! Applications that call each other across two sites, over sockets: `billing` of site A calls `ledger`
//! of site B.

use std::time::Duration;

use axum::routing::get;
use axum::{Extension, Router};
use countersign_http_auth::{
    Application, AuthenticatedApp, Consumer, ConsumerBuilder, ConsumerError, Provider, Responder,
    Site,
};
use countersign_net::lines::Lines;
use countersign_proto::broker::v2::Refusal;
use countersign_testkit::harness::time::{self, until};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::http::symmetric::{Registered, call, register};
use crate::peers::side::{Side, peers};

/// A timeout that no test reaches unless it fails.
const SOON: Duration = Duration::from_secs(60);

/// Two sites that are peers, of which both allow the call, and the address of the provider.
pub(crate) struct World {
    pub(crate) a: Side,
    pub(crate) b: Side,
    billing: Registered,
    provider: Provider,
    pub(crate) address: String,
}

impl World {
    async fn new() -> Self {
        let (a, b) = peers().await;
        Self::of(a, b).await
    }

    /// The applications of two sites that are peers.
    pub(crate) async fn of(a: Side, b: Side) -> Self {
        let ledger = register(&b.served, "ledger").await;
        // Site A has an application with the id of the provider, which billing does not mean.
        a.served.create_application("ledger", json!({})).await;
        let billing = a.served.create_application("billing", json!({})).await;
        let billing_robot = register(&a.served, "clerk").await;
        // The service of `clerk` speaks for billing too, so that it gets tickets in a session.
        let service = json!({ "id": "billing", "settings": { "service": "clerk-robot" } });
        a.admin("app.update", service).await;
        let allow = json!({ "id": "billing", "allow": [{ "foreign": "ledger@b.example" }] });
        a.admin("app.update", allow).await;
        let allow = json!({ "id": "ledger", "allow_callers": ["billing@a.example"] });
        b.admin("app.update", allow).await;
        let provider = Provider::builder(ledger.application.clone(), known(&b))
            .ticket_keys_from(ledger.session.clone())
            .build()
            .unwrap();
        let address = serve(&provider).await;
        Self {
            a,
            b,
            billing: Registered {
                application: Application {
                    id: "billing".to_owned(),
                    keys: vec![billing],
                },
                ..billing_robot
            },
            provider,
            address,
        }
    }

    pub(crate) fn builder(&self) -> ConsumerBuilder {
        Consumer::builder(self.billing.application.clone(), known(&self.a))
            .calls("ledger@b.example", self.address.parse().unwrap())
    }

    /// Calls with a new consumer, which needs a new ticket.
    pub(crate) async fn calls(&self) -> Result<(u16, String), ConsumerError> {
        let consumer = self.builder().build().unwrap();
        timeout(SOON, call(&consumer, &self.address)).await.unwrap()
    }
}

fn known(side: &Side) -> Site {
    let opened = side.served.site.unsealed_keys().unwrap();
    let http = side.served.server.http_address().unwrap();
    Site {
        id: opened.broker.id().to_owned(),
        url: format!("http://{http}").parse().unwrap(),
        keys: vec![opened.broker.party().unwrap().public().clone()],
    }
}

/// Serves `ledger`, which answers with the consumer and the site that authenticated it.
async fn serve(provider: &Provider) -> String {
    let who = async |Extension(app): Extension<AuthenticatedApp>| match app.path() {
        Some(path) => format!("{} via {}", app.id, path.via.site),
        None => app.id,
    };
    let router = Router::new()
        .route("/who", get(who))
        .layer(provider.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

pub(crate) fn refused(refusal: Refusal) -> Result<(u16, String), ConsumerError> {
    Err(ConsumerError::Refused {
        responder: Responder::Site,
        status: refusal.status(),
        refusal: Some(refusal),
    })
}

/// Over HTTP, and in a session.
// BRK-90, BRK-92, PEER-40
#[tokio::test]
async fn a_consumer_of_one_site_calls_a_provider_of_another_which_learns_the_path() {
    let world = World::new().await;
    let expected = format!("billing@a.example via {}", world.a.id());
    assert_eq!(world.calls().await, Ok((200, expected.clone())));
    let session = world.builder().tickets_over(world.billing.session.clone());
    // The clock of the consumer is wrong, and the clocks of the sites may differ.
    let session = session.clock(|| 0).build().unwrap();
    assert_eq!(call(&session, &world.address).await, Ok((200, expected)));
    // Both travelled over a connection that A opened for them.
    assert_eq!(
        world
            .b
            .served
            .site
            .peer_connections(world.a.served.site.id())
            .len(),
        1
    );
}

// BRK-93, BRK-94
#[tokio::test]
async fn a_suspended_or_removed_peer_gives_no_ticket_and_its_tickets_are_void() {
    let world = World::new().await;
    let consumer = world.builder().build().unwrap();
    assert_eq!(call(&consumer, &world.address).await.unwrap().0, 200);
    let peer = || json!({ "peer": "a.example" });
    world.b.admin("peer.suspend", peer()).await;
    // The consumer goes on using its ticket, without asking its site.
    until(async || call(&consumer, &world.address).await.is_err()).await;
    assert_eq!(world.calls().await, refused(Refusal::PeerUnreachable));
    world.b.admin("peer.resume", peer()).await;
    // A waits before it connects again; the answers come at once meanwhile.
    until(async || {
        time::pass(Duration::from_secs(1)).await;
        world.calls().await.is_ok()
    })
    .await;
    world.b.admin("peer.remove", peer()).await;
    assert!(world.calls().await.is_err());
    world
        .a
        .admin("peer.remove", json!({ "peer": "b.example" }))
        .await;
    assert_eq!(world.calls().await, refused(Refusal::NotAllowed));
}

/// No request waits for a peer that is down: the first request ends with the attempt to connect, and the
/// next ones at once.
// BRK-94, PEER-43
#[tokio::test]
async fn requests_for_a_peer_that_is_down_end_with_an_error_until_it_is_back() {
    let mut world = World::new().await;
    world.b.stop().await;
    for _ in 0..3 {
        assert_eq!(world.calls().await, refused(Refusal::PeerUnreachable));
    }
    let doctor = world.a.admin("peer.doctor", json!({})).await;
    let cause = doctor["findings"][1]["cause"].as_str().unwrap();
    assert!(cause.contains("could not be reached"), "{cause}");
    world.b.listen_again().await;
    // The port is another one: the next introduction tells it.
    world.b.join(&world.a.ticket().await).await.unwrap();
    until(async || {
        time::pass(Duration::from_secs(1)).await;
        world.calls().await.is_ok()
    })
    .await;
}

/// The next operation that asks for a ticket, after what a site tells each new peer.
async fn asked(lines: &mut Lines<crate::peers::side::Stream>) -> Value {
    loop {
        let operation = crate::peers::side::next(lines).await.unwrap();
        if operation["command"] == "foreign_ticket" {
            return operation;
        }
    }
}

/// A peer that takes the operation and never answers.
// PEER-43
#[tokio::test]
async fn a_peer_that_does_not_answer_keeps_no_request_waiting() {
    let world = World::new().await;
    let mut lines = crate::peers::side::connected(&world.b, &world.a).await;
    let call = world.calls();
    let silent = async {
        let operation = asked(&mut lines).await;
        assert_eq!(operation["params"]["consumer"], "billing@a.example");
        // No answer.
        time::pass(Duration::from_secs(8)).await;
        operation
    };
    let (called, operation) = tokio::join!(call, silent);
    assert_eq!(called, refused(Refusal::PeerUnreachable));
    // A late answer is no breach of the protocol.
    let late = json!({ "id": operation["id"], "code": 8, "data": Value::Null });
    lines.send(format!("{late}\n").as_bytes()).await.unwrap();
    let ping = json!({ "id": 9, "group": "peer", "command": "ping" });
    lines.send(format!("{ping}\n").as_bytes()).await.unwrap();
    assert_eq!(crate::peers::side::next(&mut lines).await.unwrap()["id"], 9);
}

/// What a peer sends instead of a ticket reaches no consumer.
// BRK-94
#[tokio::test]
async fn an_answer_of_a_peer_that_is_no_ticket_for_the_request_is_refused() {
    let world = World::new().await;
    let mut lines = crate::peers::side::connected(&world.b, &world.a).await;
    for data in [
        json!({}),
        json!({ "ticket": { "granted": {} } }),
        Value::Null,
    ] {
        let call = world.calls();
        let answer = async {
            let operation = asked(&mut lines).await;
            let result = json!({ "id": operation["id"], "code": 0, "data": data });
            lines.send(format!("{result}\n").as_bytes()).await.unwrap();
        };
        let (called, ()) = tokio::join!(call, answer);
        assert_eq!(called, refused(Refusal::PeerUnreachable));
    }
}

// BRK-96
#[tokio::test]
async fn a_lock_at_the_site_of_the_consumer_reaches_the_provider_of_the_other_site() {
    let world = World::new().await;
    let consumer = world.builder().build().unwrap();
    assert_eq!(call(&consumer, &world.address).await.unwrap().0, 200);
    let id = json!({ "id": "billing" });
    world.a.admin("app.lock", id.clone()).await;
    until(async || call(&consumer, &world.address).await.is_err()).await;
    world.a.admin("app.unlock", id).await;
    // A ticket that is issued in the millisecond of the event is void too.
    until(async || world.calls().await.is_ok_and(|(status, _)| status == 200)).await;
    drop(world.provider);
}

/// Both sites have an application of the same id. Each is who it is.
// BRK-92
#[tokio::test]
async fn consumers_of_the_same_name_at_both_sites_are_different_callers() {
    let world = World::new().await;
    let own = register(&world.b.served, "billing").await;
    let consumer = Consumer::builder(own.application.clone(), known(&world.b))
        .calls("ledger", world.address.parse().unwrap())
        .build()
        .unwrap();
    let here = call(&consumer, &world.address).await;
    assert_eq!(here, Ok((200, "billing".to_owned())));
    let there = world.calls().await.unwrap().1;
    assert!(there.starts_with("billing@a.example via "), "{there}");
    // The consumer of site B cannot ask site A in the name of the other one.
    let stolen = Consumer::builder(own.application, known(&world.a))
        .calls("ledger@b.example", world.address.parse().unwrap())
        .build()
        .unwrap();
    let refusal = call(&stolen, &world.address).await;
    assert_eq!(refusal, refused(Refusal::NotVerified));
}
