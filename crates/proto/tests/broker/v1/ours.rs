//! Our consumer, site and provider with each other, and with an attacker between them.

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::legacy::Cipher;
use countersign_crypto::rsa::RsaHash;
use countersign_proto::broker::v1::consumer::{
    ResponseAction, V1Consumer, V1ConsumerError, V1IssuedTicket,
};
use countersign_proto::broker::v1::site::{V1Application, V1Site};
use countersign_proto::broker::v1::{Role, V1Refusal, V1SealedMessage, limits};
use data_encoding::BASE64;
use serde_json::{Value, json};

use super::recorded::{A, B, application, consumer, key, master, provider, public};

const NOW: u64 = 1_800_000_000_000;

fn lists() -> Value {
    json!({ "ciphers": ["aes-256-ctr", "aes-256-cbc"], "hashes": ["sha256"], "authData": null })
}

fn site() -> (V1Site, V1Application, V1Application) {
    let first = application(A, "consumer", &lists());
    (
        master(&lists()),
        first,
        application(B, "provider", &lists()),
    )
}

/// The site's complete part.
fn answer(
    (site, first, second): &(V1Site, V1Application, V1Application),
    asked: &V1SealedMessage,
    now: u64,
) -> Result<String, V1Refusal> {
    let opened = site.open(&serde_json::to_string(asked).unwrap())?;
    let verified = opened.verify(site, Some(first), &public("consumer2"), now)?;
    let answer = verified.answer(site, first, Some(second), now, &mut SystemEntropy)?;
    Ok(serde_json::to_string(&answer).unwrap())
}

fn granted(
    ours: &V1Consumer,
    site: &(V1Site, V1Application, V1Application),
) -> Box<V1IssuedTicket> {
    let (asked, sealed) = ours.ask(B, NOW, &mut SystemEntropy).unwrap();
    let body = answer(site, &sealed, NOW).unwrap();
    match ours.read_response(asked, 200, body.as_bytes(), NOW, &mut SystemEntropy) {
        Ok(ResponseAction::Granted(granted)) => granted,
        other => panic!("{other:?}"),
    }
}

#[test]
fn keys_are_rotated_without_interruption() {
    let (mut site, mut first, second) = site();
    let ours = consumer(&lists());
    // The consumer still uses the site's older key only.
    site.keys.insert(0, key("consumer2"));
    // The site still accepts the consumer's older key too.
    first.keys.insert(0, public("provider"));
    let granted = granted(&ours, &(site, first, second));
    let (presenting, presentation) = granted.present(NOW, &mut SystemEntropy).unwrap();
    let mut there = provider(&lists());
    there.keys.insert(0, key("master"));
    there.site_keys.insert(0, public("consumer2"));
    let accepted = there
        .accept(presentation.as_bytes(), NOW)
        .unwrap()
        .acknowledge();
    assert!(
        presenting
            .read_acknowledgement(200, accepted.answer.as_bytes())
            .is_ok()
    );
}

#[test]
fn a_request_is_refused_when_the_clocks_are_more_than_a_minute_apart() {
    let parts = site();
    let ours = consumer(&lists());
    for (made, refused) in [
        (NOW - limits::TOLERANCE, false),
        (NOW - limits::TOLERANCE - 1, true),
        (NOW + limits::TOLERANCE, false),
        (NOW + limits::TOLERANCE + 1, true),
    ] {
        let (_, sealed) = ours.ask(B, made, &mut SystemEntropy).unwrap();
        let answered = answer(&parts, &sealed, NOW).map(|_| ());
        let expected = if refused {
            Err(V1Refusal::Stale { clock: NOW })
        } else {
            Ok(())
        };
        assert_eq!(answered, expected);
    }
}

#[test]
fn an_expired_ticket_and_another_providers_ticket_are_refused() {
    let parts = site();
    let ours = consumer(&lists());
    let mut there = provider(&lists());
    let (_, presentation) = granted(&ours, &parts)
        .present(NOW, &mut SystemEntropy)
        .unwrap();
    let accept = |now| there.accept(presentation.as_bytes(), now).map(|_| ());
    assert_eq!(accept(NOW + limits::TOLERANCE), Ok(()));
    let late = NOW + limits::TOLERANCE + 1;
    assert_eq!(accept(late), Err(V1Refusal::Stale { clock: late }));
    // Another provider that shares the key.
    there.id = "Application C".to_owned();
    let refused = there.accept(presentation.as_bytes(), NOW).map(|_| ());
    assert_eq!(refused, Err(V1Refusal::NotVerified));
}

#[test]
fn a_forbidden_provider_and_an_unknown_one_get_the_same_refusal() {
    let (site, first, _) = site();
    let ours = consumer(&lists());
    let (_, sealed) = ours.ask(B, NOW, &mut SystemEntropy).unwrap();
    let text = serde_json::to_string(&sealed).unwrap();
    let verified = site.open(&text).unwrap();
    let verified = verified
        .verify(&site, Some(&first), &public("consumer2"), NOW)
        .unwrap();
    let refused = verified.answer(&site, &first, None, NOW, &mut SystemEntropy);
    assert_eq!(refused, Err(V1Refusal::Application(Role::Requested)));
    // An unknown consumer, another key, and another application's key.
    let unknown = public("consumer2");
    let mut other = first.clone();
    other.keys = vec![public("provider")];
    let mut renamed = first.clone();
    renamed.id = "Application C".to_owned();
    for known in [None, Some(&other), Some(&renamed)] {
        let opened = site.open(&text).unwrap();
        let refused = opened.verify(&site, known, &unknown, NOW).map(|_| ());
        assert_eq!(refused, Err(V1Refusal::NotVerified));
    }
}

// [BRK-25]
#[test]
fn a_consumer_retries_once_for_the_cipher_and_once_for_the_hash() {
    let ours = consumer(
        &json!({ "ciphers": ["aes-256-ctr", "aes-128-cbc"], "hashes": ["sha512", "sha256"] }),
    );
    let cipher = V1Refusal::Cipher {
        requested: None,
        supported: vec!["aes-128-cbc".parse().unwrap()],
    };
    let hash = V1Refusal::Hash {
        requested: None,
        supported: vec![RsaHash::Sha256],
    };
    let (asked, _) = ours.ask(B, NOW, &mut SystemEntropy).unwrap();
    let next = |asked, refusal: &V1Refusal| {
        let body = refusal.body();
        ours.read_response(
            asked,
            refusal.status(),
            body.as_bytes(),
            NOW,
            &mut SystemEntropy,
        )
    };
    let Ok(ResponseAction::Again(asked, _)) = next(asked, &cipher) else {
        panic!("asks again with the other cipher")
    };
    let Ok(ResponseAction::Again(asked, sealed)) = next(*asked, &hash) else {
        panic!("asks again with the other hash")
    };
    // The site supports these.
    let lists = json!({ "ciphers": ["aes-128-cbc"], "hashes": ["sha256"], "authData": null });
    let first = application(A, "consumer", &lists);
    let parts = (master(&lists), first, application(B, "provider", &lists));
    assert!(answer(&parts, &sealed, NOW).is_ok());
    assert_eq!(
        next(*asked, &cipher).err(),
        Some(V1ConsumerError::Refused(409))
    );

    // A retry that cannot succeed is not made.
    let (asked, _) = ours.ask(B, NOW, &mut SystemEntropy).unwrap();
    let same = V1Refusal::Cipher {
        requested: None,
        supported: vec!["aes-256-ctr".parse().unwrap()],
    };
    assert_eq!(
        next(asked, &same).err(),
        Some(V1ConsumerError::NothingInCommon)
    );
    let (asked, _) = ours.ask(B, NOW, &mut SystemEntropy).unwrap();
    let none = ours.read_response(asked, 409, b"{}", NOW, &mut SystemEntropy);
    assert_eq!(none.err(), Some(V1ConsumerError::Refused(409)));
}

#[test]
fn a_changed_response_or_one_to_another_request_is_rejected() {
    let parts = site();
    let ours = consumer(&lists());
    let (first, sealed) = ours.ask(B, NOW, &mut SystemEntropy).unwrap();
    let (second, _) = ours.ask(B, NOW, &mut SystemEntropy).unwrap();
    let body = answer(&parts, &sealed, NOW).unwrap();
    let read = |asked, body: &str, now| {
        ours.read_response(asked, 200, body.as_bytes(), now, &mut SystemEntropy)
            .map(|_| ())
    };
    assert_eq!(
        read(second, &body, NOW),
        Err(V1ConsumerError::FailedVerification)
    );
    let late = NOW + limits::TOLERANCE + 1;
    let (third, sealed) = ours.ask(B, NOW, &mut SystemEntropy).unwrap();
    let old = answer(&parts, &sealed, NOW).unwrap();
    assert_eq!(read(third, &old, late), Err(V1ConsumerError::Stale));
    let whole: V1SealedMessage = serde_json::from_str(&body).unwrap();
    for at in [0, 100, 400, whole.message.len() - 2] {
        let mut changed = whole.clone();
        let other = if &changed.message[at..=at] == "A" {
            "B"
        } else {
            "A"
        };
        changed.message.replace_range(at..=at, other);
        let (asked, _) = ours.ask(B, NOW, &mut SystemEntropy).unwrap();
        let text = serde_json::to_string(&changed).unwrap();
        assert_eq!(
            read(asked, &text, NOW),
            Err(V1ConsumerError::FailedVerification)
        );
    }
    assert_eq!(read(first, &body, NOW), Ok(()));
}

#[test]
fn an_acknowledgement_without_the_tickets_key_is_rejected() {
    let parts = site();
    let ours = consumer(&lists());
    let (presenting, presentation) = granted(&ours, &parts)
        .present(NOW, &mut SystemEntropy)
        .unwrap();
    let (other, _) = granted(&ours, &parts)
        .present(NOW, &mut SystemEntropy)
        .unwrap();
    let there = provider(&lists());
    let accepted = there
        .accept(presentation.as_bytes(), NOW)
        .unwrap()
        .acknowledge();
    let of_another = other
        .read_acknowledgement(200, accepted.answer.as_bytes())
        .map(|_| ());
    assert_eq!(of_another, Err(V1ConsumerError::FailedVerification));
    let refused = presenting.read_acknowledgement(403, b"{}").map(|_| ());
    assert_eq!(refused, Err(V1ConsumerError::Refused(403)));
}

/// Regression: an acknowledgement dated an hour ago was accepted.
// [BRK-61]
#[test]
fn an_acknowledgement_with_a_wrong_time_is_rejected() {
    let parts = site();
    let ours = consumer(&lists());
    for (apart, expected) in [
        (limits::TOLERANCE, Ok(())),
        (limits::TOLERANCE + 1, Err(V1ConsumerError::Stale)),
    ] {
        for made in [NOW - apart, NOW + apart] {
            let granted = granted(&ours, &parts);
            let once = granted.response().one_time_credentials.clone();
            let (presenting, presentation) = granted.present(NOW, &mut SystemEntropy).unwrap();
            // The acknowledgement of a provider with a wrong clock.
            let cipher: Cipher = once.cipher.parse().unwrap();
            let decode = |text: &str| BASE64.decode(text.as_bytes()).unwrap();
            let key = decode(once.key.expose());
            let presentation: Value = serde_json::from_str(&presentation).unwrap();
            let id = decode(presentation["id"].as_str().unwrap());
            let object = cipher.decrypt(&key, &decode(&once.iv), &id).unwrap();
            let mut nonces: Value = serde_json::from_slice(object.expose()).unwrap();
            let iv = decode(nonces["iv"].as_str().unwrap());
            nonces["ts"] = json!(made);
            let message = cipher.encrypt(&key, &iv, nonces.to_string().as_bytes());
            let answer = json!({ "message": BASE64.encode(&message.unwrap()) }).to_string();
            let believed = presenting.read_acknowledgement(200, answer.as_bytes());
            assert_eq!(believed.map(|_| ()), expected, "{made}");
        }
    }
}

/// Regression: decryption tried every key of a provider, with an RSA private-key operation each.
// [BRK-60]
#[test]
fn decryption_tries_eight_keys_and_not_the_ninth() {
    let (parts, ours) = (site(), consumer(&lists()));
    let (_, presentation) = granted(&ours, &parts)
        .present(NOW, &mut SystemEntropy)
        .unwrap();
    let mut there = provider(&lists());
    for others in 0..=limits::KEYS {
        let accepted = there.accept(presentation.as_bytes(), NOW).map(|_| ());
        let expected = match others < limits::KEYS {
            true => Ok(()),
            false => Err(V1Refusal::NotVerified),
        };
        assert_eq!(accepted, expected, "{others}");
        there.keys.insert(0, key("consumer2"));
    }
}

#[test]
fn debug_output_contains_no_secret() {
    let granted = granted(&consumer(&lists()), &site());
    let response = granted.response();
    let shown = format!("{granted:?}");
    assert!(!shown.contains(response.secret.expose()));
    assert!(!shown.contains(response.one_time_credentials.key.expose()));
}
