//! Packets that decrypt, and packets that are rejected.

use super::*;
use crate::risp::Value;
use crate::session::command::NOP;

fn pair_of(option: EncryptionOption, max_packet: u32) -> (PacketWriter, PacketReader) {
    let key = Secret::from_bytes([7; 32]);
    (
        PacketWriter::new(option, &key, max_packet),
        PacketReader::new(option, &key, max_packet),
    )
}

fn pair(max_packet: u32) -> (PacketWriter, PacketReader) {
    pair_of(EncryptionOption::HybridAes256Gcm, max_packet)
}

fn one_packet(writer: &mut PacketWriter) -> Vec<u8> {
    let mut wire = Vec::new();
    writer.put(NOP, Value::Nothing).unwrap();
    writer.flush(&mut wire).unwrap();
    wire
}

#[test]
fn a_packet_opens_once_and_in_order() {
    let (mut writer, mut reader) = pair(256);
    let (mut first, mut second) = (one_packet(&mut writer), one_packet(&mut writer));
    assert_eq!(first.len(), wrapped::HEADER + 2 + 16);
    let mut repeated = first.clone();
    assert_eq!(
        reader.open(&mut first).unwrap(),
        Some((&mut [0x70, 0x00][..], 28))
    );
    assert!(reader.open(&mut repeated).is_err());
    assert!(
        reader.open(&mut second).is_err(),
        "a reader that refused once stays closed"
    );
}

/// [SES-20]
#[test]
fn a_packet_at_the_limit_passes_and_one_over_it_is_refused_before_it_arrives() {
    let (_, mut reader) = pair(256);
    assert_eq!(reader.open(&mut [0xa0, 0x03, 0, 0, 1, 0]), Ok(None));
    assert!(reader.open(&mut [0xa0, 0x03, 0, 0, 1, 1]).is_err());
}

/// [SES-20] Either length may be the larger one, by any difference.
#[test]
fn a_packet_whose_two_lengths_disagree_is_refused() {
    const DISAGREE: SessionRefusal = SessionRefusal::BadPacket("its two lengths disagree");
    let wire = one_packet(&mut pair(256).0);
    for second in [0_u32, 1, 3, 22, 258, u32::MAX] {
        let mut forged = wire.clone();
        forged[6..10].copy_from_slice(&second.to_be_bytes());
        assert_eq!(pair(256).1.open(&mut forged), Err(DISAGREE), "{second}");
    }
    for first in [21_u32, 23] {
        let mut forged = [&wire[..], &[0]].concat();
        forged[2..6].copy_from_slice(&first.to_be_bytes());
        assert_eq!(pair(256).1.open(&mut forged), Err(DISAGREE), "{first}");
    }
    let mut short = [&[0xa0, 0x03][..], &19_u32.to_be_bytes(), &[0; 19]].concat();
    let refused = Err(SessionRefusal::BadPacket("too short"));
    assert_eq!(pair(256).1.open(&mut short), refused);
}

/// [SES-19]
#[test]
fn every_flipped_bit_is_refused() {
    let (mut writer, _) = pair(256);
    let wire = one_packet(&mut writer);
    for bit in 0..wire.len() * 8 {
        let (_, mut reader) = pair(256);
        let mut forged = wire.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        // A greater length means an incomplete packet; anything else is rejected at once.
        assert!(
            !matches!(reader.open(&mut forged), Ok(Some(_))),
            "bit {bit}"
        );
    }
}

fn delivered(max_packet: u32) -> (PacketWriter, PacketReader) {
    pair_of(EncryptionOption::DeliveredKey, max_packet)
}

/// [SES-37]
#[test]
fn a_packet_of_the_original_form_has_data_and_its_encrypted_digest() {
    let (mut writer, mut reader) = delivered(256);
    let mut wire = one_packet(&mut writer);
    let whole = 6 + 6 + 2 + 16 + 3 + 32 + 16;
    assert_eq!(wire.len(), whole);
    assert_eq!(
        wire[..12],
        [0x20, 0x01, 0, 0, 0, 2, 0xa0, 0x02, 0, 0, 0, 18]
    );
    assert_eq!(wire[30..33], [0x80, 0x01, 48]);
    assert_eq!(
        reader.open(&mut wire).unwrap(),
        Some((&mut [0x70, 0x00][..], whole))
    );
}

/// [SES-37]
#[test]
fn every_flipped_bit_of_the_original_form_is_refused() {
    let wire = one_packet(&mut delivered(256).0);
    for bit in 0..wire.len() * 8 {
        let (_, mut reader) = delivered(256);
        let mut forged = wire.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        assert!(
            !matches!(reader.open(&mut forged), Ok(Some(_))),
            "bit {bit}"
        );
    }
}

/// [SES-37] The digest is bound to its packet: that of another packet is rejected.
#[test]
fn packets_of_the_original_form_open_once_and_in_order_with_their_own_digest() {
    let (mut writer, mut reader) = delivered(256);
    let (first, second) = (one_packet(&mut writer), one_packet(&mut writer));
    let swapped = [&first[..30], &second[30..]].concat();
    assert!(delivered(256).1.open(&mut swapped.clone()).is_err());
    assert!(reader.open(&mut first.clone()).is_ok());
    assert!(reader.open(&mut first.clone()).is_err());
    assert!(reader.open(&mut second.clone()).is_err(), "it stays closed");
    let (_, mut reader) = delivered(256);
    assert!(
        reader.open(&mut second.clone()).is_err(),
        "the first is missing"
    );
}

/// [SES-37] At the limit, and one byte above it before any data arrived.
#[test]
fn the_limit_of_packets_holds_for_data() {
    let header = |plaintext: u32, data: u32| {
        let mut header = vec![0x20, 0x01];
        header.extend(plaintext.to_be_bytes());
        header.extend([0xa0, 0x02]);
        header.extend(data.to_be_bytes());
        header
    };
    let (_, mut reader) = delivered(256);
    assert_eq!(reader.open(&mut header(240, 256)), Ok(None));
    assert!(reader.open(&mut header(241, 257)[..6]).is_err());
    for disagreeing in [25, 27] {
        let mut wire = header(10, disagreeing);
        let refused = delivered(256).1.open(&mut wire);
        let why = SessionRefusal::BadPacket("its two lengths disagree");
        assert_eq!(refused, Err(why));
    }
    assert!(reader.open(&mut [0x20, 0x02]).is_err());
    assert_eq!(reader.open(&mut [0x20]), Ok(None));
}

/// Nothing is compressed. Otherwise an attacker could learn a packet's contents from its length, by
/// having the peer put guesses into the same packet.
#[test]
fn a_packets_length_depends_only_on_the_length_of_its_plaintext() {
    for option in [
        EncryptionOption::HybridAes256Gcm,
        EncryptionOption::DeliveredKey,
    ] {
        let length = |text: &str| {
            let (mut writer, _) = pair_of(option, 65_536);
            let mut wire = Vec::new();
            writer
                .put(crate::session::command::DATA, Value::Bytes(text.as_bytes()))
                .unwrap();
            writer.flush(&mut wire).unwrap();
            wire.len()
        };
        let secret = "token=4f1d0c";
        let guessed = length(&format!("{secret} {secret}"));
        assert_eq!(guessed, length(&format!("{secret} token=ffffff")));
        assert_eq!(guessed, length(&"a".repeat(25)));
        assert_eq!(length(&"a".repeat(26)), guessed + 1);
    }
}
