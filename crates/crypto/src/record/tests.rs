use proptest::prelude::*;

use super::*;

const CIPHERS: [RecordCipher; 3] = [
    RecordCipher::Aes256Gcm,
    RecordCipher::Aes128Gcm,
    RecordCipher::ChaCha20Poly1305,
];

fn pair(cipher: RecordCipher) -> (Sealer, Opener) {
    let key = Secret::from_bytes([7; 32]);
    (Sealer::new(cipher, &key), Opener::new(cipher, &key))
}

fn seal(sealer: &mut Sealer, aad: &[u8], text: &[u8]) -> Vec<u8> {
    let mut packet = text.to_vec();
    let tag = sealer.seal_in_place(aad, &mut packet).unwrap();
    packet.extend_from_slice(&tag);
    packet
}

#[test]
fn packets_open_in_the_order_of_sealing() {
    for cipher in CIPHERS {
        let (mut sealer, mut opener) = pair(cipher);
        for text in [b"one".as_slice(), b"", b"three"] {
            let mut packet = seal(&mut sealer, b"header", text);
            let opened = opener.open_in_place(b"header", &mut packet).unwrap();
            assert_eq!(opened, text);
        }
        assert_eq!((sealer.0.number, opener.key.number), (3, 3));
    }
}

#[test]
fn sealing_the_same_text_twice_gives_different_packets() {
    for cipher in CIPHERS {
        let (mut sealer, _) = pair(cipher);
        let packets = [(); 2].map(|()| seal(&mut sealer, b"", b"text"));
        assert_ne!(packets[0], packets[1]);
    }
}

#[test]
fn after_a_forged_packet_no_packet_opens() {
    let (mut sealer, mut opener) = pair(RecordCipher::Aes256Gcm);
    let mut first = seal(&mut sealer, b"", b"first");
    let mut second = seal(&mut sealer, b"", b"second");
    let mut altered = first.clone();
    altered[0] ^= 1;
    assert_eq!(
        opener.open_in_place(b"", &mut altered),
        Err(RecordError::Forged)
    );
    assert_eq!(
        opener.open_in_place(b"", &mut first),
        Err(RecordError::Forged)
    );
    assert_eq!(
        opener.open_in_place(b"", &mut second),
        Err(RecordError::Forged)
    );
}

#[test]
fn a_key_stops_at_its_limit_and_wants_a_rekey_before() {
    let (mut sealer, mut opener) = pair(RecordCipher::Aes256Gcm);
    // Each packet has one block of associated data, two of text, one for the tag.
    (sealer.0.max_blocks, opener.key.max_blocks) = (16, 16);
    let mut wanted = Vec::new();
    for _ in 0..4 {
        wanted.push(sealer.wants_rekey());
        let mut packet = seal(&mut sealer, b"header", &[0; 17]);
        assert!(opener.open_in_place(b"header", &mut packet).is_ok());
    }
    assert_eq!(wanted, [false, false, false, true]);
    let mut text = *b"text";
    assert_eq!(
        sealer.seal_in_place(b"", &mut text),
        Err(RecordError::Exhausted)
    );
    assert_eq!(text, *b"text");
    assert_eq!(
        opener.open_in_place(b"", &mut [0; 20]),
        Err(RecordError::Exhausted)
    );
}

#[test]
fn another_key_or_cipher_opens_nothing() {
    let (mut sealer, _) = pair(RecordCipher::Aes256Gcm);
    let mut packet = seal(&mut sealer, b"", b"text");
    for cipher in CIPHERS {
        let mut other = Opener::new(cipher, &Secret::from_bytes([8; 32]));
        assert_eq!(
            other.open_in_place(b"", &mut packet.clone()),
            Err(RecordError::Forged)
        );
    }
    let (_, mut right) = pair(RecordCipher::Aes256Gcm);
    assert!(right.open_in_place(b"", &mut packet).is_ok());
}

/// NIST SP 800-38D with the key 0, nonce 0 and one block of zeros: test case 14 of the GCM
/// specification (256-bit key) and test case 2 (128-bit key).
#[test]
fn a_published_packet_is_reproduced() {
    let zero = Secret::from_bytes([0; 32]);
    for (cipher, expected) in [
        (
            RecordCipher::Aes256Gcm,
            "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
        ),
        (
            RecordCipher::Aes128Gcm,
            "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf",
        ),
    ] {
        let packet = seal(&mut Sealer::new(cipher, &zero), b"", &[0; 16]);
        assert_eq!(data_encoding::HEXLOWER.encode(&packet), expected);
    }
}

fn any_cipher() -> impl Strategy<Value = RecordCipher> {
    prop::sample::select(CIPHERS.to_vec())
}

proptest! {
    #[test]
    fn any_flipped_bit_is_rejected(
        cipher in any_cipher(),
        text in prop::collection::vec(any::<u8>(), 0..80),
        aad in prop::collection::vec(any::<u8>(), 0..20),
        bit in any::<prop::sample::Index>(),
    ) {
        let (mut sealer, mut opener) = pair(cipher);
        let mut packet = seal(&mut sealer, &aad, &text);
        let mut aad = aad;
        let bit = bit.index((packet.len() + aad.len()) * 8);
        match packet.get_mut(bit / 8) {
            Some(byte) => *byte ^= 1 << (bit % 8),
            None => aad[bit / 8 - packet.len()] ^= 1 << (bit % 8),
        }
        prop_assert_eq!(opener.open_in_place(&aad, &mut packet), Err(RecordError::Forged));
    }

    #[test]
    fn a_reordered_packet_is_rejected(
        cipher in any_cipher(),
        place in 0_usize..8,
        taken in 0_usize..8,
    ) {
        prop_assume!(place != taken);
        let (mut sealer, mut opener) = pair(cipher);
        let packets: Vec<_> = (0..8_u8).map(|n| seal(&mut sealer, b"", &[n])).collect();
        for packet in &packets[..place] {
            prop_assert!(opener.open_in_place(b"", &mut packet.clone()).is_ok());
        }
        let mut packet = packets[taken].clone();
        prop_assert_eq!(opener.open_in_place(b"", &mut packet), Err(RecordError::Forged));
    }

    #[test]
    fn a_truncated_packet_is_rejected(cipher in any_cipher(), kept in 0_usize..36) {
        let (mut sealer, mut opener) = pair(cipher);
        let mut packet = seal(&mut sealer, b"", &[1; 20]);
        prop_assert_eq!(opener.open_in_place(b"", &mut packet[..kept]), Err(RecordError::Forged));
    }
}
