//! Peer sites: tickets in all their spellings, and the whole dialog between two sites.

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_proto::device::DeviceWelcome;
use countersign_proto::enrolment::{BadTicket, EnrolmentTicket, Exporter, Token};
use countersign_proto::peer::{
    AnswerStep, AwaitingAnswer, AwaitingFirst, FirstStep, JoinAnswer, JoinError, JoinRequest,
    Joining, MAX_PEER_EVENTS, PeerHello, PeerLine, PeerTicket, PeerWelcome,
};
use countersign_proto::site_identity::{
    KeyEventLog, KeyEventWalk, KeyEventsError, KeyEventsRequest, KnownSite, MAX_EVENTS_IN_LINE,
    SignedKeyEvent, WalkStep,
};
use proptest::prelude::*;

use super::EXPORTER;

pub(super) fn key(byte: u8) -> SiteKey {
    SiteKey::from_seed(SiteSeed(Secret::from_bytes([byte; 32])))
}

/// The first events of the site whose keys are `first`, `first + 1` and so on.
pub(super) fn events(first: u8, count: u8) -> Vec<SignedKeyEvent> {
    let mut events = vec![SignedKeyEvent::first(
        &key(first),
        &key(first + 1).public(),
        0,
    )];
    for byte in first + 1..first + count {
        let last = events[events.len() - 1];
        let next = key(byte + 1).public();
        events.push(last.replaced_by(&key(byte - 1), &key(byte), &next, 1, None));
    }
    events
}

pub(super) fn ticket() -> PeerTicket {
    let (token, id) = (Token::from_bytes([2; 16]), "ada@a.example".parse().unwrap());
    PeerTicket::new(
        "a.example",
        4750,
        token,
        1_800_000_000,
        key(10).public(),
        id,
    )
    .unwrap()
}

/// Site B has the keys from 20 on, site A those from 10 on.
pub(super) fn start(exporter: &Exporter) -> (AwaitingAnswer, Vec<u8>) {
    let id = "bob@b.example".parse().unwrap();
    let events = events(20, 2);
    let joining = Joining {
        id: &id,
        host: "b.example",
        port: 4751,
        events: &events,
    };
    let proven = key(10).public();
    AwaitingAnswer::start(
        &ticket(),
        proven,
        &joining,
        &key(21),
        exporter,
        &mut SystemEntropy,
    )
    .unwrap()
}

pub(super) fn request(line: &[u8]) -> JoinRequest {
    match AwaitingFirst::new().receive(line).unwrap() {
        FirstStep::Join(sealed) => sealed.open(key(10).agreement(), &EXPORTER).unwrap(),
        other => panic!("{other:?}"),
    }
}

// PEER-1
#[test]
fn a_peer_ticket_is_read_in_every_spelling() {
    let ticket = ticket();
    let (uri, qr) = (ticket.to_uri(), ticket.to_qr_uri());
    let json = ticket.to_json();
    assert!(uri.expose().starts_with("countersign://a.example:4750/p#"));
    assert!(qr.expose().starts_with("COUNTERSIGN://A.EXAMPLE:4750/P/"));
    for text in [
        uri.expose().to_owned(),
        uri.expose().to_ascii_lowercase(),
        format!("<{}>", uri.expose()),
        format!("\u{feff} {}\r\n", uri.expose()),
        qr.expose().to_owned(),
        json.expose().to_owned(),
    ] {
        assert_eq!(text.parse::<PeerTicket>(), Ok(ticket.clone()), "{text}");
    }
    let one = "countersign://a.example:4750/p#".len();
    let wrapped = [&uri.expose()[..one + 40], "\n  ", &uri.expose()[one + 40..]].concat();
    assert_eq!(wrapped.parse::<PeerTicket>(), Ok(ticket));
}

// PEER-1
#[test]
fn a_ticket_with_a_typing_error_or_of_another_kind_is_refused() {
    let uri = ticket().to_uri().expose().to_owned();
    let begin = uri.find('#').unwrap() + 1;
    for at in begin..uri.len() {
        let mut typed = uri.clone().into_bytes();
        typed[at] = if typed[at] == b'A' { b'B' } else { b'A' };
        let typed = String::from_utf8(typed).unwrap();
        assert_eq!(
            typed.parse::<PeerTicket>(),
            Err(BadTicket::TypingError),
            "{at}"
        );
    }
    assert!(uri.parse::<EnrolmentTicket>().is_err());
    let device = super::ticket();
    for text in [device.to_uri(), device.to_json()] {
        assert!(text.expose().parse::<PeerTicket>().is_err());
    }
    let json = ticket().to_json().expose().to_owned();
    for (from, to) in [
        ("\"peer\"", "\"device\""),
        ("4750", "0"),
        ("a.example\",\"port", "a b\",\"port"),
        ("ada@a.example", "ada"),
        ("1800000000", "-1"),
        ("{", "{\"more\":1,"),
    ] {
        let text = json.replacen(from, to, 1);
        assert_ne!(text, json);
        assert!(text.parse::<PeerTicket>().is_err(), "{text}");
    }
}

// PEER-4, PEER-6, PEER-7
#[test]
fn a_site_joins_another_one_and_each_knows_the_others_id() {
    let (waiting, line) = start(&EXPORTER);
    let request = request(&line);
    assert_eq!(request.token_hash(), ticket().token().hash());
    assert_eq!(request.id().to_string(), "bob@b.example");
    assert_eq!(request.address(), ("b.example", 4751));
    let proven = request.verify(&EXPORTER, &key(10).public()).unwrap();
    assert_eq!(*proven.site(), KnownSite::whole(&events(20, 2)).unwrap());
    assert_eq!(request.claimed_site(), proven.site().id());

    let answer = JoinAnswer {
        events: events(10, 1),
    };
    let line = answer.to_line();
    let mut waiting = waiting;
    for byte in line {
        match waiting.receive(&[byte]).unwrap() {
            AnswerStep::More(more) => waiting = more,
            AnswerStep::Joined(joined) => {
                assert_eq!(joined.known, KnownSite::whole(&events(10, 1)).unwrap());
                assert_eq!(joined.events, events(10, 1));
                return;
            }
        }
    }
    panic!("the answer was not complete");
}

// PEER-11
#[test]
fn an_answer_without_the_tickets_key_or_with_another_newest_key_is_refused() {
    let answered = |events: Vec<SignedKeyEvent>| {
        let (waiting, _) = start(&EXPORTER);
        waiting.receive(&JoinAnswer { events }.to_line())
    };
    assert!(matches!(
        answered(events(30, 1)),
        Err(JoinError::Events(KeyEventsError::UnknownPin))
    ));
    assert!(matches!(
        answered(events(10, 2)),
        Err(JoinError::AnotherKey)
    ));
    assert!(matches!(answered(Vec::new()), Err(JoinError::Events(_))));
    let (waiting, _) = start(&EXPORTER);
    let refused = waiting.receive(b"{\"ok\":false,\"events\":[]}\n");
    assert!(matches!(refused, Err(JoinError::Answer(_))));
    let (waiting, _) = start(&EXPORTER);
    assert!(matches!(waiting.closed(), JoinError::Refused));
    let (waiting, _) = start(&EXPORTER);
    let Ok(AnswerStep::More(waiting)) = waiting.receive(b"{\"ok\":") else {
        panic!("the line has no end");
    };
    assert!(matches!(waiting.closed(), JoinError::Broken));
}

// PEER-14
#[test]
fn a_site_that_slept_through_many_keys_walks_to_the_newest_one_page_by_page() {
    let all = events(1, 120);
    let log = KeyEventLog::new(&all).unwrap();
    let known = KnownSite::whole(&all[..3]).unwrap();
    let mut walk = KeyEventWalk::from_known(known);
    let mut pages = 0;
    let newest = loop {
        let line = KeyEventsRequest(walk.wanted()).to_line();
        let Ok(FirstStep::KeyEvents(asked)) = AwaitingFirst::new().receive(&line) else {
            panic!("it is a request for key events");
        };
        let line = KeyEventsRequest::answer(log.page(asked.0, MAX_EVENTS_IN_LINE));
        assert!(line.len() <= 4_096);
        pages += 1;
        match walk.receive(&KeyEventsRequest::read_answer(&line).unwrap()) {
            Ok(WalkStep::More(more)) => walk = more,
            Ok(WalkStep::Done(newest)) => break newest,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(newest, KnownSite::whole(&all).unwrap());
    assert_eq!(pages, 12);
}

// PEER-15
#[test]
fn a_hello_has_at_most_100_key_events() {
    let all = events(1, 120);
    let site = KnownSite::whole(&all).unwrap().id();
    let mut hello = PeerHello::new(site, "ada@a.example".parse().unwrap(), &all);
    assert_eq!(hello.events.len(), MAX_PEER_EVENTS);
    hello.events.push(all[0]);
    assert!(PeerHello::read(&hello.to_line()).is_err());
}

// PEER-15, PEER-17
#[test]
fn hello_and_welcome_carry_the_newest_key_events() {
    let all = events(1, 120);
    let site = KnownSite::whole(&all).unwrap().id();
    let hello = PeerHello::new(site, "ada@a.example".parse().unwrap(), &all);
    assert_eq!(hello.events, all[20..]);
    assert_eq!(PeerHello::read(&hello.to_line()).unwrap(), hello);
    let limits = DeviceWelcome {
        idle_seconds: 60,
        line_bytes: 65_536,
        in_flight: 16,
    };
    let welcome = PeerWelcome::new(limits, &all[..1]);
    let line = welcome.to_line();
    assert_eq!(PeerWelcome::read(&line).unwrap(), welcome);
    let text = String::from_utf8(line).unwrap();
    for wrong in [
        text.replace("16", "0"),
        text.replace("\"events\"", "\"more\""),
        String::new(),
    ] {
        assert!(PeerWelcome::read(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

// PEER-18
#[test]
fn a_line_is_an_operation_or_a_result() {
    let operation = br#"{"id":1,"group":"peer","command":"status"}"#;
    let result = br#"{"id":1,"code":0,"data":{}}"#;
    assert!(matches!(
        PeerLine::read(operation),
        Ok(PeerLine::Operation(_))
    ));
    assert!(matches!(PeerLine::read(result), Ok(PeerLine::Outcome(_))));
    for wrong in [
        "",
        "[]",
        "{}",
        r#"{"id":1,"group":"peer","command":"status","code":0,"data":{}}"#,
        r#"{"id":1,"group":"peer","command":"status","content":true}"#,
        r#"{"id":1,"code":0,"data":{},"content":true}"#,
        r#"{"id":1,"code":0}"#,
        r#"{"group":"alarm","event":"raised","data":{}}"#,
    ] {
        assert!(PeerLine::read(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

proptest! {
    // PEER-4
    #[test]
    fn the_first_line_does_not_depend_on_how_its_bytes_are_cut(
        size in 1_usize..400,
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        is_request: bool,
    ) {
        let line = if is_request { start(&EXPORTER).1 } else { bytes };
        let cut = |size: usize| {
            let mut waiting = AwaitingFirst::new();
            for piece in line.chunks(size) {
                match waiting.receive(piece) {
                    Ok(FirstStep::More(more)) => waiting = more,
                    step => return Some(format!("{step:?}")),
                }
            }
            None
        };
        prop_assert_eq!(cut(size), cut(line.len().max(1)));
    }

    #[test]
    fn any_text_is_no_ticket_or_is_written_again_as_the_same(text in ".{0,300}") {
        if let Ok(ticket) = text.parse::<PeerTicket>() {
            prop_assert_eq!(ticket.to_uri().expose().parse(), Ok(ticket));
        }
    }
}
