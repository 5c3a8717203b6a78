//! The limits of the session protocol, each at the limit and one over, against whoever knows how to come
//! there.

use countersign_crypto::hash::sha256;
use countersign_proto::risp::{Command, Value};
use countersign_proto::session::limits::{
    COMMANDS_IN_PACKET, CONTENT_WINDOW, DEFAULT_MESSAGE_BYTES, KEY_SHARE_BYTES, MIN_PIECE_COST,
    PARTIAL_MESSAGES, UNAUTHENTICATED_ANSWER_BYTES,
};
use countersign_proto::session::{EncryptionOption, OptionList, SessionRefusal, command as c};
use countersign_testkit::entropy::SeededEntropy;
use countersign_testkit::malicious_member::{MaliciousMember, put};
use countersign_testkit::pair::{Client, ClientOver, LIFE, Pair, Server, ServerOver, Who};
use countersign_testkit::site::Site;

const OPTION: EncryptionOption = EncryptionOption::X25519Aes256Gcm;
/// Packets that hold whatever is to be tried.
const MAX_PACKET: u32 = 1 << 20;

fn site() -> Site {
    Site::offering(OptionList::new([OPTION]), MAX_PACKET)
}

/// How much the server hears in these packets inside a session.
fn at_server(packets: &[Vec<u8>]) -> Result<usize, SessionRefusal> {
    let site = site();
    let mut server = Server::new(&site, SeededEntropy::new(1), LIFE);
    let mut malicious_member = MaliciousMember::service(&site, &mut server);
    server.receive(0, &malicious_member.seal(&[0x70, 0x00]));
    for packet in packets {
        server.receive(0, &malicious_member.seal(packet));
    }
    match server.over() {
        None => Ok(server.heard().len()),
        Some(ServerOver::Refused(refusal)) => Err(refusal.clone()),
        Some(over) => panic!("{over:?}"),
    }
}

/// How much a client hears in these packets inside a session.
fn at_client(packets: &[Vec<u8>]) -> Result<usize, SessionRefusal> {
    let site = site();
    let mut settings = site.client();
    settings.max_packet = MAX_PACKET;
    let who = Who::Service(&site.robot);
    let mut client = Client::new(settings, who, SeededEntropy::new(1));
    let mut malicious_member = MaliciousMember::site(&site, &mut client);
    let mut welcome = Vec::new();
    put(&mut welcome, c::SESSION_ID, Value::Bytes(&[1; 16]));
    put(&mut welcome, c::EXPIRES, Value::U64(LIFE));
    put(&mut welcome, c::USERNAME, Value::Bytes(b"robot@x"));
    client.receive(&malicious_member.seal(&welcome));
    for packet in packets {
        client.receive(&malicious_member.seal(packet));
    }
    match client.over() {
        None => Ok(client.heard().len()),
        Some(ClientOver::Broken(refusal)) => Err(refusal.clone()),
        Some(over) => panic!("{over:?}"),
    }
}

/// Commands one after the other.
fn said(commands: &[(Command, Value<'_>)]) -> Vec<u8> {
    let mut wire = Vec::new();
    for (command, value) in commands {
        put(&mut wire, *command, *value);
    }
    wire
}

/// What each end refuses to read of a message.
fn refused(why: &'static str) -> Result<usize, SessionRefusal> {
    Err(SessionRefusal::BadMessage(why))
}

/// [SES-3]: of the lengths that the answers to questions and to a login can come to together, the longest that
/// is sent is the limit itself, and the shortest that is not one byte more.
#[test]
fn an_unproved_client_is_sent_as_much_as_the_limit_and_not_a_byte_more() {
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
            let answer_to = |questions: usize, login: &[u8]| {
                let mut server = Server::new(&site, SeededEntropy::new(1), LIFE);
                server.receive(0, &[&asked.repeat(questions), login].concat());
                (server.take_outbox().len(), server.over().cloned())
            };
            let (question, login) = (answer_to(1, &[]).0, answer_to(0, &flight).0);
            let fit = (UNAUTHENTICATED_ANSWER_BYTES - login) / question;
            let whole = question * fit + login;
            assert_eq!(answer_to(fit, &flight), (whole, None));
            sent.push(whole);
            let too_much = Some(ServerOver::Refused(SessionRefusal::TooManyUnauthenticated));
            // The answers to the questions, and ERROR.
            let told = question * (fit + 1) + 3;
            assert_eq!(answer_to(fit + 1, &flight), (told, too_much));
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
fn as_many_messages_as_the_limit_may_be_half_received() {
    let begun = |count: usize| {
        let ids = 0..count as u64;
        let begun: Vec<_> = ids.map(|id| (c::MESSAGE_ID, Value::U64(id))).collect();
        [said(&begun)]
    };
    assert_eq!(at_server(&begun(PARTIAL_MESSAGES)), Ok(0));
    assert_eq!(at_client(&begun(PARTIAL_MESSAGES)), Ok(0));
    let over = begun(PARTIAL_MESSAGES + 1);
    let why = "too many half received messages";
    assert_eq!(at_server(&over), refused(why));
    assert_eq!(at_client(&over), refused(why));
}

#[test]
fn a_packet_holds_as_many_commands_as_the_limit() {
    let nops = |count: usize| [[0x70, 0x00].repeat(count)];
    assert_eq!(at_server(&nops(COMMANDS_IN_PACKET)), Ok(0));
    assert_eq!(at_client(&nops(COMMANDS_IN_PACKET)), Ok(0));
    let over = nops(COMMANDS_IN_PACKET + 1);
    let why = "too many commands in a packet";
    assert_eq!(at_server(&over), refused(why));
    assert_eq!(at_client(&over), refused(why));
}

/// A share that comes in pieces, and has not ended.
#[test]
fn a_key_share_is_as_long_as_the_limit_in_all_its_pieces() {
    let share = |bytes: usize| {
        [1_000, bytes - 1_000].map(|piece| {
            said(&[
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

/// An operation, or a result, with pieces of content of so many bytes each.
fn with_content(head: &[(Command, Value<'_>)], pieces: &[usize]) -> Vec<Vec<u8>> {
    let mut packets = vec![said(head)];
    for piece in pieces {
        packets.push(said(&[
            (c::MESSAGE_ID, Value::U64(1)),
            (c::CONTENT, Value::Bytes(&vec![7; *piece])),
        ]));
    }
    packets
}

/// [SES-41]: long pieces, and as many short ones as count for as much.
#[test]
fn a_reader_takes_as_much_content_as_it_granted_and_no_more() {
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

/// Messages of one body of so many bytes, cut over packets; each begins with the first half of all.
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
        packets.push(said(
            &[&[id], head, &[(command, Value::Bytes(first))]].concat(),
        ));
        packets.extend(pieces.map(|piece| said(&[id, (command, Value::Bytes(piece))])));
        let digest = sha256(body);
        let verification = (c::VERIFICATION_SHA256, Value::Bytes(&digest[..]));
        ends.push(said(&[id, verification, (c::END, Value::Nothing)]));
    }
    packets.extend(ends);
    packets
}

/// [SES-25]: one message, and two half received ones together.
#[test]
fn bodies_are_held_up_to_the_limit_and_not_a_byte_more() {
    let operation = [
        (c::GROUP, Value::Bytes(b"test")),
        (c::COMMAND, Value::Bytes(b"echo")),
    ];
    let result = [(c::CODE, Value::U16(0))];
    let why = "longer than a message may be";
    let most = DEFAULT_MESSAGE_BYTES;
    for lengths in [vec![most], vec![most - 1_000, 1_000]] {
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
