//! Sessions.

use countersign_proto::operation::{Code, Event, Operation, Outcome};
use countersign_proto::risp::{self, Command, Value};
use countersign_proto::session::client::FromSite;
use countersign_proto::session::server::{self, FromClient};
use countersign_proto::session::{Goodbye, SessionRefusal, command as c};
use serde_json::value::{RawValue, to_raw_value};

use crate::pair::{EXPIRES, Failed, Pair, Site, Who, log_in, log_in_through};

fn session(max_packet: u32) -> Pair {
    let site = Site::new();
    let mut settings = site.client();
    settings.max_packet = max_packet;
    log_in(&site, settings, Who::Service(&site.robot)).unwrap()
}

fn operation(id: u64, params: &impl serde::Serialize) -> Operation {
    Operation::new(id, "test", "echo", to_raw_value(params).unwrap())
}

fn at_server(pair: &mut Pair, wire: &mut [u8]) -> Result<Vec<FromClient>, SessionRefusal> {
    let mut got = Vec::new();
    let used = pair.server.receive(0, wire, &mut got)?;
    assert_eq!(used, wire.len());
    Ok(got)
}

fn sent_by_client(pair: &mut Pair, operations: &[Operation]) -> Vec<u8> {
    let mut wire = Vec::new();
    for operation in operations {
        pair.client.session.send_operation(operation).unwrap();
    }
    pair.client.session.flush(&mut wire).unwrap();
    wire
}

/// [SES-23], [SES-24] and [SES-10]
#[test]
fn messages_arrive_complete_with_any_packet_limit() {
    let long = "x".repeat(100_000);
    for max_packet in [256, 257, 300, 1_000, 65_536] {
        let mut pair = session(max_packet);
        let sent = [
            operation(1, &"short"),
            operation(2, &long),
            operation(3, &"after"),
        ];
        let mut wire = sent_by_client(&mut pair, &sent);
        for packet in packets(&wire) {
            assert!(packet <= max_packet as usize);
        }
        let got = at_server(&mut pair, &mut wire).unwrap();
        assert_eq!(got.len(), sent.len());
        for operation in sent {
            // The long message is interleaved with the others, which may overtake it.
            assert!(got.contains(&FromClient::Operation(operation)));
        }
    }
}

/// The length of each WRAPPED value.
fn packets(mut wire: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let Some(length) = wire.get(2..6) {
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        lengths.push(length);
        wire = &wire[6 + length..];
    }
    lengths
}

/// [SES-26] and [SES-28]
#[test]
fn results_come_in_any_order_and_events_in_between() {
    let mut pair = session(65_536);
    let outcome = |id, output: &str| Outcome {
        id,
        code: Code::SUCCESS,
        data: to_raw_value(&id).unwrap(),
        output: output.to_owned(),
    };
    let event = Event {
        group: "session".to_owned(),
        event: "expiring".to_owned(),
        data: RawValue::from_string("{}".to_owned()).unwrap(),
    };
    pair.server.send_outcome(&outcome(2, "two")).unwrap();
    pair.server.send_event(&event).unwrap();
    pair.server.send_outcome(&outcome(1, "")).unwrap();
    pair.server.send_goodbye(Goodbye::Cut).unwrap();
    let (mut wire, mut got) = (Vec::new(), Vec::new());
    pair.server.flush(&mut wire).unwrap();
    assert_eq!(
        packets(&wire).len(),
        1,
        "what is ready together shares a packet"
    );
    pair.client.session.receive(&mut wire, &mut got).unwrap();
    let expected = [
        FromSite::Outcome(outcome(2, "two")),
        FromSite::Event(event),
        FromSite::Outcome(outcome(1, "")),
        FromSite::Goodbye(Goodbye::Cut),
    ];
    assert_eq!(got, expected);
}

/// [SES-19] and [SES-21]
#[test]
fn repeated_dropped_reordered_or_plaintext_packets_end_the_session() {
    type Meddle = fn(Vec<u8>, Vec<u8>) -> Vec<u8>;
    let meddlers: [(&str, Meddle); 4] = [
        ("repeated", |first, _| [first.clone(), first].concat()),
        ("dropped", |_, second| second),
        ("moved", |first, second| [second, first].concat()),
        ("bare", |_, _| vec![0x70, 0x00, 0x70, 0x00, 0x70, 0x00]),
    ];
    for (what, meddle) in meddlers {
        let mut pair = session(65_536);
        let first = sent_by_client(&mut pair, &[operation(1, &1)]);
        let second = sent_by_client(&mut pair, &[operation(2, &2)]);
        let mut wire = meddle(first, second);
        assert!(
            matches!(
                at_server(&mut pair, &mut wire),
                Err(SessionRefusal::BadPacket(_))
            ),
            "{what}"
        );
    }
}

/// [SES-27]
#[test]
fn an_operation_without_a_name_gets_a_result_and_the_session_continues() {
    let mut pair = session(65_536);
    let mut bad = operation(2, &2);
    bad.group = "No Name".to_owned();
    pair.client.session.send_operation(&bad).unwrap();
    pair.client
        .session
        .send_operation(&operation(3, &3))
        .unwrap();
    let mut wire = Vec::new();
    pair.client.session.flush(&mut wire).unwrap();
    let got = at_server(&mut pair, &mut wire).unwrap();
    assert!(matches!(
        got[..],
        [
            FromClient::BadOperation { id: 2, .. },
            FromClient::Operation(_)
        ]
    ));
}

/// [SES-25]
#[test]
fn a_message_at_the_limit_passes_and_one_over_it_ends_the_session() {
    for (length, passes) in [(998, true), (999, false)] {
        let mut pair = session(256);
        pair.server.set_max_params(1_000);
        // Two quotes make the string's JSON two bytes longer.
        let mut wire = sent_by_client(&mut pair, &[operation(1, &"x".repeat(length))]);
        assert_eq!(at_server(&mut pair, &mut wire).is_ok(), passes, "{length}");
    }
}

/// [SES-25] The received part of a message survives a change of the limit.
#[test]
fn a_new_message_limit_applies_to_partial_messages() {
    for (length, passes) in [(998, true), (999, false)] {
        let mut pair = session(256);
        let mut wire = sent_by_client(&mut pair, &[operation(1, &"x".repeat(length))]);
        let mut rest = wire.split_off(300);
        let used = pair.server.receive(0, &mut wire, &mut Vec::new()).unwrap();
        wire.drain(..used);
        wire.append(&mut rest);
        pair.server.set_max_params(1_000);
        let got = at_server(&mut pair, &mut wire);
        assert_eq!(got.is_ok(), passes, "{length}");
        assert!(!passes || matches!(got.unwrap()[..], [FromClient::Operation(_)]));
    }
}

/// [SES-29]
#[test]
fn an_expired_session_is_refused() {
    let mut pair = session(65_536);
    let mut wire = sent_by_client(&mut pair, &[operation(1, &1)]);
    let refused = pair
        .server
        .receive(EXPIRES, &mut wire.clone(), &mut Vec::new());
    assert_eq!(refused, Err(SessionRefusal::Expired));
    assert!(
        pair.server
            .receive(EXPIRES - 1, &mut wire, &mut Vec::new())
            .is_ok()
    );
}

fn clear(command: Command, value: Value<'_>) -> Vec<u8> {
    let mut wire = Vec::new();
    risp::put(&mut wire, command, value).unwrap();
    wire
}

/// [SES-2]
#[test]
fn the_ninth_unexpected_command_or_one_long_string_ends_the_connection() {
    let site = Site::new();
    let invalid = clear(Command(0xc123), Value::Nothing);
    let run = |mut wire: Vec<u8>| {
        let login = server::ServerLoginAttempt::new(site.settings.clone());
        site.advance(login, &mut wire, &mut Vec::new())
            .map(|_| ())
            .err()
    };
    assert_eq!(run(invalid.repeat(8)), None);
    assert_eq!(run(invalid.repeat(9)), Some(SessionRefusal::TooManyInvalid));
    assert_eq!(
        run(vec![0x9f, 0xff, 0x04, 0x00]),
        None,
        "1,024 bytes are allowed"
    );
    assert!(matches!(
        run(vec![0x9f, 0xff, 0x04, 0x01]),
        Some(SessionRefusal::Malformed(_))
    ));
}

/// [SES-3]
#[test]
fn an_unauthenticated_client_may_send_8_kib_and_receives_at_most_4_kib() {
    let site = Site::new();
    let mut login = Some(server::ServerLoginAttempt::new(site.settings.clone()));
    let mut sent = 0;
    let refusal = loop {
        let mut wire = clear(c::NOP, Value::Nothing).repeat(128);
        sent += wire.len();
        match site.advance(login.take().unwrap(), &mut wire, &mut Vec::new()) {
            Ok(crate::pair::Advanced::NeedMore(next)) => login = Some(next),
            Ok(_) => panic!("NOPs do not authenticate a client"),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(
        (refusal, sent),
        (SessionRefusal::TooManyUnauthenticated, 8_192 + 256)
    );

    let (mut out, mut wire) = (
        Vec::new(),
        clear(c::OPTIONS_REQUEST, Value::Nothing).repeat(4_000),
    );
    let login = server::ServerLoginAttempt::new(site.settings.clone());
    let refused = site.advance(login, &mut wire, &mut out).map(|_| ()).err();
    assert_eq!(refused, Some(SessionRefusal::TooManyUnauthenticated));
    assert!(out.len() <= 4_096);
}

/// [SES-10]
#[test]
fn a_client_rejects_a_packet_limit_above_its_own() {
    let site = Site::with(Default::default(), 65_536);
    let mut settings = site.client();
    settings.max_packet = 1_000;
    let who = Who::Person("maria", crate::pair::PASSPHRASE);
    let failed = log_in_through(&site, settings, who, &mut |from_client, bytes| {
        if from_client {
            // An attacker requests more in the client's name.
            let asked = clear(c::MAX_PACKET, Value::U32(1_000));
            let at = bytes.windows(6).position(|window| window == asked);
            if let Some(at) = at {
                bytes[at + 2..at + 6].copy_from_slice(&65_536u32.to_be_bytes());
            }
        }
    });
    assert!(matches!(failed, Err(Failed::Client(_))));
}
