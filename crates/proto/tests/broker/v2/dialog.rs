//! The correct dialog, and dialogs with wrong clocks, keys and names.

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::party::SealingSuite;
use countersign_proto::broker::v2::clock::{Clock, site_time};
use countersign_proto::broker::v2::consumer::ConsumerError;
use countersign_proto::broker::v2::message::Nonce;
use countersign_proto::broker::v2::site::UnverifiedRequest;
use countersign_proto::broker::v2::{Refusal, limits};
use serde_json::{Value, json};

use super::parties::{A, B, HOUR, NOW, Parties, party, public, unknown_key};

// [BRK-11]
#[test]
fn two_applications_share_a_secret_that_the_site_cannot_derive() {
    for suite in SealingSuite::ALL {
        let parties = Parties::new(suite);
        let granted = parties.granted();
        let of_ticket = granted.response().secret.clone();
        let (presenting, presentation) = granted.present(NOW, &mut SystemEntropy).unwrap();
        let presented = parties
            .provider
            .accept(presentation.as_bytes(), NOW)
            .unwrap();
        assert_eq!(
            (presented.requester(), presented.expires()),
            (A, NOW + HOUR)
        );
        let accepted = presented.acknowledge(NOW, &mut SystemEntropy).unwrap();
        assert_eq!(accepted.auth_data.get(), r#"{"may":["read"]}"#);
        let here = presenting
            .read_acknowledgement(accepted.answer.as_bytes())
            .unwrap();
        let there = accepted.credentials;
        assert_eq!(
            (here.application.as_str(), there.application.as_str()),
            (B, A)
        );
        assert_eq!((here.id, here.expires), (there.id, there.expires));
        assert_eq!(here.secret, there.secret);
        assert_ne!(here.secret, of_ticket);
        let code = here.mac().authenticate(b"request");
        assert_eq!(there.mac().verify(b"request", &code), Ok(()));
    }
}

#[test]
fn each_dialog_has_its_own_secret_and_nonces() {
    let parties = Parties::new(SealingSuite::XWing);
    let mut secrets = Vec::new();
    let (presenting, presentation) = parties.presented();
    let mut presenting = Some(presenting);
    // The state machine accepts a presentation twice; the replay cache must prevent that.
    for _ in 0..2 {
        let presented = parties
            .provider
            .accept(presentation.as_bytes(), NOW)
            .unwrap();
        let accepted = presented.acknowledge(NOW, &mut SystemEntropy).unwrap();
        if let Some(presenting) = presenting.take() {
            let here = presenting
                .read_acknowledgement(accepted.answer.as_bytes())
                .unwrap();
            assert_eq!(here.secret, accepted.credentials.secret);
        }
        secrets.push(accepted.credentials.secret);
    }
    assert_ne!(secrets[0], secrets[1]);
    let (one, other) = (parties.granted(), parties.granted());
    assert_ne!(one.response().id, other.response().id);
    assert_ne!(one.response().server_nonce, other.response().server_nonce);
}

#[test]
fn keys_are_rotated_without_interruption() {
    let mut parties = Parties::new(SealingSuite::XWing);
    // Each party has a newer key, which the others do not know yet.
    parties.site.keys.insert(0, party(11));
    parties.provider.keys.insert(0, party(13));
    parties.first.keys.insert(0, public(12));
    let (presenting, presentation) = parties.presented();
    let presented = parties
        .provider
        .accept(presentation.as_bytes(), NOW)
        .unwrap();
    let accepted = presented.acknowledge(NOW, &mut SystemEntropy).unwrap();
    assert!(
        presenting
            .read_acknowledgement(accepted.answer.as_bytes())
            .is_ok()
    );
    // The others know the newer key, and still accept the older one.
    parties.consumer.keys.insert(0, party(12));
    parties.consumer.site_keys.insert(0, public(11));
    parties.provider.site_keys.insert(0, public(11));
    parties.second.keys.insert(0, public(13));
    let (_, presentation) = parties.presented();
    assert_eq!(parties.accept(&presentation, NOW), Ok(()));
    // The older keys are removed: messages with them are rejected.
    parties.site.keys.truncate(1);
    let (_, request) = Parties::new(SealingSuite::XWing)
        .consumer
        .ask(B, NOW, &mut SystemEntropy)
        .unwrap();
    assert_eq!(parties.answer(&request, NOW), Err(Refusal::NotVerified));
}

#[test]
fn a_consumer_with_a_wrong_clock_gets_the_sites_time() {
    let parties = Parties::new(SealingSuite::XWing);
    for wrong in [NOW - HOUR, NOW + HOUR] {
        let (_, request) = parties.consumer.ask(B, wrong, &mut SystemEntropy).unwrap();
        assert_eq!(parties.answer(&request, NOW), Err(Refusal::Clock));

        let nonce = Nonce([7; 16]);
        let issued = Clock::issue(nonce, NOW, &parties.site.keys[0]);
        let site = &parties.consumer.site_keys;
        let offset = issued.offset(nonce, site, wrong).unwrap();
        let (_, request) = parties
            .consumer
            .ask(B, site_time(wrong, offset), &mut SystemEntropy)
            .unwrap();
        assert!(parties.answer(&request, NOW).is_ok());
        let (_, presentation) = parties.presented();
        assert_eq!(
            parties.accept(&presentation, site_time(wrong, offset)),
            Ok(())
        );

        // Neither another signer nor a response to another nonce can set the clock.
        assert_eq!(issued.offset(Nonce([8; 16]), site, wrong), None);
        assert_eq!(issued.offset(nonce, &[unknown_key()], wrong), None);
        let mut later = issued.clone();
        later.ts += 1;
        assert_eq!(later.offset(nonce, site, wrong), None);
    }
}

// [BRK-4]
#[test]
fn times_are_accepted_within_the_tolerance_only() {
    let parties = Parties::new(SealingSuite::X25519);
    for (made, expected) in [
        (NOW - limits::TOLERANCE, Ok(())),
        (NOW - limits::TOLERANCE - 1, Err(Refusal::Clock)),
        (NOW + limits::AHEAD, Ok(())),
        (NOW + limits::AHEAD + 1, Err(Refusal::Clock)),
    ] {
        let (_, request) = parties.consumer.ask(B, made, &mut SystemEntropy).unwrap();
        assert_eq!(parties.answer(&request, NOW).map(|_| ()), expected);
    }
    for (apart, expected) in [
        (limits::TOLERANCE, Ok(())),
        (limits::TOLERANCE + 1, Err(Refusal::Clock)),
    ] {
        let (_, presentation) = parties.presented();
        for now in [NOW - apart, NOW + apart] {
            assert_eq!(parties.accept(&presentation, now), expected);
        }
    }
    // A ticket that is presented after its expiry.
    let granted = parties.granted();
    let over = granted.response().expires;
    let (_, presentation) = granted.present(over, &mut SystemEntropy).unwrap();
    assert_eq!(parties.accept(&presentation, over), Ok(()));
    assert_eq!(
        parties.accept(&presentation, over + 1),
        Err(Refusal::Expired)
    );
}

/// Regression: a presentation was verified and decrypted before the ticket's expiry was looked at,
/// so an attacker could replay recorded presentations for ever at the cost of public-key
/// operations.
// [BRK-60]
#[test]
fn an_expired_ticket_is_refused_before_its_signature_is_verified() {
    let parties = Parties::new(SealingSuite::X25519);
    let (_, presentation) = parties.presented();
    let mut unsigned: Value = serde_json::from_str(&presentation).unwrap();
    unsigned["ticket"]["signature"] = json!("AAAA");
    let unsigned = unsigned.to_string();
    for (now, expected) in [
        (NOW + HOUR, Refusal::NotVerified),
        (NOW + HOUR + 1, Refusal::Expired),
    ] {
        assert_eq!(parties.accept(&unsigned, now), Err(expected));
    }
    // The plaintext header is signed and repeats the ticket.
    let granted = parties.granted();
    let response = granted.response();
    let header = serde_json::to_value(&response.ticket).unwrap()["header"].clone();
    let id = response.id.to_string();
    assert_eq!(header, json!({ "id": id, "expires": response.expires }));
    for change in [
        json!({ "id": id, "expires": response.expires + 1 }),
        json!({ "id": Nonce([7; 16]).to_string(), "expires": response.expires }),
        json!(null),
    ] {
        let mut changed: Value = serde_json::from_str(&presentation).unwrap();
        changed["ticket"]["header"] = change;
        let changed = parties.accept(&changed.to_string(), NOW);
        assert_eq!(changed, Err(Refusal::NotVerified));
    }
}

/// Regression: an acknowledgement dated an hour ago was accepted.
// [BRK-61]
#[test]
fn an_acknowledgement_with_a_wrong_time_is_rejected() {
    let parties = Parties::new(SealingSuite::X25519);
    for (apart, expected) in [(limits::TOLERANCE, true), (limits::TOLERANCE + 1, false)] {
        for made in [NOW - apart, NOW + apart] {
            let (presenting, presentation) = parties.presented();
            let presented = parties.provider.accept(presentation.as_bytes(), NOW);
            let accepted = presented.unwrap().acknowledge(made, &mut SystemEntropy);
            let answer = accepted.unwrap().answer;
            let believed = presenting.read_acknowledgement(answer.as_bytes());
            assert_eq!(believed.is_ok(), expected, "{made}");
        }
    }
}

// [BRK-7]
#[test]
fn a_tickets_lifetime_is_at_most_a_day() {
    let mut parties = Parties::new(SealingSuite::X25519);
    parties.second.keys_last = 48 * HOUR;
    assert_eq!(parties.granted().response().expires, NOW + 24 * HOUR);
}

// [BRK-6]
#[test]
fn a_forbidden_call_and_an_unknown_provider_get_the_same_refusal() {
    let parties = Parties::new(SealingSuite::X25519);
    let ask = |requested| {
        parties
            .consumer
            .ask(requested, NOW, &mut SystemEntropy)
            .unwrap()
            .1
    };
    assert_eq!(
        parties.answer(&ask("unknown"), NOW),
        Err(Refusal::NotAllowed)
    );
    // Policy refuses: the host passes no application.
    let text = serde_json::to_vec(&ask(B)).unwrap();
    let verified = UnverifiedRequest::read(&text)
        .unwrap()
        .verify(&parties.site, Some(&parties.first), &unknown_key(), NOW)
        .unwrap();
    let entropy = &mut SystemEntropy;
    let refused = verified.answer(&parties.site, &parties.first, None, NOW, entropy);
    assert_eq!(refused.err(), Some(Refusal::NotAllowed));
}

// [BRK-2]
#[test]
fn unknown_consumers_wrong_keys_and_malformed_requests_get_the_same_refusal() {
    let parties = Parties::new(SealingSuite::XWing);
    let mut others = Parties::new(SealingSuite::XWing).consumer;
    others.keys = vec![party(50)];
    let wrong_key = others.ask(B, NOW, &mut SystemEntropy).unwrap().1;
    others.id = "unknown".to_owned();
    let unknown = others.ask(B, NOW, &mut SystemEntropy).unwrap().1;
    others.id = A.to_owned();
    others.keys = vec![party(2)];
    others.site = "example.com".to_owned();
    let other_site = others.ask(B, NOW, &mut SystemEntropy).unwrap().1;
    let body = |refused: Refusal| (refused.status(), refused.body());
    for request in [wrong_key, unknown, other_site] {
        let refused = parties.answer(&request, NOW).unwrap_err();
        assert_eq!(body(refused), body(Refusal::NotVerified));
    }
    for text in [
        "",
        "null",
        "{}",
        "[]",
        "{\"type\":\"auth-request\"}",
        "\u{0}",
    ] {
        let refused = UnverifiedRequest::read(text.as_bytes()).unwrap_err();
        assert_eq!(body(refused), body(Refusal::NotVerified));
    }
}

// [BRK-9]
#[test]
fn a_ticket_is_useless_to_another_provider_or_consumer() {
    let parties = Parties::new(SealingSuite::XWing);
    let (presenting, presentation) = parties.presented();
    let mut other = Parties::new(SealingSuite::XWing).provider;
    // The same key with another name, and another key with the same name.
    other.id = "archive".to_owned();
    let refused = other.accept(presentation.as_bytes(), NOW).map(|_| ());
    assert_eq!(refused, Err(Refusal::NotVerified));
    other.id = B.to_owned();
    other.keys = vec![party(50)];
    let refused = other.accept(presentation.as_bytes(), NOW).map(|_| ());
    assert_eq!(refused, Err(Refusal::NotVerified));
    // The acknowledgement of another dialog.
    let (_, another) = parties.presented();
    let presented = parties.provider.accept(another.as_bytes(), NOW).unwrap();
    let accepted = presented.acknowledge(NOW, &mut SystemEntropy).unwrap();
    let refused = presenting
        .read_acknowledgement(accepted.answer.as_bytes())
        .map(|_| ());
    assert_eq!(refused.err(), Some(ConsumerError::FailedVerification));
}

#[test]
fn debug_output_contains_no_secret() {
    let parties = Parties::new(SealingSuite::X25519);
    let granted = parties.granted();
    let response = granted.response();
    let shown = format!("{granted:?}");
    for secret in [&response.secret, &response.one_time_credentials.key] {
        let text = data_encoding::BASE64URL_NOPAD.encode(secret.expose());
        assert!(!shown.contains(&text));
        assert!(!shown.contains(&format!("{:?}", secret.expose())));
    }
}

// [BRK-3]
#[test]
fn a_message_at_the_limit_is_read_and_one_over_it_is_rejected() {
    let parties = Parties::new(SealingSuite::XWing);
    let (_, request) = parties.consumer.ask(B, NOW, &mut SystemEntropy).unwrap();
    let mut text = serde_json::to_string(&request).unwrap();
    text.push_str(&" ".repeat(limits::SEALED - text.len()));
    assert!(UnverifiedRequest::read(text.as_bytes()).is_ok());
    text.push(' ');
    let refused = UnverifiedRequest::read(text.as_bytes());
    assert_eq!(refused.err(), Some(Refusal::NotVerified));
    let (presenting, presentation) = parties.presented();
    let long = format!("{presentation}{}", " ".repeat(limits::SEALED));
    assert_eq!(parties.accept(&long, NOW), Err(Refusal::NotVerified));
    let long = vec![b' '; limits::SEALED + 1];
    assert!(presenting.read_acknowledgement(&long).is_err());
}

// [BRK-5]
#[test]
fn each_request_has_a_unique_replay_key() {
    let parties = Parties::new(SealingSuite::X25519);
    let replay_nonce = |request| {
        let request = UnverifiedRequest::read(&serde_json::to_vec(request).unwrap()).unwrap();
        let known = Some(&parties.first);
        let verified = request
            .verify(&parties.site, known, &unknown_key(), NOW)
            .unwrap();
        let (requester, nonce) = verified.replay_key();
        assert_eq!(requester, A);
        nonce
    };
    let (_, request) = parties.consumer.ask(B, NOW, &mut SystemEntropy).unwrap();
    let (_, other) = parties.consumer.ask(B, NOW, &mut SystemEntropy).unwrap();
    assert_eq!(replay_nonce(&request), replay_nonce(&request));
    assert_ne!(replay_nonce(&request), replay_nonce(&other));
}
