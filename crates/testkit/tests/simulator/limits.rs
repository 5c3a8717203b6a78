//! The limits of the session protocol. A malicious member reaches each limit, and exceeds it by
//! one.

use countersign_crypto::hash::sha256;
use countersign_proto::risp::{Command, Value};
use countersign_proto::session::limits::{
    COMMANDS_IN_PACKET, CONTENT_WINDOW, DEFAULT_MESSAGE_BYTES, KEY_SHARE_BYTES, MIN_PIECE_COST,
    PARTIAL_MESSAGES, UNAUTHENTICATED_ANSWER_BYTES,
};
use countersign_proto::session::{EncryptionOption, OptionList, SessionRefusal, command as c};
use countersign_testkit::entropy::SeededEntropy;
use countersign_testkit::malicious_member::{MaliciousMember, put};
use countersign_testkit::pair::{
    Client, ClientClosed, Pair, SESSION_LIFETIME, Server, ServerClosed, Who,
};
use countersign_testkit::site::Site;

const OPTION: EncryptionOption = EncryptionOption::X25519Aes256Gcm;
/// A maximum packet size that leaves room for every test.
const MAX_PACKET: u32 = 1 << 20;

fn site() -> Site {
    Site::offering(OptionList::new([OPTION]), MAX_PACKET)
}

/// The number of messages that the server receives in these packets of a session.
fn at_server(packets: &[Vec<u8>]) -> Result<usize, SessionRefusal> {
    let site = site();
    let mut server = Server::new(&site, SeededEntropy::new(1), SESSION_LIFETIME);
    let mut malicious_member = MaliciousMember::service(&site, &mut server);
    server.receive(0, &malicious_member.seal(&[0x70, 0x00]));
    for packet in packets {
        server.receive(0, &malicious_member.seal(packet));
    }
    match server.closed() {
        None => Ok(server.received().len()),
        Some(ServerClosed::Refused(refusal)) => Err(refusal.clone()),
        Some(closed) => panic!("{closed:?}"),
    }
}

/// The number of messages that the client receives in these packets of a session.
fn at_client(packets: &[Vec<u8>]) -> Result<usize, SessionRefusal> {
    let site = site();
    let mut settings = site.client();
    settings.max_packet = MAX_PACKET;
    let who = Who::Service(&site.robot);
    let mut client = Client::new(settings, who, SeededEntropy::new(1));
    let mut malicious_member = MaliciousMember::site(&site, &mut client);
    let mut welcome = Vec::new();
    put(&mut welcome, c::SESSION_ID, Value::Bytes(&[1; 16]));
    put(&mut welcome, c::EXPIRES, Value::U64(SESSION_LIFETIME));
    put(&mut welcome, c::USERNAME, Value::Bytes(b"robot@x"));
    client.receive(&malicious_member.seal(&welcome));
    for packet in packets {
        client.receive(&malicious_member.seal(packet));
    }
    match client.closed() {
        None => Ok(client.received().len()),
        Some(ClientClosed::Aborted(refusal)) => Err(refusal.clone()),
        Some(closed) => panic!("{closed:?}"),
    }
}

/// The wire form of several commands.
fn commands_of(commands: &[(Command, Value<'_>)]) -> Vec<u8> {
    let mut wire = Vec::new();
    for (command, value) in commands {
        put(&mut wire, *command, *value);
    }
    wire
}

/// The refusal of a message for this reason.
fn refused(why: &'static str) -> Result<usize, SessionRefusal> {
    Err(SessionRefusal::BadMessage(why))
}

/// [SES-3]: tries many total lengths of replies. The longest reply that is sent has the length of
/// the limit, and the shortest that is refused has one byte more.
#[test]
fn an_unauthenticated_client_gets_replies_up_to_the_limit_and_not_a_byte_more() {
    let (mut sent, mut refused) = (Vec::new(), Vec::new());
    let asked = c::OPTIONS_REQUEST.0.to_be_bytes();
    for count in 1..=EncryptionOption::ALL.len() {
        for first in 0..EncryptionOption::ALL.len() {
            let mut options = EncryptionOption::ALL.to_vec();
            options.rotate_left(first);
            options.truncate(count);
            let site = Site::offering(OptionList::new(options), 65_536);
            let flight = Pair::new(&site, site.client(), Who::MARIA, 1)
                .client
                .take_outbox();
            // Key events are a part of the answer that depends on the site. Without a request for
            // them the lengths below reach the limit exactly.
            let (choice, rest) = flight.split_at(13);
            let flight = [choice, &rest[10..]].concat();
            let answer_to = |questions: usize, login: &[u8]| {
                let mut server = Server::new(&site, SeededEntropy::new(1), SESSION_LIFETIME);
                server.receive(0, &[&asked.repeat(questions), login].concat());
                (server.take_outbox().len(), server.closed().cloned())
            };
            let (question, login) = (answer_to(1, &[]).0, answer_to(0, &flight).0);
            let fit = (UNAUTHENTICATED_ANSWER_BYTES - login) / question;
            let whole = question * fit + login;
            assert_eq!(answer_to(fit, &flight), (whole, None));
            sent.push(whole);
            let too_much = Some(ServerClosed::Refused(
                SessionRefusal::TooManyUnauthenticated,
            ));
            // The replies to the requests, and ERROR.
            let replied = question * (fit + 1) + 3;
            assert_eq!(answer_to(fit + 1, &flight), (replied, too_much));
            refused.push(whole + question);
        }
    }
    assert_eq!(sent.iter().max(), Some(&UNAUTHENTICATED_ANSWER_BYTES));
    assert_eq!(
        refused.iter().min(),
        Some(&(UNAUTHENTICATED_ANSWER_BYTES + 1))
    );
}

/// [SES-25]
#[test]
fn as_many_messages_as_the_limit_may_be_incomplete() {
    let begun = |count: usize| {
        let ids = 0..count as u64;
        let begun: Vec<_> = ids.map(|id| (c::MESSAGE_ID, Value::U64(id))).collect();
        [commands_of(&begun)]
    };
    assert_eq!(at_server(&begun(PARTIAL_MESSAGES)), Ok(0));
    assert_eq!(at_client(&begun(PARTIAL_MESSAGES)), Ok(0));
    let over = begun(PARTIAL_MESSAGES + 1);
    let why = "too many half received messages";
    assert_eq!(at_server(&over), refused(why));
    assert_eq!(at_client(&over), refused(why));
}

#[test]
fn a_packet_may_have_as_many_commands_as_the_limit() {
    let nops = |count: usize| [[0x70, 0x00].repeat(count)];
    assert_eq!(at_server(&nops(COMMANDS_IN_PACKET)), Ok(0));
    assert_eq!(at_client(&nops(COMMANDS_IN_PACKET)), Ok(0));
    let over = nops(COMMANDS_IN_PACKET + 1);
    let why = "too many commands in a packet";
    assert_eq!(at_server(&over), refused(why));
    assert_eq!(at_client(&over), refused(why));
}

/// A share in two pieces without an end.
#[test]
fn the_pieces_of_a_key_share_may_have_the_length_of_the_limit_together() {
    let share = |bytes: usize| {
        [1_000, bytes - 1_000].map(|piece| {
            commands_of(&[
                (c::MESSAGE_ID, Value::U64(u64::MAX)),
                (c::KEY_SHARE, Value::Bytes(&vec![7; piece])),
            ])
        })
    };
    assert_eq!(at_server(&share(KEY_SHARE_BYTES)), Ok(0));
    assert_eq!(at_client(&share(KEY_SHARE_BYTES)), Ok(0));
    let over = share(KEY_SHARE_BYTES + 1);
    let why = "longer than a message may be";
    assert_eq!(at_server(&over), refused(why));
    assert_eq!(at_client(&over), refused(why));
}

/// An operation or a result, with pieces of content of these lengths.
fn with_content(head: &[(Command, Value<'_>)], pieces: &[usize]) -> Vec<Vec<u8>> {
    let mut packets = vec![commands_of(head)];
    for piece in pieces {
        packets.push(commands_of(&[
            (c::MESSAGE_ID, Value::U64(1)),
            (c::CONTENT, Value::Bytes(&vec![7; *piece])),
        ]));
    }
    packets
}

/// [SES-41]: with long pieces, and with short ones of the same total cost.
#[test]
fn a_receiver_accepts_as_much_content_as_it_granted_and_no_more() {
    let operation = [
        (c::MESSAGE_ID, Value::U64(1)),
        (c::GROUP, Value::Bytes(b"test")),
        (c::COMMAND, Value::Bytes(b"put")),
    ];
    let result = [(c::MESSAGE_ID, Value::U64(1)), (c::CODE, Value::U16(0))];
    let half = usize::try_from(CONTENT_WINDOW / 2).unwrap();
    let shorts = usize::try_from(CONTENT_WINDOW / MIN_PIECE_COST).unwrap();
    for granted in [vec![half; 2], vec![1; shorts]] {
        let over = [&granted[..], &[1]].concat();
        let why = "more content than was asked for";
        assert_eq!(
            at_server(&with_content(&operation, &granted)),
            Ok(1 + granted.len())
        );
        assert_eq!(at_server(&with_content(&operation, &over)), refused(why));
        assert_eq!(
            at_client(&with_content(&result, &granted)),
            Ok(1 + granted.len())
        );
        assert_eq!(at_client(&with_content(&result, &over)), refused(why));
    }
}

/// Messages with one body each of these lengths, in several packets. All messages are incomplete
/// before the first ends.
fn halves(head: &[(Command, Value<'_>)], command: Command, lengths: &[usize]) -> Vec<Vec<u8>> {
    let bodies: Vec<Vec<u8>> = lengths
        .iter()
        .map(|length| [&b"\""[..], &vec![b'x'; length - 2], b"\""].concat())
        .collect();
    let mut packets = Vec::new();
    let mut ends = Vec::new();
    for (id, body) in (1..).zip(&bodies) {
        let id = (c::MESSAGE_ID, Value::U64(id));
        let mut pieces = body.chunks(1 << 19);
        let first = pieces.next().unwrap();
        packets.push(commands_of(
            &[&[id], head, &[(command, Value::Bytes(first))]].concat(),
        ));
        packets.extend(pieces.map(|piece| commands_of(&[id, (command, Value::Bytes(piece))])));
        let digest = sha256(body);
        let verification = (c::VERIFICATION_SHA256, Value::Bytes(&digest[..]));
        ends.push(commands_of(&[id, verification, (c::END, Value::Nothing)]));
    }
    packets.extend(ends);
    packets
}

/// [SES-25]: for one message, and for two incomplete messages together.
#[test]
fn bodies_are_buffered_up_to_the_limit_and_not_a_byte_more() {
    let operation = [
        (c::GROUP, Value::Bytes(b"test")),
        (c::COMMAND, Value::Bytes(b"echo")),
    ];
    let result = [(c::CODE, Value::U16(0))];
    let why = "longer than a message may be";
    let max = DEFAULT_MESSAGE_BYTES;
    for lengths in [vec![max], vec![max - 1_000, 1_000]] {
        let mut over = lengths.clone();
        *over.last_mut().unwrap() += 1;
        assert_eq!(
            at_server(&halves(&operation, c::PARAMS, &lengths)),
            Ok(lengths.len())
        );
        assert_eq!(
            at_server(&halves(&operation, c::PARAMS, &over)),
            refused(why)
        );
        assert_eq!(
            at_client(&halves(&result, c::DATA, &lengths)),
            Ok(lengths.len())
        );
        assert_eq!(at_client(&halves(&result, c::DATA, &over)), refused(why));
    }
}
