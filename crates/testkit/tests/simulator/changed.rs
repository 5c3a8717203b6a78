//! Logins in which the attacker flips one bit, for every byte.

use std::collections::BTreeSet;

use countersign_proto::session::EncryptionOption;
use countersign_testkit::pair::{Pair, Who};
use countersign_testkit::wire::{commands, flipping};

use crate::dialog::{log_in, recorded, site};
use crate::seeds::is_long_run;

fn assert_refused(pair: &Pair<'_>, flight: usize, at: usize) {
    let context = format!("flight {flight}, byte {at}");
    assert!(!pair.client.had_session(), "{context}");
    // The site has authenticated the client before it sends the last flight.
    assert_eq!(
        pair.server.session_account().is_some(),
        flight == 3,
        "{context}"
    );
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

/// [SES-6] and [SES-11]: the client sends nothing after a changed reply of the site.
#[test]
fn a_person_gets_no_session_when_a_byte_is_changed() {
    assert_person_refused(EncryptionOption::HybridAes256Gcm);
}

/// [SES-6], [SES-11] and [SES-38]
#[test]
fn a_person_with_a_delivered_key_gets_no_session_when_a_byte_is_changed() {
    assert_person_refused(EncryptionOption::DeliveredKey);
}

/// Each login runs the key stretching function, so only some bytes are changed: see
/// [`bytes_of_each_field`].
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

/// The offsets to change. In a long run, all of them. Else the first bytes of each command, which
/// are its number and length, its last byte, and every 16th byte in between: the shortest tag, key
/// or nonce inside a value has 16 bytes.
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
