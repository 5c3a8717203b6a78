//! Symmetric tickets: correct ones, and changed or misused ones.

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::party::SealingSuite;
use countersign_crypto::secret::Secret;
use countersign_proto::broker::v2::consumer::{ConsumerError, IssuedTicket, PendingPresentation};
use countersign_proto::broker::v2::message::AuthResponse;
use countersign_proto::broker::v2::provider::UnverifiedPresentation;
use countersign_proto::broker::v2::symmetric::grant;
use countersign_proto::broker::v2::{Refusal, SealedMessage, TicketKey, limits};
use serde_json::{Value, json};

use super::changed::changes;
use super::parties::{A, B, HOUR, NOW, Parties, SITE, party};

/// The ticket key of the present period.
fn key(byte: u8) -> TicketKey {
    TicketKey::new(Secret::from_bytes([byte; 32]), NOW - HOUR, NOW + HOUR)
}

fn parties() -> Parties {
    let mut parties = Parties::new(SealingSuite::X25519);
    parties.provider.ticket_keys = vec![key(6), key(7)];
    parties
}

fn response(parties: &Parties, key: &TicketKey, now: u64) -> AuthResponse {
    let names = (&parties.first, &parties.second);
    grant(SITE, key, names, now, &mut SystemEntropy).unwrap()
}

fn granted(parties: &Parties, key: &TicketKey, now: u64) -> IssuedTicket {
    // As it is transmitted.
    let text = serde_json::to_string(&response(parties, key, now)).unwrap();
    let response = serde_json::from_str(&text).unwrap();
    parties.consumer.read_session_response(B, response).unwrap()
}

fn presented(parties: &Parties, key: &TicketKey, now: u64) -> (PendingPresentation, String) {
    let granted = granted(parties, key, now);
    granted.present(now, &mut SystemEntropy).unwrap()
}

// [BRK-11] and [BRK-50]
#[test]
fn a_symmetric_ticket_gives_a_secret_that_the_site_cannot_derive() {
    let parties = parties();
    let granted = granted(&parties, &key(7), NOW);
    assert_eq!(granted.response().expires, NOW + HOUR);
    let of_ticket = granted.response().secret.clone();
    let (presenting, presentation) = granted.present(NOW, &mut SystemEntropy).unwrap();
    let accepted = parties.provider.accept(presentation.as_bytes(), NOW);
    let accepted = accepted.unwrap();
    assert_eq!((accepted.requester(), accepted.expires()), (A, NOW + HOUR));
    let accepted = accepted.acknowledge(NOW, &mut SystemEntropy).unwrap();
    assert_eq!(accepted.auth_data.get(), r#"{"may":["read"]}"#);
    let here = presenting
        .read_acknowledgement(accepted.answer.as_bytes())
        .unwrap();
    let there = accepted.credentials;
    assert_eq!((here.id, here.expires), (there.id, there.expires));
    assert_eq!(here.secret, there.secret);
    assert_ne!(here.secret, of_ticket);
}

#[test]
fn each_ticket_has_its_own_nonces_and_secrets() {
    let parties = parties();
    let [one, other] = [0, 0].map(|_| response(&parties, &key(7), NOW));
    assert_ne!(one.id, other.id);
    assert_ne!(one.secret, other.secret);
    assert_ne!(one.server_nonce, other.server_nonce);
    assert_ne!(one.requester_nonce, other.requester_nonce);
    let [one, other] = [one, other].map(|response| serde_json::to_value(response).unwrap());
    assert_ne!(one["ticket"]["salt"], other["ticket"]["salt"]);
}

// [BRK-10] and [BRK-50]
#[test]
fn a_changed_presentation_is_rejected() {
    let parties = parties();
    let (_, presentation) = presented(&parties, &key(7), NOW);
    let whole: Value = serde_json::from_str(&presentation).unwrap();
    let mut tried = changes(&whole);
    for change in changes(&whole["ticket"]) {
        tried.push(format!("{{\"id\":{},\"ticket\":{change}}}", whole["id"]));
    }
    assert!(tried.len() > 80);
    // The parts of two presentations, of one ticket and of two; the name of another key; the other
    // form.
    let (_, other) = presented(&parties, &key(7), NOW);
    let other: Value = serde_json::from_str(&other).unwrap();
    let (_, signed) = parties.presented();
    let signed: Value = serde_json::from_str(&signed).unwrap();
    for ticket in [&other["ticket"], &signed["ticket"]] {
        tried.push(json!({ "id": whole["id"], "ticket": ticket }).to_string());
    }
    let mut named = whole.clone();
    named["ticket"]["key"] = json!(data_encoding::BASE64URL_NOPAD.encode(&key(6).name()));
    tried.push(named.to_string());
    let mut salted = whole.clone();
    salted["ticket"]["salt"] = other["ticket"]["salt"].clone();
    tried.push(salted.to_string());
    for change in tried {
        let refused = parties.accept(&change, NOW);
        assert_eq!(refused, Err(Refusal::NotVerified), "{change}");
    }
    assert_eq!(parties.accept(&presentation, NOW), Ok(()));
}

// [BRK-50]
#[test]
fn a_symmetric_ticket_is_useless_with_another_provider_site_or_key() {
    let (_, presentation) = presented(&parties(), &key(7), NOW);
    let with = |change: fn(&mut Parties)| {
        let mut other = parties();
        change(&mut other);
        other.accept(&presentation, NOW)
    };
    let refused = Err(Refusal::NotVerified);
    // The same keys with other names, and other keys with the same names.
    assert_eq!(
        with(|other| other.provider.id = "archive".to_owned()),
        refused
    );
    assert_eq!(
        with(|other| other.provider.site = "example.com".to_owned()),
        refused
    );
    assert_eq!(
        with(|other| other.provider.ticket_keys = vec![key(6)]),
        refused
    );
    assert_eq!(with(|other| other.provider.ticket_keys.clear()), refused);
    assert_eq!(with(|_| ()), Ok(()));
}

// [BRK-51]
#[test]
fn a_ticket_key_is_accepted_for_tickets_of_its_period_only() {
    let parties = parties();
    let (first, last) = (NOW - HOUR, NOW + HOUR - 1);
    for (made, expected) in [
        (first - 1, Err(Refusal::NotVerified)),
        (first, Ok(())),
        (last, Ok(())),
        (last + 1, Err(Refusal::NotVerified)),
    ] {
        let (_, presentation) = presented(&parties, &key(7), made);
        assert_eq!(parties.accept(&presentation, made), expected, "{made}");
        assert_eq!(key(7).covers(made), expected.is_ok());
    }
    // A ticket made within the key's period is accepted until the ticket expires.
    let over = last + HOUR;
    let granted = granted(&parties, &key(7), last);
    let (_, presentation) = granted.present(over, &mut SystemEntropy).unwrap();
    assert_eq!(parties.accept(&presentation, over), Ok(()));
    let refused = parties.accept(&presentation, over + 1);
    assert_eq!(refused, Err(Refusal::Expired));
    let end = key(7).until() + limits::MAX_TICKET;
    assert!(!key(7).is_expired(end) && key(7).is_expired(end + 1));
}

// [BRK-7] and [BRK-51]
#[test]
fn a_tickets_lifetime_is_at_most_a_day() {
    let mut parties = parties();
    parties.second.keys_last = 48 * HOUR;
    let granted = granted(&parties, &key(7), NOW);
    assert_eq!(granted.response().expires, NOW + limits::MAX_TICKET);
    let (_, presentation) = granted.present(NOW, &mut SystemEntropy).unwrap();
    assert_eq!(parties.accept(&presentation, NOW), Ok(()));
}

// [BRK-8]
#[test]
fn a_consumer_accepts_its_own_tickets_only() {
    let parties = parties();
    let take = |requested: &str, change: fn(&mut AuthResponse)| {
        let mut response = response(&parties, &key(7), NOW);
        change(&mut response);
        let taken = parties.consumer.read_session_response(requested, response);
        taken.map(|_| ())
    };
    assert_eq!(take(B, |_| ()), Ok(()));
    let refused = Err(ConsumerError::FailedVerification);
    assert_eq!(take("archive", |_| ()), refused);
    assert_eq!(take(B, |of| of.requester = "archive".to_owned()), refused);
    assert_eq!(take(B, |of| of.expires = of.ts), refused);
    assert_eq!(take(B, |of| of.hash = "hmac-sha1".to_owned()), refused);
    let cipher = |of: &mut AuthResponse| of.one_time_credentials.cipher = "aes-256-cbc".to_owned();
    assert_eq!(take(B, cipher), refused);
}

fn handed_over(parties: &Parties) -> SealedMessage {
    let to = &parties.second.keys[0];
    let keys = [key(7), key(8)];
    let handed = parties
        .site
        .seal_ticket_keys(&keys, &parties.second, to, &mut SystemEntropy);
    handed.unwrap()
}

// [BRK-53]
#[test]
fn ticket_keys_are_readable_by_their_provider_only() {
    let parties = parties();
    let message = handed_over(&parties);
    let keys = parties.provider.ticket_keys(&message).unwrap();
    let names: Vec<_> = keys.iter().map(TicketKey::name).collect();
    assert_eq!(names, [key(7).name(), key(8).name()]);
    assert!(keys[0].covers(NOW - HOUR) && !keys[0].covers(NOW + HOUR));
    // They decrypt the same tickets as the site's keys.
    let (_, presentation) = presented(&parties, &key(8), NOW);
    let mut provider = parties.provider;
    let read = UnverifiedPresentation::read(presentation.as_bytes()).unwrap();
    assert!(provider.lacks_ticket_key(&read));
    provider.ticket_keys = keys;
    assert!(!provider.lacks_ticket_key(&read));
    assert!(provider.accept(presentation.as_bytes(), NOW).is_ok());

    let refused = |provider: &_| {
        countersign_proto::broker::v2::provider::Provider::ticket_keys(provider, &message).err()
    };
    provider.keys = vec![party(50)];
    assert_eq!(refused(&provider), Some(Refusal::NotVerified));
    provider.keys = vec![party(3)];
    provider.site_keys = vec![party(50).public().clone()];
    assert_eq!(refused(&provider), Some(Refusal::NotVerified));
}

// [BRK-1] and [BRK-53]
#[test]
fn changed_ticket_keys_and_other_messages_are_rejected() {
    let parties = parties();
    let whole = serde_json::to_value(handed_over(&parties)).unwrap();
    let mut tried = changes(&whole);
    let (_, ticket) = parties.presented();
    let ticket: Value = serde_json::from_str(&ticket).unwrap();
    let mut renamed = ticket["ticket"].clone();
    tried.push(renamed.to_string());
    renamed["type"] = json!("ticket-keys");
    tried.push(renamed.to_string());
    for change in tried {
        let read = serde_json::from_str(&change);
        let read = read.map_or(Err(Refusal::NotVerified), |message| {
            parties.provider.ticket_keys(&message)
        });
        assert_eq!(read.err(), Some(Refusal::NotVerified), "{change}");
    }
    // Nor is it a ticket.
    let presentation = json!({ "id": ticket["id"], "ticket": whole }).to_string();
    let refused = parties.accept(&presentation, NOW);
    assert_eq!(refused, Err(Refusal::NotVerified));
}

#[test]
fn debug_output_contains_no_ticket_key() {
    let shown = format!("{:?}", key(7));
    assert_eq!(shown, format!("TicketKey({}..{})", NOW - HOUR, NOW + HOUR));
    assert_ne!(key(7).name(), [7; 8]);
    assert_ne!(key(7).name(), key(8).name());
}
