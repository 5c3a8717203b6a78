//! Ciphers and hashes that the site does not support.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use countersign_http_auth::V1BuildError;
use countersign_http_auth::{ConsumerError, Responder};
use countersign_proto::broker::v1::V1Refusal;
use countersign_proto::broker::v2;
use reqwest_middleware::Error;

use super::super::world::{A, get_from, ok};
use super::master::refused;
use super::world::{World, ciphers, hashes};

// BRK-25
#[tokio::test]
async fn a_consumer_retries_with_a_cipher_and_hash_that_the_site_supports() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let consumer = world
        .consumer(&ledger)
        .ciphers(&ciphers(&["aes-128-ofb", "aes-256-cbc"]))
        .hashes(&hashes(&["sha512", "sha256"]));
    let client = consumer.build().unwrap().client().unwrap();
    let who = get_from(&client, &ledger, "/who").await;
    assert_eq!(who, ok(r#"billing {"team":"billing"}"#));
    assert_eq!(world.master.wire().len(), 3);
}

// BRK-25
#[tokio::test]
async fn a_consumer_tries_at_most_three_times() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let cipher = |supported| V1Refusal::Cipher {
        requested: None,
        supported: ciphers(&[supported]),
    };
    let hash = |supported| V1Refusal::Hash {
        requested: None,
        supported: hashes(&[supported]),
    };
    let cases = [
        ([cipher("aes-256-ctr"), cipher("aes-256-cbc")], 3, 409),
        ([hash("sha512"), hash("sha256")], 3, 490),
        ([cipher("aes-256-ctr"), hash("sha512")], 3, 409),
        // A list without an untried common entry ends the attempts.
        ([cipher("aes-256-cbc"), cipher("aes-256-cbc")], 1, 409),
        ([cipher("aes-128-ofb"), cipher("aes-128-ofb")], 1, 409),
        ([hash("sha1"), hash("sha1")], 1, 490),
    ];
    for (answers, times, status) in cases {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let never = Router::new().fallback(async move || {
            let at = count.fetch_add(1, Ordering::Relaxed);
            refused(&answers[at % 2])
        });
        world.master.replace(never);
        let consumer = world
            .consumer(&ledger)
            .ciphers(&ciphers(&["aes-256-cbc", "aes-256-ctr"]))
            .hashes(&hashes(&["sha256", "sha512", "sha1"]));
        let client = consumer.build().unwrap().client().unwrap();
        let answer = client.get(ledger.url("/who").to_string()).send().await;
        let Err(Error::Middleware(error)) = answer else {
            panic!("it was sent");
        };
        let expected = ConsumerError::Refused {
            responder: Responder::Site,
            status,
            refusal: Some(v2::Refusal::NothingInCommon),
        };
        assert_eq!(error.downcast::<ConsumerError>().unwrap(), expected);
        assert_eq!(asked.load(Ordering::Relaxed), times);
    }
}

/// Regression: both applications preferred SHA-512, which Hawk does not support. The site chose it,
/// and no request could be signed.
// BRK-72
#[tokio::test]
async fn applications_that_prefer_sha512_use_a_hash_that_hawk_supports() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let both = || hashes(&["sha512", "sha256"]);
    world.master.set(|master| master.hashes = both());
    for id in [A, super::super::world::B] {
        world
            .master
            .change(id, |application| application.hashes = both());
    }
    let consumer = world.consumer(&ledger).hashes(&both()).build().unwrap();
    let client = consumer.client().unwrap();
    let who = get_from(&client, &ledger, "/who").await;
    assert_eq!(who, ok(r#"billing {"team":"billing"}"#));
}

/// The registrations have no hash in common. The consumer reports that after one response, without
/// advice about its keys.
// BRK-72
#[tokio::test]
async fn a_consumer_without_a_common_hash_learns_it_from_the_first_response() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    world
        .master
        .change(A, |application| application.hashes = hashes(&["sha512"]));
    let client = world.client(&ledger);
    let answer = client.get(ledger.url("/who").to_string()).send().await;
    let Err(Error::Middleware(error)) = answer else {
        panic!("it was sent");
    };
    let expected = ConsumerError::Refused {
        responder: Responder::Site,
        status: 500,
        refusal: Some(v2::Refusal::NothingInCommon),
    };
    assert_eq!(error.downcast::<ConsumerError>().unwrap(), expected);
    assert_eq!(world.master.wire().len(), 1);
}

/// Regression: a consumer was built with SHA-1 only, and then no ticket could be requested.
#[tokio::test]
async fn a_consumer_that_can_request_no_ticket_is_not_built() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    for (named, built) in [
        (&["sha1"][..], Err(V1BuildError::Hashes)),
        (&["sha512", "sha384"], Err(V1BuildError::Hashes)),
        (&[], Err(V1BuildError::Hashes)),
        (&["sha512", "sha1"], Ok(())),
        (&["sha256"], Ok(())),
    ] {
        let consumer = world.consumer(&ledger).hashes(&hashes(named));
        assert_eq!(consumer.build().map(|_| ()), built, "{named:?}");
    }
    let consumer = world.consumer(&ledger).ciphers(&[]).build();
    assert_eq!(consumer.map(|_| ()), Err(V1BuildError::Ciphers));
    assert!(V1BuildError::Hashes.to_string().ends_with("add sha256"));
}
