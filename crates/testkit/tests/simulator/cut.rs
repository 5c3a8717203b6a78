//! Connections that end in the middle, at every byte.

use countersign_proto::session::EncryptionOption;
use countersign_testkit::pair::Who;
use countersign_testkit::site::Site;
use countersign_testkit::wire::{Way, cutting};

use crate::dialog::{log_in, recorded, site};

/// Cuts each flight at the bytes that `at` names for its length, and at both of its ends.
fn cut(site: &Site, who: Who<'_>, at: impl Fn(usize) -> Vec<usize>) {
    for (number, flight) in recorded(site, who, 1).iter().enumerate() {
        let length = flight.bytes.len();
        let edges = [0, 1, 2, 3, length - 2, length - 1];
        for at in at(length).into_iter().chain(edges) {
            let pair = log_in(site, who, 2, &mut cutting(number, at));
            let context = format!("flight {number} cut at {at} of {length}");
            assert!(!pair.client.opened(), "{context}");
            // Only what the site says last may be missing once it has opened a session.
            let proved = number == 3;
            assert_eq!(pair.server.opened().is_some(), proved, "{context}");
            // Both ends know that it is over: nobody waits.
            assert!(pair.client.over().is_some(), "{context}");
            assert!(pair.server.over().is_some(), "{context}");
            pair.assert_accepted_as_sent();
            assert_eq!(flight.way == Way::ToClient, number % 2 == 1);
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
fn a_person_whose_connection_is_cut_gets_no_session_by_a_delivered_key() {
    let site = site(EncryptionOption::DeliveredKey);
    cut(&site, Who::MARIA, |length| (0..length).step_by(7).collect());
}
