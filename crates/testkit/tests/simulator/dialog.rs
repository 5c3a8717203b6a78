//! The logins that the other tests do things to, and what an honest wire makes of them.

use countersign_proto::session::{EncryptionOption, OptionList, SessionRefusal};
use countersign_testkit::entropy::SeededEntropy;
use countersign_testkit::pair::{Flight, LIFE, Pair, ServerOver, Who};
use countersign_testkit::simulator::operation;
use countersign_testkit::site::{MARIA, ROBOT, Site};
use countersign_testkit::wire::{Dripping, Honest, Splitting, Way, Wire};

/// A site that offers one option.
pub(crate) fn site(option: EncryptionOption) -> Site {
    Site::offering(OptionList::new([option]), 65_536)
}

/// A whole login over a wire.
pub(crate) fn log_in<'a>(site: &'a Site, who: Who<'_>, seed: u64, wire: &mut dyn Wire) -> Pair<'a> {
    let mut pair = Pair::new(site, site.client(), who, seed);
    pair.run(wire);
    pair
}

/// What is said when nobody meddles.
pub(crate) fn recorded(site: &Site, who: Who<'_>, seed: u64) -> Vec<Flight> {
    let pair = log_in(site, who, seed, &mut Honest);
    assert!(pair.client.is_live() && pair.server.is_live());
    pair.flights
}

#[test]
fn whole_logins_are_four_flights_that_alternate() {
    for option in EncryptionOption::ALL {
        let site = site(option);
        for who in [Who::MARIA, Who::Service(&site.robot)] {
            let ways: Vec<Way> = recorded(&site, who, 1)
                .iter()
                .map(|flight| flight.way)
                .collect();
            let expected = [Way::ToServer, Way::ToClient, Way::ToServer, Way::ToClient];
            assert_eq!(ways, expected, "{}", option.name());
        }
    }
}

#[test]
fn honest_ends_succeed_however_their_bytes_are_split() {
    let maria = site(EncryptionOption::HybridAes256Gcm);
    for option in EncryptionOption::ALL {
        let site = site(option);
        for seed in 0..40 {
            let mut wire = Splitting(SeededEntropy::new(seed));
            let mut pair = log_in(&site, Who::Service(&site.robot), seed, &mut wire);
            assert_eq!(pair.server.opened(), Some(ROBOT));
            for id in 1..=3 {
                pair.client.ask(&operation(id, 200 * id));
                pair.run(&mut wire);
            }
            assert_eq!(
                (pair.server.heard().len(), pair.client.heard().len()),
                (3, 3)
            );
            pair.assert_accepted_as_sent();
        }
        let dripped = log_in(&site, Who::Service(&site.robot), 1, &mut Dripping);
        assert!(dripped.client.is_live() && dripped.server.is_live());
    }
    let pair = log_in(&maria, Who::MARIA, 1, &mut Dripping);
    assert_eq!(pair.server.opened(), Some(MARIA));
    assert!(pair.client.is_live());
}

/// Under an option without ML-KEM all entropy comes from the seed.
#[test]
fn a_dialog_happens_again_as_it_did() {
    let site = site(EncryptionOption::X25519Aes256Gcm);
    for who in [Who::MARIA, Who::Service(&site.robot)] {
        let first = recorded(&site, who, 5);
        assert!(first == recorded(&site, who, 5));
        assert!(first != recorded(&site, who, 6));
    }
}

/// [SES-29]
#[test]
fn a_session_ends_when_its_virtual_time_is_over() {
    let site = site(EncryptionOption::X25519Aes256Gcm);
    let mut pair = log_in(&site, Who::Service(&site.robot), 1, &mut Honest);
    pair.wait(LIFE - 1);
    pair.client.ask(&operation(1, 10));
    pair.run(&mut Honest);
    assert_eq!(pair.client.heard().len(), 1);
    pair.wait(1);
    pair.client.ask(&operation(2, 10));
    pair.run(&mut Honest);
    let over = pair.server.over();
    assert_eq!(over, Some(&ServerOver::Refused(SessionRefusal::Expired)));
    assert!(!pair.client.is_live());
}
