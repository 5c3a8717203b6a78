//! What a provider does not let through.

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, Method};
use countersign_http_auth::TICKET_PATH;
use countersign_proto::broker::v2::Refusal;

use super::wire::{Said, serve};
use super::world::{B, C, HOUR, SECOND, World, get_from, guarded, no, ok, post_to};

// BRK-40
#[tokio::test]
async fn nobody_gets_in_without_a_signature_unless_they_may() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let nobody = || Said::unsigned(Method::GET, "/who");
    assert_eq!(ledger.say(nobody()).await, no(Refusal::NotVerified));
    let unknown = Said::unsigned(Method::GET, "/nowhere");
    assert_eq!(ledger.say(unknown).await, no(Refusal::NotVerified));

    let open = world.provider().allow_anonymous().build().unwrap();
    ledger.replace(guarded(&open));
    assert_eq!(ledger.say(nobody()).await, ok("nobody"));
    // Who says to be somebody has to prove it all the same.
    for name in ["signature", "signature-input"] {
        let mut claims = nobody();
        let value = HeaderValue::from_static("countersign=()");
        claims.headers.insert(name, value);
        assert_eq!(ledger.say(claims).await, no(Refusal::NotVerified));
    }
    let client = world.client(&ledger);
    let who = get_from(&client, &ledger, "/who").await;
    assert_eq!(who, ok(r#"billing {"team":"billing"}"#));
}

// BRK-12
#[tokio::test]
async fn a_request_that_was_changed_in_any_part_is_refused() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    post_to(&world.client(&ledger), &ledger, "12.50").await;
    let signed = ledger.last();
    let change = |change: fn(&mut Said)| {
        let mut changed = signed.clone();
        change(&mut changed);
        changed
    };
    let changed = [
        change(|said| said.body = Bytes::from_static(b"92.50")),
        change(|said| said.body = Bytes::new()),
        change(|said| said.method = Method::PUT),
        change(|said| said.path.push_str("?more")),
        change(|said| drop(said.headers.remove("content-digest"))),
        change(|said| drop(said.headers.remove("signature"))),
        change(|said| drop(said.headers.remove("signature-input"))),
        change(|said| twice(&mut said.headers, "content-digest")),
        change(|said| {
            let digest = HeaderValue::from_static("sha-256=:AAAA:");
            said.headers.insert("content-digest", digest);
        }),
    ];
    for changed in changed {
        let (what, answer) = (format!("{changed:?}"), ledger.say(changed).await);
        assert_eq!(answer, no(Refusal::NotVerified), "{what}");
    }
}

fn twice(headers: &mut HeaderMap, name: &'static str) {
    let value = headers[name].clone();
    headers.append(name, value);
}

// BRK-13
#[tokio::test]
async fn a_request_is_accepted_once() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let client = world.client(&ledger);
    post_to(&client, &ledger, "12.50").await;
    let signed = ledger.last();
    for _ in 0..2 {
        assert_eq!(ledger.say(signed.clone()).await, no(Refusal::Replayed));
    }
    // As long as it could be accepted, and then not for its age.
    world.time.pass(60 * SECOND);
    assert_eq!(ledger.say(signed.clone()).await, no(Refusal::Replayed));
    world.time.pass(SECOND);
    assert_eq!(ledger.say(signed).await, no(Refusal::Clock));
    assert_eq!(post_to(&client, &ledger, "12.50").await, ok("12.50"));
}

// BRK-9
#[tokio::test]
async fn a_ticket_is_presented_once() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let client = world.client(&ledger);
    post_to(&client, &ledger, "12.50").await;
    let presentation = ledger.wire().remove(0);
    assert_eq!(presentation.path, TICKET_PATH);
    let answer = ledger.say(presentation.clone()).await;
    assert_eq!(answer, no(Refusal::Replayed));
    // That takes nothing from who presented it.
    assert_eq!(post_to(&client, &ledger, "1").await, ok("1"));
    // As long as the ticket lasts, and then not for its age.
    world.time.pass(61 * SECOND);
    let answer = ledger.say(presentation.clone()).await;
    assert_eq!(answer, no(Refusal::Replayed));
    world.time.pass(HOUR);
    assert_eq!(ledger.say(presentation).await, no(Refusal::Expired));
}

#[tokio::test]
async fn what_is_for_one_provider_is_worth_nothing_at_another() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let archive = world.provider_of(C, 4).build().unwrap();
    let archive = serve(guarded(&archive)).await;
    post_to(&world.client(&ledger), &ledger, "12.50").await;
    for said in ledger.wire() {
        let answer = archive.say(said).await;
        assert_eq!(answer, no(Refusal::NotVerified));
    }
}

#[tokio::test]
async fn a_request_under_a_ticket_that_is_over_is_refused() {
    let world = World::new().await;
    let short = |ledger: &mut countersign_proto::broker::v2::site::Application| {
        ledger.keys_last = 30 * SECOND;
    };
    world.site.change(B, short);
    let ledger = world.ledger().await;
    let client = world.client(&ledger);
    post_to(&client, &ledger, "12.50").await;
    let signed = ledger.last();
    world.time.pass(31 * SECOND);
    assert_eq!(ledger.say(signed).await, no(Refusal::Expired));
    // Its consumer knows, and gets another one.
    assert_eq!(post_to(&client, &ledger, "1").await, ok("1"));
    assert_eq!(world.site.tickets(), 2);
}

#[tokio::test]
async fn whatever_is_wrong_with_a_presentation_the_answer_is_one() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    post_to(&world.client(&ledger), &ledger, "12.50").await;
    let presentation = ledger.wire().remove(0);
    // One that does not know the ticket.
    ledger.replace(guarded(&world.provider().build().unwrap()));
    let text = String::from_utf8(presentation.body.to_vec()).unwrap();
    let long = format!("{text}{}", " ".repeat(65_537 - text.len()));
    let wrong = [
        String::new(),
        "{}".to_owned(),
        text.replacen("auth-ticket", "auth-response", 1),
        text.replacen("billing", "Billing", 1),
        text[..text.len() - 1].to_owned(),
        long,
    ];
    for body in wrong.into_iter().filter(|wrong| *wrong != text) {
        let mut changed = presentation.clone();
        changed.body = body.into();
        assert_eq!(ledger.say(changed).await, no(Refusal::NotVerified));
    }
    let looks = ledger.say(Said::unsigned(Method::GET, TICKET_PATH)).await;
    assert_eq!(looks.status, 405);
}
