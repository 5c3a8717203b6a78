//! A provider that restarts.

use countersign_http_auth::{Limits, SqliteTickets};
use countersign_proto::broker::v2::Refusal;

use super::wire::serve;
use super::world::{SECOND, World, ok, post_to, rejected, routes};

// BRK-42
#[tokio::test]
async fn tickets_and_requests_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tickets.db");
    let world = World::new().await;
    let started = async || {
        let tickets = SqliteTickets::open(&file, Limits::default()).await.unwrap();
        routes(&world.provider().tickets(tickets).build().unwrap())
    };
    let ledger = serve(started().await).await;
    let client = world.client(&ledger);
    assert_eq!(post_to(&client, &ledger, "12.50").await, ok("12.50"));
    let [presentation, signed] = ledger.wire().try_into().unwrap();

    ledger.replace(started().await);
    assert_eq!(ledger.send(presentation).await, rejected(Refusal::Replayed));
    assert_eq!(ledger.send(signed).await, rejected(Refusal::Replayed));
    // The consumer's ticket is still accepted.
    world.time.pass(2 * SECOND);
    assert_eq!(post_to(&client, &ledger, "1").await, ok("1"));
    assert_eq!(world.site.tickets(), 1);
}

#[tokio::test]
async fn without_a_file_no_recorded_request_is_accepted_after_a_restart() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    post_to(&world.client(&ledger), &ledger, "12.50").await;
    let [presentation, signed] = ledger.wire().try_into().unwrap();
    ledger.replace(routes(&world.provider().build().unwrap()));
    assert_eq!(
        ledger.send(signed.clone()).await,
        rejected(Refusal::NotVerified)
    );
    // It is accepted, but the secret differs.
    assert_eq!(ledger.send(presentation).await.status, 200);
    assert_eq!(ledger.send(signed).await, rejected(Refusal::NotVerified));
}
