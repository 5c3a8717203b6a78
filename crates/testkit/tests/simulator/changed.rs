//! One bit changed, in every byte.

use std::collections::BTreeSet;

use countersign_proto::session::EncryptionOption;
use countersign_testkit::pair::{Pair, Who};
use countersign_testkit::wire::{commands, flipping};

use crate::dialog::{log_in, recorded, site};
use crate::seeds::is_long_run;

fn assert_refused(pair: &Pair<'_>, flight: usize, at: usize) {
    let context = format!("flight {flight}, byte {at}");
    assert!(!pair.client.opened(), "{context}");
    // The site has opened its session before it sends the last flight.
    assert_eq!(pair.server.opened().is_some(), flight == 3, "{context}");
    pair.assert_accepted_as_sent();
}

/// [SES-6] and [SES-38]
#[test]
fn a_service_gets_no_session_when_any_byte_is_changed() {
    for option in [
        EncryptionOption::HybridAes256Gcm,
        EncryptionOption::X25519Aes256Gcm,
        EncryptionOption::DeliveredKey,
    ] {
        let site = site(option);
        let who = Who::Service(&site.robot);
        for (number, flight) in recorded(&site, who, 1).iter().enumerate() {
            for at in 0..flight.bytes.len() {
                let pair = log_in(&site, who, 2, &mut flipping(number, at, at));
                assert_refused(&pair, number, at);
            }
        }
    }
}

/// [SES-6] and [SES-11]: nothing is sent after a changed answer of the site.
#[test]
fn a_person_gets_no_session_when_a_byte_is_changed() {
    assert_person_refused(EncryptionOption::HybridAes256Gcm);
}

/// [SES-6], [SES-11] and [SES-38]
#[test]
fn a_person_gets_no_session_when_a_byte_is_changed_of_a_delivered_key() {
    assert_person_refused(EncryptionOption::DeliveredKey);
}

/// The pass phrase is stretched anew for each byte, so only some of them are changed: see [`bytes_of_each_field`].
fn assert_person_refused(option: EncryptionOption) {
    let site = site(option);
    for (number, flight) in recorded(&site, Who::MARIA, 1).iter().enumerate() {
        for at in bytes_of_each_field(&flight.bytes) {
            let pair = log_in(&site, Who::MARIA, 2, &mut flipping(number, at, at));
            assert_refused(&pair, number, at);
            if number == 1 {
                assert_eq!(pair.flights.len(), 2, "byte {at}");
            }
        }
    }
}

/// The first bytes of each command, which say what and how long it is, and its last one; and in between one in each
/// 16 bytes, which is the length of the shortest tag, key or nonce that stands inside another value. In a long run
/// all bytes.
fn bytes_of_each_field(flight: &[u8]) -> Vec<usize> {
    if is_long_run() {
        return (0..flight.len()).collect();
    }
    let mut start = 0;
    let mut chosen = BTreeSet::new();
    for command in commands(flight) {
        let end = start + command.len();
        chosen.extend(start..end.min(start + 4));
        chosen.extend((start + 4..end).step_by(16));
        chosen.insert(end - 1);
        start = end;
    }
    chosen.into_iter().collect()
}
