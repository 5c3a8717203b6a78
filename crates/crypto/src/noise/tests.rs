//! Two machines that know each other's keys shake hands.

mod vectors;

use std::sync::Arc;

use super::*;
use crate::agreement::{AgreementKey, AgreementPublic};
use crate::entropy::SystemEntropy;
use crate::secret::Secret;

fn key(n: u8) -> AgreementKey {
    AgreementKey::from_secret(Secret::from_bytes([n; 32]))
}

const PSK: [u8; 32] = [5; 32];

#[test]
fn both_ends_get_the_same_keys_and_hidden_payloads() {
    let (service, site) = (key(1), key(2));
    let known = Arc::new(StaticKeyCache::default());
    for cipher in [
        RecordCipher::Aes256Gcm,
        RecordCipher::Aes128Gcm,
        RecordCipher::ChaCha20Poly1305,
    ] {
        // The second time around the static-static secret is taken from the cache.
        for _ in 0..2 {
            let psk = Secret::from_bytes(PSK);
            let (initiator, first) = Initiator::start(
                &service,
                site.public(),
                b"prologue",
                cipher,
                b"hello",
                Some(&known),
                &mut SystemEntropy,
            )
            .unwrap();
            let (responder, payload, proved) =
                Responder::read(&site, b"prologue", cipher, &first, Some(&known)).unwrap();
            assert_eq!((&payload[..], proved), (&b"hello"[..], *service.public()));
            known.remember(&responder.static_secret());
            let (second, theirs) = responder
                .finish(&psk, b"welcome", &mut SystemEntropy)
                .unwrap();
            let (payload, ours) = initiator.finish(&psk, &second).unwrap();
            assert_eq!(payload, b"welcome");
            assert_eq!(ours.client_to_server, theirs.client_to_server);
            assert_eq!(ours.server_to_client, theirs.server_to_client);
            assert_ne!(ours.client_to_server, ours.server_to_client);
            assert_eq!(ours.transcript, theirs.transcript);
        }
    }
    assert_eq!(known.len(), 2, "one secret for each end");
}

#[test]
fn a_message_for_another_key_or_from_another_dialog_is_refused() {
    let (service, site) = (key(1), key(2));
    let cipher = RecordCipher::Aes256Gcm;
    let (_, first) = Initiator::start(
        &service,
        site.public(),
        b"prologue",
        cipher,
        b"",
        None,
        &mut SystemEntropy,
    )
    .unwrap();
    assert!(Responder::read(&key(3), b"prologue", cipher, &first, None).is_err());
    assert!(Responder::read(&site, b"another", cipher, &first, None).is_err());
    for at in 0..first.len() {
        let mut changed = first.clone();
        changed[at] ^= 1;
        assert!(
            Responder::read(&site, b"prologue", cipher, &changed, None).is_err(),
            "byte {at}"
        );
        assert!(Responder::read(&site, b"prologue", cipher, &first[..at], None).is_err());
    }
}

#[test]
fn an_answer_under_another_psk_proves_nothing() {
    let (service, site) = (key(1), key(2));
    let cipher = RecordCipher::ChaCha20Poly1305;
    let (initiator, first) = Initiator::start(
        &service,
        site.public(),
        b"",
        cipher,
        b"",
        None,
        &mut SystemEntropy,
    )
    .unwrap();
    let (responder, ..) = Responder::read(&site, b"", cipher, &first, None).unwrap();
    let (second, _) = responder
        .finish(&Secret::from_bytes(PSK), b"", &mut SystemEntropy)
        .unwrap();
    assert!(
        initiator
            .finish(&Secret::from_bytes([6; 32]), &second)
            .is_err()
    );
}

#[test]
fn a_changed_answer_proves_nothing() {
    let (service, site) = (key(1), key(2));
    let cipher = RecordCipher::Aes256Gcm;
    let psk = Secret::from_bytes(PSK);
    let begin = || {
        let (initiator, first) = Initiator::start(
            &service,
            site.public(),
            b"",
            cipher,
            b"",
            None,
            &mut SystemEntropy,
        )
        .unwrap();
        let (responder, ..) = Responder::read(&site, b"", cipher, &first, None).unwrap();
        let (second, _) = responder.finish(&psk, b"hi", &mut SystemEntropy).unwrap();
        (initiator, second)
    };
    for at in 0..begin().1.len() {
        let (initiator, mut second) = begin();
        second[at] ^= 0x80;
        // The top bit of an X25519 key means nothing to the curve, but the transcript has it.
        assert!(initiator.finish(&psk, &second).is_err(), "byte {at}");
        let (initiator, second) = begin();
        assert!(initiator.finish(&psk, &second[..at]).is_err());
    }
}

#[test]
fn keys_that_share_the_same_secret_with_everybody_are_refused() {
    let (service, site) = (key(1), key(2));
    let cipher = RecordCipher::Aes256Gcm;
    let zero = AgreementPublic([0; 32]);
    let to_zero = Initiator::start(&service, &zero, b"", cipher, b"", None, &mut SystemEntropy);
    assert!(to_zero.is_err());
    let (_, mut first) = Initiator::start(
        &service,
        site.public(),
        b"",
        cipher,
        b"",
        None,
        &mut SystemEntropy,
    )
    .unwrap();
    first[..32].fill(0);
    assert!(Responder::read(&site, b"", cipher, &first, None).is_err());
}
