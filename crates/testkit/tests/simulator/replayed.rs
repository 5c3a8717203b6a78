//! Messages of a finished dialog, said again: to a fresh server, to a fresh client, to who sent them, and
//! in the middle of another dialog.

use countersign_proto::session::EncryptionOption;
use countersign_testkit::pair::{Flight, Pair, Who};
use countersign_testkit::simulator::operation;
use countersign_testkit::site::Site;
use countersign_testkit::wire::{Fate, Meddling, Way, commands, splicing};

use crate::dialog::{log_in, recorded, site};

const OPTIONS: [EncryptionOption; 3] = [
    EncryptionOption::HybridAes256Gcm,
    EncryptionOption::X25519Aes256Gcm,
    EncryptionOption::DeliveredKey,
];

/// What one side said, flight by flight.
fn said(flights: &[Flight], way: Way) -> Vec<Vec<u8>> {
    let said = flights.iter().filter(|flight| flight.way == way);
    said.map(|flight| flight.bytes.clone()).collect()
}

/// A pair that has not run: each of its ends is driven alone.
fn fresh<'a>(site: &'a Site, who: Who<'_>) -> Pair<'a> {
    Pair::new(site, site.client(), who, 77)
}

fn assert_nothing_accepted(pair: &Pair<'_>, context: &str) {
    assert!(!pair.client.opened(), "{context}: the client");
    assert_eq!(pair.server.opened(), None, "{context}: the server");
}

/// [SES-17] and [SES-38]
#[test]
fn a_dialog_replayed_to_a_fresh_server_or_a_fresh_client_opens_nothing() {
    for option in OPTIONS {
        let site = site(option);
        for who in [Who::MARIA, Who::Service(&site.robot)] {
            let flights = recorded(&site, who, 1);
            for way in [Way::ToServer, Way::ToClient] {
                let said = said(&flights, way);
                // The whole of it, each flight and each command alone, and the whole to its own sender.
                let whole = said.concat();
                let mut replays = vec![whole.clone()];
                replays.extend(said);
                replays.extend(commands(&whole));
                for replay in replays {
                    let mut pair = fresh(&site, who);
                    pair.server.receive(0, &replay);
                    pair.client.receive(&replay);
                    assert_nothing_accepted(&pair, &format!("{way:?}, {} bytes", replay.len()));
                }
            }
        }
    }
}

#[test]
fn what_an_end_said_is_not_accepted_from_it_when_it_comes_back() {
    for option in OPTIONS {
        let site = site(option);
        for who in [Who::MARIA, Who::Service(&site.robot)] {
            let mut pair = fresh(&site, who);
            let flight = pair.client.take_outbox();
            pair.client.receive(&flight);
            assert_nothing_accepted(&pair, "the client's first flight");

            let mut pair = fresh(&site, who);
            pair.server.receive(0, &flight);
            let answer = pair.server.take_outbox();
            pair.server.receive(0, &answer);
            assert_nothing_accepted(&pair, "the server's answer");
        }
        // Inside the session too, where both directions look alike.
        let mut pair = log_in(
            &site,
            Who::Service(&site.robot),
            3,
            &mut countersign_testkit::wire::Honest,
        );
        pair.client.ask(&operation(1, 10));
        let packet = pair.client.take_outbox();
        pair.client.receive(&packet);
        assert!(pair.client.over().is_some() && pair.client.heard().is_empty());
    }
}

#[test]
fn a_flight_or_command_of_another_session_is_not_accepted() {
    for option in OPTIONS {
        let site = site(option);
        for who in [Who::MARIA, Who::Service(&site.robot)] {
            let other = recorded(&site, who, 1);
            for (number, flight) in other.iter().enumerate() {
                let spliced = flight.bytes.clone();
                let pair = log_in(&site, who, 2, &mut splicing(number, spliced.clone()));
                refused(&pair, number, "a flight");

                let count = commands(&spliced).len();
                for at in 0..count {
                    let mut unlike = false;
                    let mut wire = Meddling::with(number, |flight: Vec<u8>| {
                        let mut mixed = commands(&flight);
                        mixed[at] = commands(&spliced)[at].clone();
                        let mixed = mixed.concat();
                        unlike = mixed != flight;
                        Fate::Changed(mixed)
                    });
                    let pair = log_in(&site, who, 2, &mut wire);
                    // OPTION-CHOICE, USERNAME, MAX-PACKET and the sealed identity are always the same.
                    if unlike {
                        refused(&pair, number, "a command");
                    }
                }
            }
        }
    }
}

fn refused(pair: &Pair<'_>, flight: usize, what: &str) {
    assert!(!pair.client.opened(), "{what} of flight {flight}");
    let last = flight == 3;
    assert_eq!(pair.server.opened().is_some(), last, "{what} of {flight}");
    pair.assert_accepted_as_sent();
}

/// [SES-5] and [SES-17]: an honest login leaves the secret that the site shares with the service in its
/// cache; a recording of its first flight leaves nothing.
#[test]
fn a_replayed_handshake_leaves_nothing_at_the_site() {
    for option in [OPTIONS[0], OPTIONS[1]] {
        let site = site(option);
        let flights = recorded(&site, Who::Service(&site.robot), 1);
        assert_eq!(site.settings.static_keys.len(), 1);

        let restarted = crate::dialog::site(option);
        let mut pair = fresh(&restarted, Who::Service(&restarted.robot));
        pair.server.receive(0, &flights[0].bytes);
        assert!(!pair.server.take_outbox().is_empty(), "it is answered");
        assert_eq!(restarted.settings.static_keys.len(), 0);
    }
}
