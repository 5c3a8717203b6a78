//! Keys that are changed while applications call each other.

use countersign_http_auth::{By, ConsumerError};
use countersign_proto::broker::v2::Refusal;

use super::wire::serve;
use super::world::{A, B, HOUR, World, guarded, ok, party, post_to, unsent};

// BRK-31
#[tokio::test]
async fn keys_are_rotated_in_the_middle_without_a_pause() {
    let world = World::new().await;
    let provider = world.provider().build().unwrap();
    let ledger = serve(guarded(&provider)).await;
    let consumer = world.consumer(&ledger).build().unwrap();
    let client = consumer.client().unwrap();
    let mut tickets = 0;
    let mut call = async || {
        assert_eq!(post_to(&client, &ledger, "a").await, ok("a"));
        // Under what is known, and under another ticket.
        world.time.pass(HOUR + 1);
        assert_eq!(post_to(&client, &ledger, "b").await, ok("b"));
        assert!(world.site.tickets() > tickets);
        tickets = world.site.tickets();
    };
    call().await;
    let site = |keys: &[u8]| {
        keys.iter()
            .map(|key| party(*key).public().clone())
            .collect()
    };
    // The provider has a new key, then the site knows it, then the old one is gone.
    provider.set_keys(vec![party(13), party(3)]);
    call().await;
    world.site.register(B, &[party(13), party(3)]);
    call().await;
    world.site.register(B, &[party(13)]);
    provider.set_keys(vec![party(13)]);
    call().await;
    // The consumer: the site is told first.
    world.site.register(A, &[party(12), party(2)]);
    call().await;
    consumer.set_keys(vec![party(12), party(2)]);
    call().await;
    world.site.register(A, &[party(12)]);
    call().await;
    // The site: who believes it learns its new key before it uses it.
    consumer.set_site_keys(site(&[1, 11]));
    provider.set_site_keys(site(&[1, 11]));
    world.site.set_keys(vec![party(11), party(1)]);
    call().await;
    consumer.set_site_keys(site(&[11]));
    provider.set_site_keys(site(&[11]));
    call().await;
    world.site.set_keys(vec![party(11)]);
    call().await;
}

#[tokio::test]
async fn a_key_that_is_gone_opens_nothing_any_more() {
    let world = World::new().await;
    let provider = world.provider().build().unwrap();
    let ledger = serve(guarded(&provider)).await;
    provider.set_keys(vec![party(13)]);
    let client = world.client(&ledger);
    let request = client.get(ledger.url("/who").to_string());
    let expected = ConsumerError::Refused {
        by: By::Provider,
        status: 401,
        refusal: Some(Refusal::NotVerified),
    };
    assert_eq!(unsent(request).await, expected);
}
