//! Connections that are lost after every byte of every dialog, with nothing else wrong.

use countersign_proto::session::client::{ClientSettings, Resumption};
use countersign_proto::session::{EncryptionOption, OptionList};
use countersign_testkit::pair::{Pair, Who};
use countersign_testkit::simulator::{Action, Choices, Simulator};
use countersign_testkit::site::Site;
use countersign_testkit::wire::{Honest, Way};

use crate::dialog::site;

/// Flights of a dialog, and the last of the client's: with it the server has a session, with the last of
/// all the client.
#[derive(Clone, Copy)]
struct Expected {
    flights: usize,
    last_of_client: usize,
}

const LOGIN: Expected = Expected {
    flights: 4,
    last_of_client: 2,
};
const RETURN: Expected = Expected {
    flights: 2,
    last_of_client: 0,
};

impl Expected {
    /// The same after the question for the options.
    const fn asked_first(self) -> Self {
        Self {
            flights: self.flights + 2,
            last_of_client: self.last_of_client + 2,
        }
    }
}

/// Every byte comes alone. Were the connection lost after it, who would have a session?
fn drip(site: &Site, settings: ClientSettings, who: Who<'_>, expected: Expected) {
    let mut pair = Pair::new(site, settings, who, 1);
    let mut flight = 0;
    while !(pair.client.is_live() && pair.server.is_live()) {
        let (way, bytes) = match flight % 2 {
            0 => (Way::ToServer, pair.client.take_outbox()),
            _ => (Way::ToClient, pair.server.take_outbox()),
        };
        assert!(!bytes.is_empty(), "stuck before flight {flight}");
        for (at, byte) in bytes.iter().enumerate() {
            match way {
                Way::ToServer => pair.server.receive(0, &[*byte]),
                Way::ToClient => pair.client.receive(&[*byte]),
            }
            let whole = at + 1 == bytes.len();
            let context = format!("{} bytes of flight {flight}", at + 1);
            let server = (flight, whole) >= (expected.last_of_client, true);
            let client = (flight + 1, whole) == (expected.flights, true);
            assert_eq!(pair.server.opened().is_some(), server, "{context}");
            assert_eq!(pair.client.opened(), client, "{context}");
            let over = pair.client.over().is_some() || pair.server.over().is_some();
            assert!(!over, "{context}");
        }
        flight += 1;
    }
    assert_eq!(flight, expected.flights);
}

/// Settings of a client that knows another list than the site's.
fn stale(site: &Site) -> ClientSettings {
    let mut settings = site.client();
    settings.options = OptionList::new(EncryptionOption::ALL);
    settings
}

fn session_of(site: &Site) -> Resumption {
    let mut pair = Pair::new(site, site.client(), Who::Service(&site.robot), 2);
    pair.run(&mut Honest);
    pair.client.logged_in().unwrap().resumption.clone()
}

/// [SES-3], [SES-7], [SES-14], [SES-17] and [SES-48]
#[test]
fn a_connection_lost_at_any_byte_of_a_dialog_opens_a_session_for_nobody_who_is_not_proved() {
    for option in EncryptionOption::ALL {
        let site = site(option);
        let robot = Who::Service(&site.robot);
        for (who, expected) in [(Who::MARIA, LOGIN), (robot, LOGIN)] {
            drip(&site, site.client(), who, expected);
            drip(&site, stale(&site), who, expected.asked_first());
        }
        let session = session_of(&site);
        drip(&site, site.client(), Who::Returning(&session), RETURN);
        let session = session_of(&site);
        drip(
            &site,
            stale(&site),
            Who::Returning(&session),
            RETURN.asked_first(),
        );
    }
}

/// [SES-48]: whatever of it had arrived, the client returns once more.
#[test]
fn a_return_that_is_lost_at_any_byte_is_made_again() {
    let site = site(EncryptionOption::X25519Aes256Gcm);
    let mut session = session_of(&site);
    for flight in 0..2 {
        for at in 0.. {
            session.count_attempt();
            let mut lost = Pair::new(&site, site.client(), Who::Returning(&session), 3);
            let mut said = lost.client.take_outbox();
            if flight == 1 {
                lost.server.receive(0, &said);
                said = lost.server.take_outbox();
            }
            if at > said.len() {
                break;
            }
            match flight {
                0 => lost.server.receive(0, &said[..at]),
                _ => lost.client.receive(&said[..at]),
            }
            session.count_attempt();
            let mut again = Pair::new(&site, site.client(), Who::Returning(&session), 4);
            again.run(&mut Honest);
            let both = again.client.is_live() && again.server.is_live();
            assert!(both, "lost at byte {at} of flight {flight}");
        }
    }
}

/// What is said in the session that is lost: messages, content, new keys, from both sides.
fn talk(simulator: &mut Simulator<'_>, most: usize) -> usize {
    let says = [
        Action::Ask,
        Action::AskWithContent,
        Action::SendContent,
        Action::OfferKeys,
        Action::Tell,
    ];
    for act in says
        .into_iter()
        .chain([Action::EndContent, Action::AskForOptions])
    {
        simulator.act(act);
    }
    let mut arrived = 0;
    loop {
        let before = arrived;
        for way in [Way::ToServer, Way::ToClient] {
            arrived += simulator.deliver(way, most - arrived).unwrap();
        }
        if arrived == before {
            return arrived;
        }
    }
}

/// [SES-28] and [SES-48]: the client returns to it, nothing is heard twice, and nobody is stuck.
#[test]
fn a_live_session_lost_at_any_byte_goes_on_after_a_return() {
    for option in EncryptionOption::ALL {
        let site = site(option);
        let whole = talk(
            &mut Simulator::new(&site, Choices::written(&[])),
            usize::MAX,
        );
        // The key shares of ML-KEM are most of it.
        let step = if option.hybrid() { 3 } else { 1 };
        for at in (0..=whole).step_by(step) {
            let mut simulator = Simulator::new(&site, Choices::written(&[]));
            assert_eq!(talk(&mut simulator, at), at);
            simulator.act(Action::Lose);
            talk(&mut simulator, usize::MAX);
            simulator.settle();
        }
    }
}
