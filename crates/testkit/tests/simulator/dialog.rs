//! The logins that other tests interfere with, and tests of these logins over an honest wire.

use countersign_proto::session::{EncryptionOption, OptionList, SessionRefusal};
use countersign_testkit::entropy::SeededEntropy;
use countersign_testkit::pair::{Flight, Pair, SESSION_LIFETIME, ServerClosed, Who};
use countersign_testkit::simulator::operation;
use countersign_testkit::site::{MARIA, ROBOT, Site};
use countersign_testkit::wire::{Direction, Dripping, Honest, Splitting, Wire};

/// A site that offers one option.
pub(crate) fn site(option: EncryptionOption) -> Site {
    Site::offering(OptionList::new([option]), 65_536)
}

/// Logs in over a wire.
pub(crate) fn log_in<'a>(site: &'a Site, who: Who<'_>, seed: u64, wire: &mut dyn Wire) -> Pair<'a> {
    let mut pair = Pair::new(site, site.client(), who, seed);
    pair.run(wire);
    pair
}

/// The flights of a login over an honest wire.
pub(crate) fn recorded(site: &Site, who: Who<'_>, seed: u64) -> Vec<Flight> {
    let pair = log_in(site, who, seed, &mut Honest);
    assert!(pair.client.is_live() && pair.server.is_live());
    pair.flights
}

#[test]
fn a_login_consists_of_four_alternating_flights() {
    for option in EncryptionOption::ALL {
        let site = site(option);
        for who in [Who::MARIA, Who::Service(&site.robot)] {
            let directions: Vec<Direction> = recorded(&site, who, 1)
                .iter()
                .map(|flight| flight.direction)
                .collect();
            let expected = [
                Direction::ToServer,
                Direction::ToClient,
                Direction::ToServer,
                Direction::ToClient,
            ];
            assert_eq!(directions, expected, "{}", option.name());
        }
    }
}

#[test]
fn honest_ends_succeed_with_any_split_of_their_bytes() {
    let maria = site(EncryptionOption::HybridAes256Gcm);
    for option in EncryptionOption::ALL {
        let site = site(option);
        for seed in 0..40 {
            let mut wire = Splitting(SeededEntropy::new(seed));
            let mut pair = log_in(&site, Who::Service(&site.robot), seed, &mut wire);
            assert_eq!(pair.server.session_account(), Some(ROBOT));
            for id in 1..=3 {
                pair.client.send_operation(&operation(id, 200 * id));
                pair.run(&mut wire);
            }
            assert_eq!(
                (pair.server.received().len(), pair.client.received().len()),
                (3, 3)
            );
            pair.assert_accepted_as_sent();
        }
        let dripped = log_in(&site, Who::Service(&site.robot), 1, &mut Dripping);
        assert!(dripped.client.is_live() && dripped.server.is_live());
    }
    let pair = log_in(&maria, Who::MARIA, 1, &mut Dripping);
    assert_eq!(pair.server.session_account(), Some(MARIA));
    assert!(pair.client.is_live());
}

/// With an option without ML-KEM, all entropy comes from the seed.
#[test]
fn a_dialog_is_reproducible() {
    let site = site(EncryptionOption::X25519Aes256Gcm);
    for who in [Who::MARIA, Who::Service(&site.robot)] {
        let first = recorded(&site, who, 5);
        assert!(first == recorded(&site, who, 5));
        assert!(first != recorded(&site, who, 6));
    }
}

/// [SES-29]
#[test]
fn a_session_ends_when_it_expires_in_virtual_time() {
    let site = site(EncryptionOption::X25519Aes256Gcm);
    let mut pair = log_in(&site, Who::Service(&site.robot), 1, &mut Honest);
    pair.wait(SESSION_LIFETIME - 1);
    pair.client.send_operation(&operation(1, 10));
    pair.run(&mut Honest);
    assert_eq!(pair.client.received().len(), 1);
    pair.wait(1);
    pair.client.send_operation(&operation(2, 10));
    pair.run(&mut Honest);
    let over = pair.server.closed();
    assert_eq!(over, Some(&ServerClosed::Refused(SessionRefusal::Expired)));
    assert!(!pair.client.is_live());
}
