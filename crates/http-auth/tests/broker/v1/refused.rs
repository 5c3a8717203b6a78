//! Requests and presentations that a provider rejects.

use axum::http::{HeaderValue, Method};
use countersign_http_auth::v1::TICKET_PATH;
use countersign_http_auth::{Limits, MemoryTickets, SqliteTickets};
use countersign_proto::broker::v1::V1Refusal;
use serde_json::json;

use super::super::wire::{RecordedRequest, Reply, serve};
use super::super::world::{B, C, HOUR, SECOND, get_from, ok, post_to};
use super::world::{World, routes};

fn rejected(refusal: &V1Refusal) -> Reply {
    Reply {
        status: refusal.status(),
        challenge: None,
        body: refusal.body(),
    }
}

fn unauthorized() -> Reply {
    signed("Hawk", "Unauthorized")
}

fn signed(challenge: &str, message: &str) -> Reply {
    Reply {
        status: 401,
        challenge: Some(challenge.to_owned()),
        body: json!({ "status": 401, "message": message }).to_string(),
    }
}

fn with(mut sent: RecordedRequest, authorization: &str) -> RecordedRequest {
    let value = HeaderValue::from_str(authorization).unwrap();
    sent.headers.insert("authorization", value);
    sent
}

// BRK-28
#[tokio::test]
async fn an_unsigned_request_is_rejected_unless_anonymous_requests_are_allowed() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let unsigned = || RecordedRequest::unsigned(Method::GET, "/who");
    let hawk = r#"Hawk id="a", ts="1800000000", nonce="b", mac="AAAA""#;
    let wrong = [hawk, "Hawk", "Hawk id", "hawk x=\"1\""];
    assert_eq!(ledger.send(unsigned()).await, unauthorized());
    let unknown = RecordedRequest::unsigned(Method::GET, "/nowhere");
    assert_eq!(ledger.send(unknown).await, unauthorized());
    for claim in wrong.into_iter().chain(["Bearer abc"]) {
        assert_eq!(ledger.send(with(unsigned(), claim)).await, unauthorized());
    }

    let open = world.provider().allow_anonymous().build();
    ledger.replace(routes(&open));
    assert_eq!(ledger.send(unsigned()).await, ok("anonymous"));
    let bearer = with(unsigned(), "Bearer abc");
    assert_eq!(ledger.send(bearer).await, ok("anonymous"));
    // A request with a signature still has to be verified.
    for claim in wrong {
        assert_eq!(ledger.send(with(unsigned(), claim)).await, unauthorized());
    }
    let who = get_from(&world.client(&ledger), &ledger, "/who").await;
    assert_eq!(who, ok(r#"billing {"team":"billing"}"#));
}

// BRK-27
#[tokio::test]
async fn a_request_with_a_changed_signed_part_is_rejected() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    post_to(&world.client(&ledger), &ledger, "12.50").await;
    let sent = ledger.last();
    let header = sent.headers["authorization"].to_str().unwrap().to_owned();
    let change = |change: fn(&mut RecordedRequest)| {
        let mut changed = sent.clone();
        change(&mut changed);
        changed
    };
    let changed = [
        change(|sent| sent.method = Method::PUT),
        change(|sent| sent.path.push_str("?more")),
        change(|sent| drop(sent.headers.remove("authorization"))),
        change(|sent| {
            let value = sent.headers["authorization"].clone();
            sent.headers.append("authorization", value);
        }),
        with(sent.clone(), &header.replace("nonce=\"", "nonce=\"0")),
        with(sent.clone(), &header.replace("ts=\"18", "ts=\"19")),
        with(sent.clone(), &header.replace("id=\"", "id=\"0")),
        with(sent.clone(), &format!("{header}, ext=\"more\"")),
        with(sent.clone(), &format!("{header}, hash=\"AAAA\"")),
    ];
    for changed in changed {
        let (what, answer) = (format!("{changed:?}"), ledger.send(changed).await);
        assert_eq!(answer, unauthorized(), "{what}");
    }
}

// BRK-28
#[tokio::test]
async fn a_request_is_accepted_once() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let client = world.client(&ledger);
    post_to(&client, &ledger, "12.50").await;
    let sent = ledger.last();
    let replayed = || signed("Hawk error=\"Invalid nonce\"", "Invalid nonce");
    for _ in 0..2 {
        assert_eq!(ledger.send(sent.clone()).await, replayed());
    }
    // It is a replay while its time is accepted, and too old after that.
    world.time.pass(60 * SECOND);
    assert_eq!(ledger.send(sent.clone()).await, replayed());
    world.time.pass(SECOND);
    let stale = signed("Hawk error=\"Stale timestamp\"", "Stale timestamp");
    assert_eq!(ledger.send(sent).await, stale);
    assert_eq!(post_to(&client, &ledger, "12.50").await, ok("12.50"));
}

// BRK-24 BRK-28
#[tokio::test]
async fn a_ticket_is_presented_once_and_in_time() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let client = world.client(&ledger);
    post_to(&client, &ledger, "12.50").await;
    let presentation = ledger.wire().remove(0);
    assert_eq!(presentation.path, TICKET_PATH);
    let answer = ledger.send(presentation.clone()).await;
    assert_eq!(answer, rejected(&V1Refusal::Nonces));
    // The consumer that presented it can still use it.
    assert_eq!(post_to(&client, &ledger, "1").await, ok("1"));
    for passed in [61 * SECOND, HOUR] {
        world.time.pass(passed);
        let answer = ledger.send(presentation.clone()).await;
        let clock = world.time.now();
        assert_eq!(answer, rejected(&V1Refusal::Stale { clock }));
    }
}

// BRK-20 BRK-24
#[tokio::test]
async fn tickets_and_requests_for_one_provider_are_rejected_by_another() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    post_to(&world.client(&ledger), &ledger, "12.50").await;
    let [presentation, sent] = ledger.wire().try_into().unwrap();
    // A provider with a key of its own, and one with the key of the first.
    for key in ["consumer2", "provider"] {
        let archive = world.provider_of(C, key).build();
        let archive = serve(routes(&archive)).await;
        let answer = archive.send(presentation.clone()).await;
        assert_eq!(answer, rejected(&V1Refusal::NotVerified));
        assert_eq!(archive.send(sent.clone()).await, unauthorized());
    }
}

// BRK-20 BRK-22
#[tokio::test]
async fn all_invalid_presentations_get_the_same_response() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    post_to(&world.client(&ledger), &ledger, "12.50").await;
    let presentation = ledger.wire().remove(0);
    let text = String::from_utf8(presentation.body.to_vec()).unwrap();
    let at = text.find("\"message\":\"").unwrap() + 40;
    let mut tampered = text.clone();
    let other = if &text[at..=at] == "A" { "B" } else { "A" };
    tampered.replace_range(at..=at, other);
    let wrong = [
        String::new(),
        "null".to_owned(),
        "{}".to_owned(),
        tampered,
        text.replacen(':', "", 3),
        text[..text.len() - 1].to_owned(),
        format!("{text}{}", " ".repeat(40_000)),
    ];
    for body in wrong {
        let mut changed = presentation.clone();
        changed.body = body.into();
        assert_eq!(
            ledger.send(changed).await,
            rejected(&V1Refusal::NotVerified)
        );
    }
    // Change the part that is encrypted between consumer and provider.
    let mut changed = presentation.clone();
    let id = text.find("\"id\":\"").unwrap() + 20;
    let other = if &text[id..=id] == "A" { "B" } else { "A" };
    let mut tampered = text;
    tampered.replace_range(id..=id, other);
    changed.body = tampered.into();
    assert_eq!(ledger.send(changed).await, rejected(&V1Refusal::Nonces));
    let looks = ledger
        .send(RecordedRequest::unsigned(Method::GET, TICKET_PATH))
        .await;
    assert_eq!(looks.status, 405);
}

#[tokio::test]
async fn a_request_with_an_expired_ticket_is_rejected() {
    let world = World::new().await;
    world
        .master
        .change(B, |ledger| ledger.keys_last = 30 * SECOND);
    let ledger = world.ledger().await;
    let client = world.client(&ledger);
    post_to(&client, &ledger, "12.50").await;
    let sent = ledger.last();
    world.time.pass(31 * SECOND);
    let over = signed("Hawk error=\"Credentials Expired\"", "Credentials Expired");
    assert_eq!(ledger.send(sent).await, over);
    // Its consumer knows the expiry and gets another ticket.
    assert_eq!(post_to(&client, &ledger, "1").await, ok("1"));
    assert_eq!(world.master.tickets(), 2);
}

// BRK-28
#[tokio::test]
async fn tickets_and_requests_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tickets.db");
    let world = World::new().await;
    let started = async || {
        let tickets = SqliteTickets::open(&file, Limits::default()).await.unwrap();
        routes(&world.provider().tickets(tickets).build())
    };
    let ledger = serve(started().await).await;
    let client = world.client(&ledger);
    assert_eq!(post_to(&client, &ledger, "12.50").await, ok("12.50"));
    let [presentation, sent] = ledger.wire().try_into().unwrap();

    ledger.replace(started().await);
    assert_eq!(
        ledger.send(presentation).await,
        rejected(&V1Refusal::Nonces)
    );
    let replayed = signed("Hawk error=\"Invalid nonce\"", "Invalid nonce");
    assert_eq!(ledger.send(sent).await, replayed);
    // The consumer's ticket is still accepted.
    world.time.pass(2 * SECOND);
    assert_eq!(post_to(&client, &ledger, "1").await, ok("1"));
    assert_eq!(world.master.tickets(), 1);
}

// BRK-28: a ticket of v1 has the same secret each time it is accepted.
#[tokio::test]
async fn without_a_file_no_earlier_ticket_or_request_is_accepted_after_a_restart() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let client = world.client(&ledger);
    post_to(&client, &ledger, "12.50").await;
    let [presentation, sent] = ledger.wire().try_into().unwrap();
    world.time.pass(2 * SECOND);
    ledger.replace(routes(&world.provider().build()));
    let clock = world.time.now();
    let answer = ledger.send(presentation).await;
    assert_eq!(answer, rejected(&V1Refusal::Stale { clock }));
    assert_eq!(ledger.send(sent).await.status, 401);
}

// BRK-28
#[tokio::test]
async fn a_full_store_rejects_new_tickets_and_requests() {
    let world = World::new().await;
    let limits = Limits {
        tickets: 1,
        requests: 2,
    };
    let full = world.provider().tickets(MemoryTickets::new(limits));
    let ledger = serve(routes(&full.max_content(3).build())).await;
    let client = world.client(&ledger);
    assert_eq!(post_to(&client, &ledger, "abcd").await.status, 413);
    assert_eq!(post_to(&client, &ledger, "abc").await, ok("abc"));
    assert_eq!(post_to(&client, &ledger, "abc").await.status, 503);
    let another = world.client(&ledger);
    let refused = another.get(ledger.url("/who").to_string()).send().await;
    assert!(refused.unwrap_err().to_string().contains("(503)"));
}
