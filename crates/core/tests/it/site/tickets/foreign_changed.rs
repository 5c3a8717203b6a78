//! Tickets across sites for an application that changes while the peer answers.

use countersign_proto::operation::Code;
use countersign_testkit::harness::run;
use futures_util::FutureExt;
use serde_json::{Value, json};

use super::foreign::World;

/// Asks for a ticket of the peer, which answers after this change at the site of the consumer.
async fn asks_while(world: &World, (change, params): (&str, Value)) -> (Code, Value) {
    let a = &world.sites.a;
    let holding = world.sites.answers.lock().await;
    let ask = json!({ "app": "billing", "providers": ["ledger@b.example"] });
    let mut asking = Box::pin(run(&a.site, &world.billing.caller, "broker.ticket", ask));
    for _ in 0..1_000 {
        assert!(asking.as_mut().now_or_never().is_none(), "{change}");
    }
    a.admin(change, params).await;
    drop(holding);
    let (code, data) = asking.await;
    (code, data["tickets"][0].clone())
}

/// A peer answered a minute late. The application was locked meanwhile, and got its ticket: policy was asked
/// about the application as it had been.
// BRK-104
#[tokio::test]
async fn an_application_that_was_changed_while_the_peer_answered_gets_no_ticket() {
    let id = || json!({ "id": "billing" });
    let withdrawn = json!({ "id": "billing", "disallow": [{ "foreign": "ledger@b.example" }] });
    for change in [
        ("app.lock", id()),
        ("app.delete", id()),
        ("app.update", withdrawn),
        ("lockdown.app", id()),
        ("peer.suspend", json!({ "peer": "b.example" })),
    ] {
        let world = World::allowed().await;
        let name = change.0;
        let (code, answer) = asks_while(&world, change).await;
        assert_eq!(
            (code, &answer["refused"]),
            (Code::SUCCESS, &json!("not-allowed")),
            "{name}"
        );
    }
    let world = World::allowed().await;
    let other = ("app.lock", json!({ "id": "other" }));
    world.sites.a.create_application("other", json!({})).await;
    let (code, answer) = asks_while(&world, other).await;
    assert_eq!(code, Code::SUCCESS);
    assert!(answer["granted"].is_object(), "{answer}");
}

/// A service got the answer after its account had been deleted.
// BRK-104
#[tokio::test]
async fn a_service_that_was_locked_while_the_peer_answered_gets_no_ticket() {
    for change in ["service.lock", "service.delete", "lockdown.service"] {
        let world = World::allowed().await;
        let service = json!({ "name": "billing-robot" });
        let (code, answer) = asks_while(&world, (change, service)).await;
        assert_eq!(
            (code, answer),
            (Code::NOT_PERMITTED, Value::Null),
            "{change}"
        );
    }
}
