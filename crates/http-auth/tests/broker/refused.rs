//! Requests and presentations that a provider rejects.

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, Method};
use countersign_http_auth::TICKET_PATH;
use countersign_proto::broker::v2::Refusal;

use super::wire::{RecordedRequest, serve};
use super::world::{B, C, HOUR, SECOND, World, get_from, ok, post_to, rejected, routes};

// BRK-40
#[tokio::test]
async fn an_unsigned_request_is_rejected_unless_anonymous_requests_are_allowed() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let unsigned = || RecordedRequest::unsigned(Method::GET, "/who");
    assert_eq!(
        ledger.send(unsigned()).await,
        rejected(Refusal::NotVerified)
    );
    let unknown = RecordedRequest::unsigned(Method::GET, "/nowhere");
    assert_eq!(ledger.send(unknown).await, rejected(Refusal::NotVerified));

    let open = world.provider().allow_anonymous().build().unwrap();
    ledger.replace(routes(&open));
    assert_eq!(ledger.send(unsigned()).await, ok("anonymous"));
    // A request with a signature still has to be verified.
    for name in ["signature", "signature-input"] {
        let mut claims = unsigned();
        let value = HeaderValue::from_static("countersign=()");
        claims.headers.insert(name, value);
        assert_eq!(ledger.send(claims).await, rejected(Refusal::NotVerified));
    }
    let client = world.client(&ledger);
    let who = get_from(&client, &ledger, "/who").await;
    assert_eq!(who, ok(r#"billing {"team":"billing"}"#));
}

// BRK-12
#[tokio::test]
async fn a_request_that_was_changed_in_any_part_is_rejected() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    post_to(&world.client(&ledger), &ledger, "12.50").await;
    let signed = ledger.last();
    let change = |change: fn(&mut RecordedRequest)| {
        let mut changed = signed.clone();
        change(&mut changed);
        changed
    };
    let changed = [
        change(|sent| sent.body = Bytes::from_static(b"92.50")),
        change(|sent| sent.body = Bytes::new()),
        change(|sent| sent.method = Method::PUT),
        change(|sent| sent.path.push_str("?more")),
        change(|sent| drop(sent.headers.remove("content-digest"))),
        change(|sent| drop(sent.headers.remove("signature"))),
        change(|sent| drop(sent.headers.remove("signature-input"))),
        change(|sent| twice(&mut sent.headers, "content-digest")),
        change(|sent| {
            let digest = HeaderValue::from_static("sha-256=:AAAA:");
            sent.headers.insert("content-digest", digest);
        }),
    ];
    for changed in changed {
        let (what, answer) = (format!("{changed:?}"), ledger.send(changed).await);
        assert_eq!(answer, rejected(Refusal::NotVerified), "{what}");
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
        assert_eq!(
            ledger.send(signed.clone()).await,
            rejected(Refusal::Replayed)
        );
    }
    // It is a replay while its time is accepted, and too old after that.
    world.time.pass(60 * SECOND);
    assert_eq!(
        ledger.send(signed.clone()).await,
        rejected(Refusal::Replayed)
    );
    world.time.pass(SECOND);
    assert_eq!(ledger.send(signed).await, rejected(Refusal::Clock));
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
    let answer = ledger.send(presentation.clone()).await;
    assert_eq!(answer, rejected(Refusal::Replayed));
    // The consumer that presented it can still use it.
    assert_eq!(post_to(&client, &ledger, "1").await, ok("1"));
    // It is a replay while the ticket is valid, and expired after that.
    world.time.pass(61 * SECOND);
    let answer = ledger.send(presentation.clone()).await;
    assert_eq!(answer, rejected(Refusal::Replayed));
    world.time.pass(HOUR);
    assert_eq!(ledger.send(presentation).await, rejected(Refusal::Expired));
}

#[tokio::test]
async fn tickets_and_requests_for_one_provider_are_rejected_by_another() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let archive = world.provider_of(C, 4).build().unwrap();
    let archive = serve(routes(&archive)).await;
    post_to(&world.client(&ledger), &ledger, "12.50").await;
    for sent in ledger.wire() {
        let answer = archive.send(sent).await;
        assert_eq!(answer, rejected(Refusal::NotVerified));
    }
}

#[tokio::test]
async fn a_request_with_an_expired_ticket_is_rejected() {
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
    assert_eq!(ledger.send(signed).await, rejected(Refusal::Expired));
    // Its consumer knows the expiry and gets another ticket.
    assert_eq!(post_to(&client, &ledger, "1").await, ok("1"));
    assert_eq!(world.site.tickets(), 2);
}

#[tokio::test]
async fn all_invalid_presentations_get_the_same_response() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    post_to(&world.client(&ledger), &ledger, "12.50").await;
    let presentation = ledger.wire().remove(0);
    // A provider that has not stored the ticket.
    ledger.replace(routes(&world.provider().build().unwrap()));
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
        assert_eq!(ledger.send(changed).await, rejected(Refusal::NotVerified));
    }
    let looks = ledger
        .send(RecordedRequest::unsigned(Method::GET, TICKET_PATH))
        .await;
    assert_eq!(looks.status, 405);
}
