//! Logins whose connection ends at any byte.

use countersign_proto::session::EncryptionOption;
use countersign_testkit::pair::Who;
use countersign_testkit::site::Site;
use countersign_testkit::wire::{Direction, cutting};

use crate::dialog::{log_in, recorded, site};

/// Cuts each flight at the offsets that `at` returns for its length, and near both of its ends.
fn cut(site: &Site, who: Who<'_>, at: impl Fn(usize) -> Vec<usize>) {
    for (number, flight) in recorded(site, who, 1).iter().enumerate() {
        let length = flight.bytes.len();
        let edges = [0, 1, 2, 3, length - 2, length - 1];
        for at in at(length).into_iter().chain(edges) {
            let pair = log_in(site, who, 2, &mut cutting(number, at));
            let context = format!("flight {number} cut at {at} of {length}");
            assert!(!pair.client.had_session(), "{context}");
            // If the last flight is cut, the site already has a session.
            let is_last = number == 3;
            assert_eq!(
                pair.server.session_account().is_some(),
                is_last,
                "{context}"
            );
            // Both ends know that the connection has ended.
            assert!(pair.client.closed().is_some(), "{context}");
            assert!(pair.server.closed().is_some(), "{context}");
            pair.assert_accepted_as_sent();
            assert_eq!(flight.direction == Direction::ToClient, number % 2 == 1);
        }
    }
}

#[test]
fn a_service_whose_connection_is_cut_at_any_byte_gets_no_session() {
    for option in [
        EncryptionOption::HybridAes256Gcm,
        EncryptionOption::X25519Aes256Gcm,
        EncryptionOption::DeliveredKey,
    ] {
        let site = site(option);
        cut(&site, Who::Service(&site.robot), |length| {
            (0..length).collect()
        });
    }
}

#[test]
fn a_person_whose_connection_is_cut_gets_no_session() {
    let site = site(EncryptionOption::HybridAes256Gcm);
    cut(&site, Who::MARIA, |length| (0..length).step_by(7).collect());
}

#[test]
fn a_person_with_a_delivered_key_whose_connection_is_cut_gets_no_session() {
    let site = site(EncryptionOption::DeliveredKey);
    cut(&site, Who::MARIA, |length| (0..length).step_by(7).collect());
}
