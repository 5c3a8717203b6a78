//! Replays of a finished dialog: to a new server, to a new client, to the sender, and in another
//! dialog.

use countersign_proto::session::EncryptionOption;
use countersign_testkit::pair::{Flight, Pair, Who};
use countersign_testkit::simulator::operation;
use countersign_testkit::site::Site;
use countersign_testkit::wire::{Direction, Tampered, Tampering, commands, splicing};

use crate::dialog::{log_in, recorded, site};

const OPTIONS: [EncryptionOption; 3] = [
    EncryptionOption::HybridAes256Gcm,
    EncryptionOption::X25519Aes256Gcm,
    EncryptionOption::DeliveredKey,
];

/// The flights in one direction.
fn flights_of(flights: &[Flight], direction: Direction) -> Vec<Vec<u8>> {
    let flights_of = flights
        .iter()
        .filter(|flight| flight.direction == direction);
    flights_of.map(|flight| flight.bytes.clone()).collect()
}

/// A pair that has not run. Tests drive each of its ends alone.
fn new_pair<'a>(site: &'a Site, who: Who<'_>) -> Pair<'a> {
    Pair::new(site, site.client(), who, 77)
}

fn assert_nothing_accepted(pair: &Pair<'_>, context: &str) {
    assert!(!pair.client.had_session(), "{context}: the client");
    assert_eq!(pair.server.session_account(), None, "{context}: the server");
}

/// [SES-17] and [SES-38]
#[test]
fn a_dialog_replayed_to_a_new_server_or_client_gives_no_session() {
    for option in OPTIONS {
        let site = site(option);
        for who in [Who::MARIA, Who::Service(&site.robot)] {
            let flights = recorded(&site, who, 1);
            for direction in [Direction::ToServer, Direction::ToClient] {
                let flights_of = flights_of(&flights, direction);
                // The whole dialog, each flight and each command. Both ends get each, so also its
                // sender.
                let whole = flights_of.concat();
                let mut replays = vec![whole.clone()];
                replays.extend(flights_of);
                replays.extend(commands(&whole));
                for replay in replays {
                    let mut pair = new_pair(&site, who);
                    pair.server.receive(0, &replay);
                    pair.client.receive(&replay);
                    assert_nothing_accepted(
                        &pair,
                        &format!("{direction:?}, {} bytes", replay.len()),
                    );
                }
            }
        }
    }
}

#[test]
fn an_end_does_not_accept_its_own_reflected_messages() {
    for option in OPTIONS {
        let site = site(option);
        for who in [Who::MARIA, Who::Service(&site.robot)] {
            let mut pair = new_pair(&site, who);
            let flight = pair.client.take_outbox();
            pair.client.receive(&flight);
            assert_nothing_accepted(&pair, "the client's first flight");

            let mut pair = new_pair(&site, who);
            pair.server.receive(0, &flight);
            let answer = pair.server.take_outbox();
            pair.server.receive(0, &answer);
            assert_nothing_accepted(&pair, "the server's answer");
        }
        // Also in the session, in which both directions have one format.
        let mut pair = log_in(
            &site,
            Who::Service(&site.robot),
            3,
            &mut countersign_testkit::wire::Honest,
        );
        pair.client.send_operation(&operation(1, 10));
        let packet = pair.client.take_outbox();
        pair.client.receive(&packet);
        assert!(pair.client.closed().is_some() && pair.client.received().is_empty());
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
                    let mut differs = false;
                    let mut wire = Tampering::with(number, |flight: Vec<u8>| {
                        let mut mixed = commands(&flight);
                        mixed[at] = commands(&spliced)[at].clone();
                        let mixed = mixed.concat();
                        differs = mixed != flight;
                        Tampered::Changed(mixed)
                    });
                    let pair = log_in(&site, who, 2, &mut wire);
                    // OPTION-CHOICE, USERNAME, MAX-PACKET and the sealed identity are equal in both
                    // dialogs.
                    if differs {
                        refused(&pair, number, "a command");
                    }
                }
            }
        }
    }
}

fn refused(pair: &Pair<'_>, flight: usize, what: &str) {
    assert!(!pair.client.had_session(), "{what} of flight {flight}");
    let last = flight == 3;
    assert_eq!(
        pair.server.session_account().is_some(),
        last,
        "{what} of {flight}"
    );
    pair.assert_accepted_as_sent();
}

/// [SES-5] and [SES-17]: an honest login adds the service's shared secret to the site's static-key
/// cache. A replay of its first flight does not.
#[test]
fn a_replayed_handshake_adds_nothing_to_the_static_key_cache() {
    for option in [OPTIONS[0], OPTIONS[1]] {
        let site = site(option);
        let flights = recorded(&site, Who::Service(&site.robot), 1);
        assert_eq!(site.settings.static_keys.len(), 1);

        let restarted = crate::dialog::site(option);
        let mut pair = new_pair(&restarted, Who::Service(&restarted.robot));
        pair.server.receive(0, &flights[0].bytes);
        assert!(!pair.server.take_outbox().is_empty(), "the site replies");
        assert_eq!(restarted.settings.static_keys.len(), 0);
    }
}
