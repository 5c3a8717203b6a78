use hpke::OpModeR;
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing as OtherXWing;

use super::*;
use crate::entropy::{SystemEntropy, fresh};

fn key(byte: u8) -> HybridKey {
    HybridKey::from_seed(Secret::from_bytes([byte; 32]))
}

#[test]
fn a_sealed_message_opens_only_with_the_same_key_and_info() {
    let (own, other) = (key(1), key(2));
    let sealed = own
        .public()
        .seal(b"use", b"message", &mut SystemEntropy)
        .unwrap();
    assert_eq!(sealed.len(), 7 + OVERHEAD);
    assert_eq!(own.open(b"use", &sealed).unwrap().expose(), b"message");
    assert!(other.open(b"use", &sealed).is_err());
    assert!(own.open(b"another use", &sealed).is_err());
    for at in (0..sealed.len()).step_by(7) {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(own.open(b"use", &changed).is_err(), "byte {at}");
    }
    assert!(own.open(b"use", &sealed[..OVERHEAD - 1]).is_err());
}

/// Keys, encapsulation and sealing are the same as in another implementation.
#[test]
fn both_implementations_open_what_the_other_sealed() {
    for _ in 0..16 {
        let seed: [u8; 32] = fresh(&mut SystemEntropy);
        let own = HybridKey::from_seed(Secret::from_bytes(seed));
        let theirs = <OtherXWing as Kem>::PrivateKey::from_bytes(&seed).unwrap();
        let public = OtherXWing::sk_to_pk(&theirs);
        assert_eq!(public.to_bytes()[..], own.public().as_bytes()[..]);

        let sealed = own
            .public()
            .seal(b"use", b"message", &mut SystemEntropy)
            .unwrap();
        let (encapsulated, ciphertext) = sealed.split_at(ENCAPSULATED_LENGTH);
        let opened = hpke::single_shot_open::<AesGcm256, HkdfSha256, OtherXWing>(
            &OpModeR::Base,
            &theirs,
            &Deserializable::from_bytes(encapsulated).unwrap(),
            b"use",
            ciphertext,
            &[],
        );
        assert_eq!(opened.unwrap(), b"message");

        let sealed = super::super::seal_with::<OtherXWing>(
            &public,
            b"use",
            &[],
            b"answer",
            &mut SystemEntropy,
        );
        let opened = own.open(b"use", &sealed.unwrap()).unwrap();
        assert_eq!(opened.expose(), b"answer");

        let (derived, _) = XWing::derive_keypair(&seed);
        let (other, _) = OtherXWing::derive_keypair(&seed);
        assert_eq!(derived.to_bytes(), other.to_bytes());
    }
}

#[test]
fn an_invalid_public_key_is_rejected() {
    let own = key(1);
    let bytes = own.public().as_bytes();
    assert_eq!(HybridPublic::from_bytes(bytes).as_ref(), Ok(own.public()));
    assert_eq!(HybridPublic::from_bytes(&bytes[1..]), Err(BadHybridPublic));
    assert_eq!(
        HybridPublic::from_bytes(&[0xff; PUBLIC_KEY_LENGTH]),
        Err(BadHybridPublic)
    );
    let mut small_order = *bytes;
    small_order[kem::PUBLIC_KEY_LENGTH..].fill(0);
    let small_order = HybridPublic::from_bytes(&small_order).unwrap();
    assert!(
        small_order
            .seal(b"use", b"message", &mut SystemEntropy)
            .is_err()
    );
    assert_eq!(
        format!("{own:?} {:?}", own.public()),
        "HybridKey(..) HybridPublic(..)"
    );
}
