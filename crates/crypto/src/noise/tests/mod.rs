//! Handshakes between two parties that know each other's keys.

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
fn both_parties_get_the_same_keys_and_the_payloads_are_encrypted() {
    let (service, site) = (key(1), key(2));
    let cache = Arc::new(StaticKeyCache::default());
    for cipher in [
        RecordCipher::Aes256Gcm,
        RecordCipher::Aes128Gcm,
        RecordCipher::ChaCha20Poly1305,
    ] {
        // The second handshake takes the static-static secret from the cache.
        for _ in 0..2 {
            let psk = Secret::from_bytes(PSK);
            let (initiator, first) = Initiator::start(
                &service,
                site.public(),
                b"prologue",
                cipher,
                b"hello",
                Some(&cache),
                &mut SystemEntropy,
            )
            .unwrap();
            let (responder, payload, peer) =
                Responder::read(&site, b"prologue", cipher, &first, Some(&cache)).unwrap();
            assert_eq!((&payload[..], peer), (&b"hello"[..], *service.public()));
            cache.remember(&responder.static_secret());
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
    assert_eq!(cache.len(), 2, "one secret for each end");
}

#[test]
fn a_message_for_another_key_or_from_another_dialog_is_rejected() {
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
fn a_response_with_another_psk_is_rejected() {
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
fn a_changed_response_is_rejected() {
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
        // X25519 ignores the top bit of a public key, but the transcript includes it.
        assert!(initiator.finish(&psk, &second).is_err(), "byte {at}");
        let (initiator, second) = begin();
        assert!(initiator.finish(&psk, &second[..at]).is_err());
    }
}

#[test]
fn points_of_small_order_are_rejected() {
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
