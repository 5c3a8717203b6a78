//! One bit changed, in every byte.

use countersign_proto::session::EncryptionOption;
use countersign_testkit::pair::{Pair, Who};
use countersign_testkit::wire::flipping;

use crate::dialog::{log_in, recorded, site};

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

/// [SES-6], [SES-11] and [SES-38]: nothing is sent after a changed answer of the site, so all of its bytes are
/// cheap to change. The first flight and the welcome are sampled.
#[test]
fn a_person_gets_no_session_when_a_byte_is_changed() {
    for option in [
        EncryptionOption::HybridAes256Gcm,
        EncryptionOption::DeliveredKey,
    ] {
        let site = site(option);
        for (number, flight) in recorded(&site, Who::MARIA, 1).iter().enumerate() {
            let step = [5, 1, 1, 6][number];
            for at in (0..flight.bytes.len()).step_by(step) {
                let pair = log_in(&site, Who::MARIA, 2, &mut flipping(number, at, at));
                assert_refused(&pair, number, at);
                if number == 1 {
                    assert_eq!(pair.flights.len(), 2, "byte {at}");
                }
            }
        }
    }
}
