//! Key rotation while applications call each other.

use countersign_http_auth::{ConsumerError, Responder};
use countersign_proto::broker::v2::Refusal;

use super::wire::serve;
use super::world::{A, B, HOUR, World, ok, party, post_to, routes, unsent};

// BRK-31
#[tokio::test]
async fn keys_are_rotated_without_an_interruption() {
    let world = World::new().await;
    let provider = world.provider().build().unwrap();
    let ledger = serve(routes(&provider)).await;
    let consumer = world.consumer(&ledger).build().unwrap();
    let client = consumer.client().unwrap();
    let mut tickets = 0;
    let mut call = async || {
        assert_eq!(post_to(&client, &ledger, "a").await, ok("a"));
        // With the current ticket and with another one.
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
    // The provider adds a key, then the site adds it, then the old one is removed.
    provider.set_keys(vec![party(13), party(3)]);
    call().await;
    world.site.register(B, &[party(13), party(3)]);
    call().await;
    world.site.register(B, &[party(13)]);
    provider.set_keys(vec![party(13)]);
    call().await;
    // The consumer's key is registered at the site first.
    world.site.register(A, &[party(12), party(2)]);
    call().await;
    consumer.set_keys(vec![party(12), party(2)]);
    call().await;
    world.site.register(A, &[party(12)]);
    call().await;
    // The site signs with its oldest key, so the applications know the new one before it signs.
    world.site.set_keys(vec![party(11), party(1)]);
    call().await;
    consumer.set_site_keys(site(&[11, 1]));
    provider.set_site_keys(site(&[11, 1]));
    call().await;
    world.site.set_keys(vec![party(11)]);
    call().await;
    consumer.set_site_keys(site(&[11]));
    provider.set_site_keys(site(&[11]));
    call().await;
}

#[tokio::test]
async fn a_removed_key_opens_no_ticket() {
    let world = World::new().await;
    let provider = world.provider().build().unwrap();
    let ledger = serve(routes(&provider)).await;
    provider.set_keys(vec![party(13)]);
    let client = world.client(&ledger);
    let request = client.get(ledger.url("/who").to_string());
    let expected = ConsumerError::Refused {
        responder: Responder::Provider,
        status: 401,
        refusal: Some(Refusal::NotVerified),
    };
    assert_eq!(unsent(request).await, expected);
}
