//! Both providers give the same bytes and make the same decisions, for valid and for malformed input.

mod published;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{AeadCipher, TAG, aws_lc, encapsulate_derandomized, rust_crypto};

const CIPHERS: [AeadCipher; 3] = [
    AeadCipher::Aes128Gcm,
    AeadCipher::Aes256Gcm,
    AeadCipher::ChaCha20Poly1305,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn both_providers_hash_authenticate_and_derive_alike(
        (key, data, cut) in (vec(any::<u8>(), 0..200), vec(any::<u8>(), 0..700), any::<prop::sample::Index>()),
        length in 0_usize..400,
    ) {
        let (first, last) = data.split_at(cut.index(data.len() + 1));
        let mut native = aws_lc::Sha256State::new();
        let mut portable = rust_crypto::Sha256State::new();
        for part in [first, last] {
            native.update(part);
            portable.update(part);
        }
        prop_assert_eq!(native.clone().finish(), portable.clone().finish());
        prop_assert_eq!(aws_lc::sha512(&data), rust_crypto::sha512(&data));
        let parts = [first, last];
        prop_assert_eq!(aws_lc::sha3_256(&parts), rust_crypto::sha3_256(&parts));

        let keys = [
            (aws_lc::HmacKey::sha256(&key), rust_crypto::HmacKey::sha256(&key)),
            (aws_lc::HmacKey::sha1(&key), rust_crypto::HmacKey::sha1(&key)),
        ];
        for (native, portable) in keys {
            let mut code = native.authenticate(&data);
            prop_assert_eq!(&code, &portable.authenticate(&data));
            prop_assert!(native.verify(&data, &code) && portable.verify(&data, &code));
            let (shorter, _) = code.split_at(code.len() - 1);
            prop_assert!(!native.verify(&data, shorter) && !portable.verify(&data, shorter));
            code[0] ^= 1;
            prop_assert!(!native.verify(&data, &code) && !portable.verify(&data, &code));
        }

        let (mut native, mut portable) = (vec![0; length], vec![0; length]);
        prop_assert!(aws_lc::hkdf_sha256(&key, &data, &parts, &mut native));
        prop_assert!(rust_crypto::hkdf_sha256(&key, &data, &parts, &mut portable));
        prop_assert_eq!(native, portable);
    }

    #[test]
    fn both_providers_seal_alike_and_open_only_what_was_sealed(
        key in any::<[u8; 32]>(),
        nonce in any::<[u8; 12]>(),
        associated in vec(any::<u8>(), 0..70),
        text in vec(any::<u8>(), 0..300),
        flipped in any::<prop::sample::Index>(),
    ) {
        for cipher in CIPHERS {
            let native = aws_lc::AeadKey::new(cipher, &key);
            let portable = rust_crypto::AeadKey::new(cipher, &key);
            let (mut one, mut other) = (text.clone(), text.clone());
            let tag = native.seal(nonce, &associated, &mut one).unwrap();
            prop_assert_eq!(portable.seal(nonce, &associated, &mut other), Some(tag));
            prop_assert_eq!(&one, &other);

            let mut out = vec![0; text.len()];
            prop_assert!(native.open_into(nonce, &associated, (&one, &tag), &mut out));
            prop_assert_eq!(&out, &text);
            out.fill(0);
            prop_assert!(portable.open_into(nonce, &associated, (&one, &tag), &mut out));
            prop_assert_eq!(&out, &text);

            let sealed = [&one[..], &tag].concat();
            let opened = |sealed: &[u8]| {
                let (mut one, mut other) = (sealed.to_vec(), sealed.to_vec());
                let native = native.open(nonce, &associated, &mut one).map(|text| text.to_vec());
                (native, portable.open(nonce, &associated, &mut other).map(|text| text.to_vec()))
            };
            prop_assert_eq!(opened(&sealed), (Some(text.clone()), Some(text.clone())));
            let mut changed = sealed.clone();
            changed[flipped.index(sealed.len())] ^= 1;
            prop_assert_eq!(opened(&changed), (None, None));
            let cut = flipped.index(sealed.len());
            prop_assert_eq!(opened(&sealed[..cut]), (None, None));
            prop_assert!(sealed.len() >= TAG);
        }
    }

    #[test]
    fn both_providers_agree_on_secrets_with_any_point(
        secret in any::<[u8; 32]>(),
        peer in any::<[u8; 32]>(),
    ) {
        let (native, public) = aws_lc::X25519Key::new(&secret);
        let (portable, other) = rust_crypto::X25519Key::new(&secret);
        prop_assert_eq!(public, other);
        prop_assert_eq!(native.agree(&peer), portable.agree(&peer));
    }

    #[test]
    fn both_providers_sign_alike_and_verify_alike(
        secret in any::<[u8; 32]>(),
        message in vec(any::<u8>(), 0..200),
        flipped in 0_usize..64 * 8,
    ) {
        let (native, public) = aws_lc::Ed25519Key::new(&secret);
        let (portable, other) = rust_crypto::Ed25519Key::new(&secret);
        prop_assert_eq!(public, other);
        let mut signature = native.sign(&message);
        prop_assert_eq!(signature, portable.sign(&message));
        prop_assert!(verified(&public, &message, &signature));
        signature[flipped / 8] ^= 1 << (flipped % 8);
        prop_assert!(!verified(&public, &message, &signature));
    }

    #[test]
    fn both_providers_decapsulate_alike_what_was_changed_too(
        seed in vec(any::<u8>(), 64),
        randomness in any::<[u8; 32]>(),
        flipped in any::<prop::sample::Index>(),
    ) {
        let seed: [u8; 64] = seed.try_into().unwrap();
        let (native, public) = aws_lc::KemPrivate::from_seed(&seed);
        let (portable, other) = rust_crypto::KemPrivate::from_seed(&seed);
        prop_assert_eq!(public, other);
        let (mut ciphertext, secret) = encapsulate_derandomized(&public, &randomness).unwrap();
        prop_assert_eq!(native.decapsulate(&ciphertext), Some(secret.clone()));
        prop_assert_eq!(portable.decapsulate(&ciphertext), Some(secret));
        ciphertext[flipped.index(ciphertext.len())] ^= 1;
        prop_assert_eq!(native.decapsulate(&ciphertext), portable.decapsulate(&ciphertext));
        prop_assert_eq!(native.decapsulate(&ciphertext[1..]), None);
        prop_assert_eq!(portable.decapsulate(&ciphertext[1..]), None);

        let mut changed = public;
        changed[flipped.index(public.len())] |= 0xf0;
        prop_assert_eq!(aws_lc::check_kem_public(&changed), rust_crypto::check_kem_public(&changed));
    }
}

/// The decision of both providers, which must be the same.
fn verified(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let native = aws_lc::verify_ed25519(public, message, signature);
    let portable = rust_crypto::verify_ed25519(public, message, signature);
    assert_eq!(native, portable, "{public:02x?} {signature:02x?}");
    native
}

#[test]
fn what_one_provider_encapsulates_the_other_decapsulates() {
    let (native, of_native) = aws_lc::KemPrivate::generate();
    let (portable, of_portable) = rust_crypto::KemPrivate::generate();
    let (ciphertext, secret) = aws_lc::encapsulate(&of_portable).unwrap();
    assert_eq!(portable.decapsulate(&ciphertext), Some(secret));
    let (ciphertext, secret) = rust_crypto::encapsulate(&of_native).unwrap();
    assert_eq!(native.decapsulate(&ciphertext), Some(secret));
    for wrong in [&of_native[1..], &[0xff; super::KEM_PUBLIC]] {
        assert!(aws_lc::encapsulate(wrong).is_none());
        assert!(rust_crypto::encapsulate(wrong).is_none());
    }
}

#[test]
fn both_providers_draw_fresh_bytes() {
    let (mut native, mut portable) = ([0; 32], [0; 32]);
    assert!(aws_lc::fill(&mut native) && rust_crypto::fill(&mut portable));
    assert_ne!(native, portable);
    assert_ne!(native, [0; 32]);
    assert_ne!(portable, [0; 32]);
}

#[test]
fn hkdf_gives_no_more_than_255_hashes() {
    let (mut longest, mut too_long) = (vec![0; 255 * 32], vec![0; 255 * 32 + 1]);
    assert!(aws_lc::hkdf_sha256(&[], b"secret", &[], &mut longest));
    assert!(rust_crypto::hkdf_sha256(&[], b"secret", &[], &mut longest));
    assert!(!aws_lc::hkdf_sha256(&[], b"secret", &[], &mut too_long));
    assert!(!rust_crypto::hkdf_sha256(
        &[],
        b"secret",
        &[],
        &mut too_long
    ));
}

/// Points of small order in all their encodings, those with a coordinate above the modulus too.
fn small_order() -> Vec<[u8; 32]> {
    use curve25519_dalek::constants::EIGHT_TORSION;

    let canonical = EIGHT_TORSION.iter().map(|point| point.compress().0);
    // y = p, p + 1, with both signs.
    let mut encodings: Vec<[u8; 32]> = canonical.collect();
    for low in [0xed, 0xee] {
        for high in [0x7f, 0xff] {
            let mut encoding = [0xff; 32];
            (encoding[0], encoding[31]) = (low, high);
            encodings.push(encoding);
        }
    }
    // y = 1 and y = -1 with the sign of a negative x, which is zero.
    let mut one = [0; 32];
    (one[0], one[31]) = (1, 0x80);
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    encodings.extend([one, minus_one]);
    encodings
}

/// Implementations of Ed25519 differ in such keys and signatures, so one end would accept what the
/// other rejects.
#[test]
fn both_providers_make_the_same_decision_for_keys_and_signatures_of_small_order() {
    let points = small_order();
    let mut accepted = 0;
    for public in &points {
        for first in &points {
            for message in 0..4_u8 {
                let mut signature = [0; 64];
                signature[..32].copy_from_slice(first);
                accepted += usize::from(verified(public, &[message], &signature));
            }
        }
    }
    assert!(accepted > 0, "the test has signatures that are accepted");
}

/// A signature with another multiple of the group's order is rejected (RFC 8032, section 5.1.7).
#[test]
fn a_signature_with_a_scalar_above_the_order_is_rejected_by_both() {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let (key, public) = aws_lc::Ed25519Key::new(&[7; 32]);
    let mut signature = key.sign(b"message");
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert!(!verified(&public, b"message", &signature));
}
