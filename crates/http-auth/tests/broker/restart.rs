//! A provider that ends and begins again.

use countersign_http_auth::{Limits, SqliteTickets};
use countersign_proto::broker::v2::Refusal;

use super::wire::serve;
use super::world::{SECOND, World, guarded, no, ok, post_to};

// BRK-42
#[tokio::test]
async fn a_restart_forgets_no_ticket_and_no_request() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tickets.db");
    let world = World::new().await;
    let started = async || {
        let tickets = SqliteTickets::open(&file, Limits::default()).await.unwrap();
        guarded(&world.provider().tickets(tickets).build().unwrap())
    };
    let ledger = serve(started().await).await;
    let client = world.client(&ledger);
    assert_eq!(post_to(&client, &ledger, "12.50").await, ok("12.50"));
    let [presentation, signed] = ledger.wire().try_into().unwrap();

    ledger.replace(started().await);
    assert_eq!(ledger.say(presentation).await, no(Refusal::Replayed));
    assert_eq!(ledger.say(signed).await, no(Refusal::Replayed));
    // Whoever was known is.
    world.time.pass(2 * SECOND);
    assert_eq!(post_to(&client, &ledger, "1").await, ok("1"));
    assert_eq!(world.site.tickets(), 1);
}

#[tokio::test]
async fn without_a_file_nothing_from_before_a_restart_is_of_use() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    post_to(&world.client(&ledger), &ledger, "12.50").await;
    let [presentation, signed] = ledger.wire().try_into().unwrap();
    ledger.replace(guarded(&world.provider().build().unwrap()));
    assert_eq!(ledger.say(signed.clone()).await, no(Refusal::NotVerified));
    // It is accepted, but the secret is another one.
    assert_eq!(ledger.say(presentation).await.status, 200);
    assert_eq!(ledger.say(signed).await, no(Refusal::NotVerified));
}
