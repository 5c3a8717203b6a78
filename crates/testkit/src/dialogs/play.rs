//! Records sessions, and replays each end alone against the recorded flights of the other.

use countersign_proto::session::ResumptionSecret;
use countersign_proto::session::client::Resumption;

use super::ends::{ClientEnd, End, ServerEnd};
use super::form::{Connection, Hex, Inputs, Party, RecordedFlight, SessionFile, SessionMessage};
use super::page;
use super::tape::Tape;
use crate::entropy::SeededEntropy;

/// The messages of both applications after the login. Each turn is one flight.
pub type Turns = Vec<(Party, Vec<SessionMessage>)>;

/// Records connections, each with its option and its turns. The first one logs in; the others
/// resume its session.
#[must_use]
pub fn record(purpose: &str, page: &str, inputs: Inputs, plan: &[(&str, Turns)]) -> SessionFile {
    let mut connections = Vec::new();
    let mut resumptions: (Option<Resumption>, Option<ResumptionSecret>) = (None, None);
    let mut secret = None;
    for (at, (option, turns)) in plan.iter().enumerate() {
        let seed = SeededEntropy::new(0).fork(&format!("{purpose} {option} {at}"));
        let tape = |party: &str| Tape::record(seed.fork(party));
        let (client, server) = resumptions;
        let client = ClientEnd::new(&inputs, option, client, tape("client"));
        let server = ServerEnd::new(&inputs, server, tape("server"));
        let (mut connection, client, server) = run(option, client, server, turns);
        let live = client.logged_in().unwrap();
        resumptions = (Some(live.resumption.clone()), server.resumption());
        secret = Some(page::explain(&inputs, &mut connection, secret));
        connections.push(connection);
    }
    SessionFile {
        purpose: purpose.to_owned(),
        page: page.to_owned(),
        inputs,
        connections,
    }
}

fn run<'a>(
    option: &str,
    mut client: ClientEnd,
    mut server: ServerEnd<'a>,
    turns: &Turns,
) -> (Connection, ClientEnd, ServerEnd<'a>) {
    let mut flights = Vec::new();
    settle(&mut client, &mut server, &mut flights);
    assert!(client.logged_in().is_some() && server.is_live());
    for (from, says) in turns {
        let end: &mut dyn End = match from {
            Party::Client => &mut client,
            Party::Server => &mut server,
        };
        says.iter().for_each(|message| end.send_message(message));
        let bytes = end.take_output();
        assert!(!bytes.is_empty());
        carry(&mut client, &mut server, &mut flights, *from, says, bytes);
        settle(&mut client, &mut server, &mut flights);
    }
    let connection = Connection {
        option: option.to_owned(),
        client_entropy: client.tape().drawn().to_vec(),
        server_entropy: server.tape().drawn().to_vec(),
        flights,
        derived: Vec::new(),
    };
    (connection, client, server)
}

/// Carries what the state machines send by themselves, until neither sends any more.
fn settle(client: &mut ClientEnd, server: &mut ServerEnd<'_>, flights: &mut Vec<RecordedFlight>) {
    loop {
        let before = flights.len();
        for from in [Party::Client, Party::Server] {
            let bytes = match from {
                Party::Client => client.take_output(),
                Party::Server => server.take_output(),
            };
            if !bytes.is_empty() {
                carry(client, server, flights, from, &[], bytes);
            }
        }
        if flights.len() == before {
            return;
        }
    }
}

fn carry(
    client: &mut ClientEnd,
    server: &mut ServerEnd<'_>,
    flights: &mut Vec<RecordedFlight>,
    from: Party,
    says: &[SessionMessage],
    bytes: Vec<u8>,
) {
    let to: &mut dyn End = match from {
        Party::Client => server,
        Party::Server => client,
    };
    to.receive(&bytes);
    assert_eq!(to.received(), as_received(says));
    flights.push(RecordedFlight {
        from,
        says: says.to_vec(),
        bytes: Hex(bytes),
        parts: Vec::new(),
    });
}

/// The messages as their receiver sees them. An offer of keys has no visible option until it is
/// answered.
fn as_received(says: &[SessionMessage]) -> Vec<SessionMessage> {
    let received = says.iter().map(|message| match message {
        SessionMessage::OfferKeys(_) => SessionMessage::OfferKeys(String::new()),
        message => message.clone(),
    });
    received.collect()
}

/// Replays one end of every connection of a file. It gets the recorded flights of the other end.
/// Asserts that it receives the recorded messages, and that it sends its own recorded flights byte
/// for byte.
pub fn replay(file: &SessionFile, party: Party) {
    let mut resumptions: (Option<Resumption>, Option<ResumptionSecret>) = (None, None);
    for connection in &file.connections {
        let tape = Tape::replay(connection.entropy(party));
        match party {
            Party::Client => {
                let resumption = resumptions.0.take();
                let mut end = ClientEnd::new(&file.inputs, &connection.option, resumption, tape);
                follow(&mut end, connection, party, &file.purpose);
                let live = end.logged_in().unwrap();
                let welcome = &file.inputs.welcome;
                assert_eq!(live.welcome.session.0[..], welcome.session.0);
                assert_eq!(live.welcome.account, welcome.account);
                assert_eq!(live.welcome.expires, welcome.expires);
                assert_eq!(live.welcome.idle_limit, welcome.idle_limit);
                resumptions.0 = Some(live.resumption.clone());
            }
            Party::Server => {
                let mut end = ServerEnd::new(&file.inputs, resumptions.1.take(), tape);
                follow(&mut end, connection, party, &file.purpose);
                assert!(end.is_live());
                resumptions.1 = end.resumption();
            }
        }
    }
}

fn follow(end: &mut dyn End, connection: &Connection, party: Party, purpose: &str) {
    for (at, flight) in connection.flights.iter().enumerate() {
        if flight.from == party {
            flight
                .says
                .iter()
                .for_each(|message| end.send_message(message));
            assert_eq!(
                Hex(end.take_output()),
                flight.bytes,
                "flight {at}: {purpose}"
            );
        } else {
            end.receive(&flight.bytes.0);
            assert_eq!(
                end.received(),
                as_received(&flight.says),
                "flight {at}: {purpose}"
            );
        }
    }
    assert!(end.tape().is_used_up());
}
