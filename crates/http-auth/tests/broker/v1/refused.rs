//! What a provider does not let through.

use axum::http::{HeaderValue, Method};
use countersign_http_auth::v1::TICKET_PATH;
use countersign_http_auth::{Limits, MemoryTickets, SqliteTickets};
use countersign_proto::broker::v1::V1Refusal;
use serde_json::json;

use super::super::wire::{Answered, Said, serve};
use super::super::world::{B, C, HOUR, SECOND, get_from, ok, post_to};
use super::world::{World, guarded};

fn no(refusal: &V1Refusal) -> Answered {
    Answered {
        status: refusal.status(),
        challenge: None,
        body: refusal.body(),
    }
}

fn unauthorized() -> Answered {
    signed("Hawk", "Unauthorized")
}

fn signed(challenge: &str, message: &str) -> Answered {
    Answered {
        status: 401,
        challenge: Some(challenge.to_owned()),
        body: json!({ "status": 401, "message": message }).to_string(),
    }
}

fn with(mut said: Said, authorization: &str) -> Said {
    let value = HeaderValue::from_str(authorization).unwrap();
    said.headers.insert("authorization", value);
    said
}

// BRK-28
#[tokio::test]
async fn nobody_gets_in_without_a_signature_unless_they_may() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let nobody = || Said::unsigned(Method::GET, "/who");
    let hawk = r#"Hawk id="a", ts="1800000000", nonce="b", mac="AAAA""#;
    let wrong = [hawk, "Hawk", "Hawk id", "hawk x=\"1\""];
    assert_eq!(ledger.say(nobody()).await, unauthorized());
    let unknown = Said::unsigned(Method::GET, "/nowhere");
    assert_eq!(ledger.say(unknown).await, unauthorized());
    for claim in wrong.into_iter().chain(["Bearer abc"]) {
        assert_eq!(ledger.say(with(nobody(), claim)).await, unauthorized());
    }

    let open = world.provider().allow_anonymous().build();
    ledger.replace(guarded(&open));
    assert_eq!(ledger.say(nobody()).await, ok("nobody"));
    let bearer = with(nobody(), "Bearer abc");
    assert_eq!(ledger.say(bearer).await, ok("nobody"));
    // Who says to be somebody has to prove it all the same.
    for claim in wrong {
        assert_eq!(ledger.say(with(nobody(), claim)).await, unauthorized());
    }
    let who = get_from(&world.client(&ledger), &ledger, "/who").await;
    assert_eq!(who, ok(r#"billing {"team":"billing"}"#));
}

// BRK-27
#[tokio::test]
async fn a_request_that_was_changed_in_what_is_signed_is_refused() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    post_to(&world.client(&ledger), &ledger, "12.50").await;
    let said = ledger.last();
    let header = said.headers["authorization"].to_str().unwrap().to_owned();
    let change = |change: fn(&mut Said)| {
        let mut changed = said.clone();
        change(&mut changed);
        changed
    };
    let changed = [
        change(|said| said.method = Method::PUT),
        change(|said| said.path.push_str("?more")),
        change(|said| drop(said.headers.remove("authorization"))),
        change(|said| {
            let value = said.headers["authorization"].clone();
            said.headers.append("authorization", value);
        }),
        with(said.clone(), &header.replace("nonce=\"", "nonce=\"0")),
        with(said.clone(), &header.replace("ts=\"18", "ts=\"19")),
        with(said.clone(), &header.replace("id=\"", "id=\"0")),
        with(said.clone(), &format!("{header}, ext=\"more\"")),
        with(said.clone(), &format!("{header}, hash=\"AAAA\"")),
    ];
    for changed in changed {
        let (what, answer) = (format!("{changed:?}"), ledger.say(changed).await);
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
    let said = ledger.last();
    let replayed = || signed("Hawk error=\"Invalid nonce\"", "Invalid nonce");
    for _ in 0..2 {
        assert_eq!(ledger.say(said.clone()).await, replayed());
    }
    // As long as it could be accepted, and then not for its age.
    world.time.pass(60 * SECOND);
    assert_eq!(ledger.say(said.clone()).await, replayed());
    world.time.pass(SECOND);
    let stale = signed("Hawk error=\"Stale timestamp\"", "Stale timestamp");
    assert_eq!(ledger.say(said).await, stale);
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
    let answer = ledger.say(presentation.clone()).await;
    assert_eq!(answer, no(&V1Refusal::Nonces));
    // That takes nothing from who presented it.
    assert_eq!(post_to(&client, &ledger, "1").await, ok("1"));
    for passed in [61 * SECOND, HOUR] {
        world.time.pass(passed);
        let answer = ledger.say(presentation.clone()).await;
        let clock = world.time.now();
        assert_eq!(answer, no(&V1Refusal::Stale { clock }));
    }
}

// BRK-20 BRK-24
#[tokio::test]
async fn what_is_for_one_provider_is_worth_nothing_at_another() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    post_to(&world.client(&ledger), &ledger, "12.50").await;
    let [presentation, said] = ledger.wire().try_into().unwrap();
    // One with a key of its own, and one that shares that of the first.
    for key in ["consumer2", "provider"] {
        let archive = world.provider_of(C, key).build();
        let archive = serve(guarded(&archive)).await;
        let answer = archive.say(presentation.clone()).await;
        assert_eq!(answer, no(&V1Refusal::NotVerified));
        assert_eq!(archive.say(said.clone()).await, unauthorized());
    }
}

// BRK-20 BRK-22
#[tokio::test]
async fn whatever_is_wrong_with_a_presentation_the_answer_is_one() {
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
        assert_eq!(ledger.say(changed).await, no(&V1Refusal::NotVerified));
    }
    // What was enciphered between the two is changed.
    let mut changed = presentation.clone();
    let id = text.find("\"id\":\"").unwrap() + 20;
    let other = if &text[id..=id] == "A" { "B" } else { "A" };
    let mut tampered = text;
    tampered.replace_range(id..=id, other);
    changed.body = tampered.into();
    assert_eq!(ledger.say(changed).await, no(&V1Refusal::Nonces));
    let looks = ledger.say(Said::unsigned(Method::GET, TICKET_PATH)).await;
    assert_eq!(looks.status, 405);
}

#[tokio::test]
async fn a_request_under_a_ticket_that_is_over_is_refused() {
    let world = World::new().await;
    world
        .master
        .change(B, |ledger| ledger.keys_last = 30 * SECOND);
    let ledger = world.ledger().await;
    let client = world.client(&ledger);
    post_to(&client, &ledger, "12.50").await;
    let said = ledger.last();
    world.time.pass(31 * SECOND);
    let over = signed("Hawk error=\"Credentials Expired\"", "Credentials Expired");
    assert_eq!(ledger.say(said).await, over);
    // Its consumer knows, and gets another one.
    assert_eq!(post_to(&client, &ledger, "1").await, ok("1"));
    assert_eq!(world.master.tickets(), 2);
}

// BRK-28
#[tokio::test]
async fn a_restart_forgets_no_ticket_and_no_request() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tickets.db");
    let world = World::new().await;
    let started = async || {
        let tickets = SqliteTickets::open(&file, Limits::default()).await.unwrap();
        guarded(&world.provider().tickets(tickets).build())
    };
    let ledger = serve(started().await).await;
    let client = world.client(&ledger);
    assert_eq!(post_to(&client, &ledger, "12.50").await, ok("12.50"));
    let [presentation, said] = ledger.wire().try_into().unwrap();

    ledger.replace(started().await);
    assert_eq!(ledger.say(presentation).await, no(&V1Refusal::Nonces));
    let replayed = signed("Hawk error=\"Invalid nonce\"", "Invalid nonce");
    assert_eq!(ledger.say(said).await, replayed);
    // Whoever was known is.
    world.time.pass(2 * SECOND);
    assert_eq!(post_to(&client, &ledger, "1").await, ok("1"));
    assert_eq!(world.master.tickets(), 1);
}

// BRK-28: a ticket of v1 has one secret however often it is accepted.
#[tokio::test]
async fn without_a_file_nothing_from_before_a_restart_is_accepted() {
    let world = World::new().await;
    let ledger = world.ledger().await;
    let client = world.client(&ledger);
    post_to(&client, &ledger, "12.50").await;
    let [presentation, said] = ledger.wire().try_into().unwrap();
    world.time.pass(2 * SECOND);
    ledger.replace(guarded(&world.provider().build()));
    let clock = world.time.now();
    let answer = ledger.say(presentation).await;
    assert_eq!(answer, no(&V1Refusal::Stale { clock }));
    assert_eq!(ledger.say(said).await.status, 401);
}

// BRK-28
#[tokio::test]
async fn nothing_is_accepted_that_cannot_be_remembered() {
    let world = World::new().await;
    let limits = Limits {
        tickets: 1,
        requests: 2,
    };
    let full = world.provider().tickets(MemoryTickets::new(limits));
    let ledger = serve(guarded(&full.max_content(3).build())).await;
    let client = world.client(&ledger);
    assert_eq!(post_to(&client, &ledger, "abcd").await.status, 413);
    assert_eq!(post_to(&client, &ledger, "abc").await, ok("abc"));
    assert_eq!(post_to(&client, &ledger, "abc").await.status, 503);
    let another = world.client(&ledger);
    let refused = another.get(ledger.url("/who").to_string()).send().await;
    assert!(refused.unwrap_err().to_string().contains("(503)"));
}
