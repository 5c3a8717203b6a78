//! A session is recorded, and played again: each end alone, with what was recorded of the other.

use countersign_proto::session::ResumptionSecret;
use countersign_proto::session::client::Resumption;

use super::form::{Connection, Flight, Hex, Inputs, Party, Said, SessionFile};
use super::machines::{ClientEnd, End, ServerEnd};
use super::page;
use super::tape::Tape;
use crate::entropy::SeededEntropy;

/// What programs say on a connection once the session is open, each turn in a flight of its own.
pub type Turns = Vec<(Party, Vec<Said>)>;

/// Records connections, each with its option and its turns: the first logs in, the others resume its session.
#[must_use]
pub fn record(purpose: &str, page: &str, inputs: Inputs, plan: &[(&str, Turns)]) -> SessionFile {
    let mut connections = Vec::new();
    let mut known: (Option<Resumption>, Option<ResumptionSecret>) = (None, None);
    let mut secret = None;
    for (at, (option, turns)) in plan.iter().enumerate() {
        let seed = SeededEntropy::new(0).fork(&format!("{purpose} {option} {at}"));
        let tape = |party: &str| Tape::record(seed.fork(party));
        let (client, server) = known;
        let client = ClientEnd::new(&inputs, option, client, tape("client"));
        let server = ServerEnd::new(&inputs, server, tape("server"));
        let (mut connection, client, server) = run(option, client, server, turns);
        let live = client.logged_in().unwrap();
        known = (Some(live.resumption.clone()), server.resumption());
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
        says.iter().for_each(|said| end.say(said));
        let bytes = end.send();
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

/// Carries what the machines say by themselves, until both are silent.
fn settle(client: &mut ClientEnd, server: &mut ServerEnd<'_>, flights: &mut Vec<Flight>) {
    loop {
        let before = flights.len();
        for from in [Party::Client, Party::Server] {
            let bytes = match from {
                Party::Client => client.send(),
                Party::Server => server.send(),
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
    flights: &mut Vec<Flight>,
    from: Party,
    says: &[Said],
    bytes: Vec<u8>,
) {
    let to: &mut dyn End = match from {
        Party::Client => server,
        Party::Server => client,
    };
    to.receive(&bytes);
    assert_eq!(to.heard(), as_heard(says));
    flights.push(Flight {
        from,
        says: says.to_vec(),
        bytes: Hex(bytes),
        parts: Vec::new(),
    });
}

/// What the other end hears of it: an offer of keys does not tell its option before it is answered.
fn as_heard(says: &[Said]) -> Vec<Said> {
    let heard = says.iter().map(|said| match said {
        Said::OfferKeys(_) => Said::OfferKeys(String::new()),
        said => said.clone(),
    });
    heard.collect()
}

/// Plays one end of every connection of a file alone. It is fed what was recorded of the other, has to hear what
/// that said, and has to send what was recorded of itself, byte for byte.
pub fn replay(file: &SessionFile, party: Party) {
    let mut known: (Option<Resumption>, Option<ResumptionSecret>) = (None, None);
    for connection in &file.connections {
        let tape = Tape::replay(connection.entropy(party));
        match party {
            Party::Client => {
                let resumption = known.0.take();
                let mut end = ClientEnd::new(&file.inputs, &connection.option, resumption, tape);
                follow(&mut end, connection, party, &file.purpose);
                let live = end.logged_in().unwrap();
                let welcome = &file.inputs.welcome;
                assert_eq!(live.welcome.session.0[..], welcome.session.0);
                assert_eq!(live.welcome.account, welcome.account);
                assert_eq!(live.welcome.expires, welcome.expires);
                assert_eq!(live.welcome.idle_limit, welcome.idle_limit);
                known.0 = Some(live.resumption.clone());
            }
            Party::Server => {
                let mut end = ServerEnd::new(&file.inputs, known.1.take(), tape);
                follow(&mut end, connection, party, &file.purpose);
                assert!(end.is_live());
                known.1 = end.resumption();
            }
        }
    }
}

fn follow(end: &mut dyn End, connection: &Connection, party: Party, purpose: &str) {
    for (at, flight) in connection.flights.iter().enumerate() {
        if flight.from == party {
            flight.says.iter().for_each(|said| end.say(said));
            assert_eq!(Hex(end.send()), flight.bytes, "flight {at}: {purpose}");
        } else {
            end.receive(&flight.bytes.0);
            assert_eq!(
                end.heard(),
                as_heard(&flight.says),
                "flight {at}: {purpose}"
            );
        }
    }
    assert!(end.tape().is_used_up());
}
