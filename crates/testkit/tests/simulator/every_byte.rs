//! Connections that are lost after any byte of any dialog, without other faults.

use countersign_proto::session::client::{ClientSettings, Resumption};
use countersign_proto::session::{EncryptionOption, OptionList};
use countersign_testkit::pair::{Pair, Who};
use countersign_testkit::simulator::{Action, Choices, Simulator};
use countersign_testkit::site::Site;
use countersign_testkit::wire::{Direction, Honest};

use crate::dialog::site;

/// The number of flights of a dialog, and the index of the client's last one. The server has a
/// session after that one, the client after the last flight.
#[derive(Clone, Copy)]
struct Expected {
    flights: usize,
    last_of_client: usize,
}

const LOGIN: Expected = Expected {
    flights: 4,
    last_of_client: 2,
};
const RESUMPTION: Expected = Expected {
    flights: 2,
    last_of_client: 0,
};

impl Expected {
    /// The same dialog after a request for the list of options.
    const fn after_options_request(self) -> Self {
        Self {
            flights: self.flights + 2,
            last_of_client: self.last_of_client + 2,
        }
    }
}

/// Delivers byte by byte, and asserts after each which ends would have a session if the connection
/// were lost there.
fn drip(site: &Site, settings: ClientSettings, who: Who<'_>, expected: Expected) {
    let mut pair = Pair::new(site, settings, who, 1);
    let mut flight = 0;
    while !(pair.client.is_live() && pair.server.is_live()) {
        let (direction, bytes) = match flight % 2 {
            0 => (Direction::ToServer, pair.client.take_outbox()),
            _ => (Direction::ToClient, pair.server.take_outbox()),
        };
        assert!(!bytes.is_empty(), "stuck before flight {flight}");
        for (at, byte) in bytes.iter().enumerate() {
            match direction {
                Direction::ToServer => pair.server.receive(0, &[*byte]),
                Direction::ToClient => pair.client.receive(&[*byte]),
            }
            let whole = at + 1 == bytes.len();
            let context = format!("{} bytes of flight {flight}", at + 1);
            let server = (flight, whole) >= (expected.last_of_client, true);
            let client = (flight + 1, whole) == (expected.flights, true);
            assert_eq!(pair.server.session_account().is_some(), server, "{context}");
            assert_eq!(pair.client.had_session(), client, "{context}");
            let over = pair.client.closed().is_some() || pair.server.closed().is_some();
            assert!(!over, "{context}");
        }
        flight += 1;
    }
    assert_eq!(flight, expected.flights);
}

/// The settings of a client with an outdated list of options.
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
fn a_connection_lost_at_any_byte_of_a_dialog_gives_an_unauthenticated_end_no_session() {
    for option in EncryptionOption::ALL {
        let site = site(option);
        let robot = Who::Service(&site.robot);
        for (who, expected) in [(Who::MARIA, LOGIN), (robot, LOGIN)] {
            drip(&site, site.client(), who, expected);
            drip(&site, stale(&site), who, expected.after_options_request());
        }
        let session = session_of(&site);
        drip(&site, site.client(), Who::Resuming(&session), RESUMPTION);
        let session = session_of(&site);
        drip(
            &site,
            stale(&site),
            Who::Resuming(&session),
            RESUMPTION.after_options_request(),
        );
    }
}

/// [SES-48]: the client can resume the session again, however much of the first attempt arrived.
#[test]
fn a_resumption_that_is_lost_at_any_byte_can_be_repeated() {
    let site = site(EncryptionOption::X25519Aes256Gcm);
    let mut session = session_of(&site);
    for flight in 0..2 {
        for at in 0.. {
            session.count_attempt();
            let mut lost = Pair::new(&site, site.client(), Who::Resuming(&session), 3);
            let mut flight_bytes = lost.client.take_outbox();
            if flight == 1 {
                lost.server.receive(0, &flight_bytes);
                flight_bytes = lost.server.take_outbox();
            }
            if at > flight_bytes.len() {
                break;
            }
            match flight {
                0 => lost.server.receive(0, &flight_bytes[..at]),
                _ => lost.client.receive(&flight_bytes[..at]),
            }
            session.count_attempt();
            let mut again = Pair::new(&site, site.client(), Who::Resuming(&session), 4);
            again.run(&mut Honest);
            let both = again.client.is_live() && again.server.is_live();
            assert!(both, "lost at byte {at} of flight {flight}");
        }
    }
}

/// Sends messages, content and new keys in both directions, and delivers at most `max` bytes.
fn talk(simulator: &mut Simulator<'_>, max: usize) -> usize {
    let actions = [
        Action::SendOperation,
        Action::SendOperationWithContent,
        Action::SendContent,
        Action::OfferKeys,
        Action::SendEventOrNop,
    ];
    for action in actions
        .into_iter()
        .chain([Action::EndContent, Action::RequestOptions])
    {
        simulator.perform(action);
    }
    let mut arrived = 0;
    loop {
        let before = arrived;
        for direction in [Direction::ToServer, Direction::ToClient] {
            arrived += simulator.deliver(direction, max - arrived).unwrap();
        }
        if arrived == before {
            return arrived;
        }
    }
}

/// [SES-28] and [SES-48]: the client resumes the session, no message arrives twice, and both ends
/// make progress.
#[test]
fn a_session_lost_at_any_byte_continues_after_its_resumption() {
    for option in EncryptionOption::ALL {
        let site = site(option);
        let whole = talk(
            &mut Simulator::new(&site, Choices::written(&[])),
            usize::MAX,
        );
        // With ML-KEM, most bytes are key shares.
        let step = if option.hybrid() { 3 } else { 1 };
        for at in (0..=whole).step_by(step) {
            let mut simulator = Simulator::new(&site, Choices::written(&[]));
            assert_eq!(talk(&mut simulator, at), at);
            simulator.perform(Action::LoseConnection);
            talk(&mut simulator, usize::MAX);
            simulator.settle();
        }
    }
}
