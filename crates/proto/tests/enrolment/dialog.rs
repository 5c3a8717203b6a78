//! Both sides of the dialog, however its bytes are cut.

use countersign_crypto::device_key::{DeviceIdentity, DeviceKeyError};
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::hash::sha256;
use countersign_crypto::sign::BadSignature;
use countersign_proto::enrolment::client::{AwaitingReply, EnrolmentError, ReplyStep};
use countersign_proto::enrolment::server::{AwaitingRequest, RequestRefused, RequestStep};
use countersign_proto::enrolment::{
    BadProof, BadReply, EnrolmentReply, EnrolmentRequest, EnrolmentTicket, Exporter, MAX_REPLY,
    MAX_REQUEST, ProvenKey, TicketKind, Token, proof_input,
};
use countersign_proto::site_identity::KeyEventsRequest;
use proptest::prelude::*;

use super::{EXPORTER, SITE, identities, reply, request, ticket};

fn start(identity: &DeviceIdentity) -> (AwaitingReply, Vec<u8>) {
    let (id, device) = ("ada@example.org", "Ada's phone");
    let (id, device) = (id.parse().unwrap(), device.parse().unwrap());
    let (waiting, line) =
        AwaitingReply::start(&ticket(), id, device, identity, &EXPORTER, SITE).unwrap();
    (waiting, line.expose().to_vec())
}

/// What the site makes of bytes that arrive in these pieces.
fn served<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<EnrolmentRequest, RequestRefused> {
    let mut waiting = AwaitingRequest::new();
    for piece in pieces {
        match waiting.receive(piece)? {
            RequestStep::More(more) => waiting = more,
            RequestStep::Request(request) => return Ok(*request),
            RequestStep::Registration(_) | RequestStep::KeyEvents(..) => {
                panic!("the line enrols a device")
            }
        }
    }
    Err(waiting.closed())
}

/// What the device makes of them.
fn answered<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<EnrolmentReply, EnrolmentError> {
    let (mut waiting, _) = start(&identities()[1]);
    for piece in pieces {
        match waiting.receive(piece)? {
            ReplyStep::More(more) => waiting = more,
            ReplyStep::Enrolled(reply) => return Ok(reply),
        }
    }
    Err(waiting.closed())
}

// DEV-12
#[test]
fn a_device_with_either_kind_of_key_is_enrolled() {
    for identity in identities() {
        let (waiting, line) = start(&identity);
        let request = served([&line[..]]).unwrap();
        assert_eq!(request.token_hash(), ticket().token().hash());
        assert_eq!(request.id().to_string(), "ada@example.org");
        assert_eq!(request.device().as_str(), "Ada's phone");
        let proven = request.verify(&EXPORTER).unwrap();
        assert_eq!(proven.key(), identity.public());
        match waiting.receive(&reply().to_line()).unwrap() {
            ReplyStep::Enrolled(read) => assert_eq!(read, reply()),
            ReplyStep::More(_) => panic!("the answer is complete"),
        }
    }
}

// DEV-12
#[test]
fn the_proof_signs_the_bytes_that_the_page_gives() {
    let token = Token::from_bytes([2; 16]).hash();
    let input = proof_input(&Exporter([9; 32]), &token, "ada", &[7; 300]);
    let mut expected = b"countersign enrolment 1\0".to_vec();
    expected.extend([9; 32]);
    expected.extend(sha256(&[2; 16]));
    expected.extend(b"\0\x03ada");
    expected.extend([0x01, 0x2c]);
    expected.extend([7; 300]);
    assert_eq!(input, expected);
}

// DEV-12
#[test]
fn a_proof_is_good_for_one_connection_token_id_and_key_alone() {
    for identity in identities() {
        let own = request(&identity);
        let whole = own.to_line();
        let whole = std::str::from_utf8(whole.expose()).unwrap();
        let other = DeviceIdentity::generate(&mut SystemEntropy);
        let member = |name: &str, request: &EnrolmentRequest| -> String {
            let line = request.to_line();
            let value: serde_json::Value = serde_json::from_slice(line.expose()).unwrap();
            value[name].to_string()
        };
        let swap = |name: &str, with: &EnrolmentRequest| {
            whole.replace(&member(name, &own), &member(name, with))
        };
        let signature = Err(BadProof::Signature(BadSignature));
        let verified = |line: &str| {
            let request = EnrolmentRequest::read(line.as_bytes()).unwrap();
            request.verify(&EXPORTER).map(ProvenKey::into_key)
        };
        assert_eq!(verified(whole).as_ref(), Ok(identity.public()));
        assert_eq!(
            request(&identity).verify(&Exporter([8; 32])).err(),
            Some(BadProof::Signature(BadSignature))
        );
        for (what, line) in [
            ("token", whole.replace("AgICAg", "AwICAg")),
            ("id", whole.replace("ada@", "bob@")),
            (
                "the same id spelled otherwise",
                whole.replace("ada@", "Ada@"),
            ),
            ("key", swap("key", &request(&other))),
            ("proof", swap("proof", &request(&other))),
        ] {
            assert_ne!(line, whole, "{what}");
            assert_eq!(verified(&line), signature, "{what}");
        }
    }
}

/// An id in capitals is another text and the same name: the proof covers the text as it was sent.
#[test]
fn an_id_may_be_spelled_in_capitals() {
    let identity = &identities()[1];
    let key = identity.public().spki();
    let token = ticket().token().hash();
    let proof = identity.sign(&proof_input(&EXPORTER, &token, "ADA@example.org", key));
    let text = |bytes: &[u8]| data_encoding::BASE64URL_NOPAD.encode(bytes);
    let line = serde_json::json!({
        "proof": text(&proof), "device": "phone", "key": text(key), "id": "ADA@example.org",
        "token": text(ticket().token().expose()),
    });
    let read = EnrolmentRequest::read(line.to_string().as_bytes()).unwrap();
    assert_eq!(read.id().to_string(), "ada@example.org");
    assert!(read.verify(&EXPORTER).is_ok());
}

// DEV-8
#[test]
fn a_dialog_that_is_cut_at_any_byte_enrols_nothing() {
    let line = request(&identities()[0]).to_line();
    let line = line.expose();
    for end in 0..line.len() {
        assert!(matches!(
            served([&line[..end]]),
            Err(RequestRefused::Closed)
        ));
    }
    let line = reply().to_line();
    assert!(matches!(answered([]), Err(EnrolmentError::Refused)));
    assert!(matches!(answered([&b""[..]]), Err(EnrolmentError::Refused)));
    for end in 1..line.len() {
        let cut = answered([&line[..end]]);
        assert!(matches!(cut, Err(EnrolmentError::Broken)), "{end}");
    }
}

// DEV-8
#[test]
fn the_site_reads_8192_bytes_and_nothing_after_the_line() {
    let line = request(&identities()[0]).to_line();
    let line = line.expose();
    let padded = |length: usize| [&vec![b' '; length - line.len()], line].concat();
    let longest = padded(MAX_REQUEST);
    assert_eq!(served([&longest[..]]).unwrap(), request_of(line));
    let longer = padded(MAX_REQUEST + 1);
    assert!(matches!(
        served([&longer[..]]),
        Err(RequestRefused::TooLong)
    ));
    let (first, second) = longer.split_at(MAX_REQUEST - 1);
    assert!(matches!(
        served([first, second]),
        Err(RequestRefused::TooLong)
    ));

    let waiting = AwaitingRequest::new();
    assert_eq!(waiting.room(), MAX_REQUEST);
    match waiting.receive(&line[..10]).unwrap() {
        RequestStep::More(more) => assert_eq!(more.room(), MAX_REQUEST - 10),
        _ => panic!("the line is incomplete"),
    }
    let followed = [line, b"garbage\n", line].concat();
    assert_eq!(served([&followed[..]]).unwrap(), request_of(line));
}

fn request_of(line: &[u8]) -> EnrolmentRequest {
    EnrolmentRequest::read(line).unwrap()
}

// DEV-13
#[test]
fn a_reply_with_another_site_id_is_refused() {
    let line = reply().to_line();
    let text = String::from_utf8(line.clone()).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
    let key = value["site_id"].as_str().unwrap();
    let first = if key.starts_with('A') { "B" } else { "A" };
    let other = text.replace(key, &format!("{first}{}", &key[1..]));
    let refused = answered([other.as_bytes()]);
    assert!(matches!(refused, Err(EnrolmentError::AnotherSite)));
}

#[test]
fn a_reply_is_read_with_members_to_come_and_not_without_its_own() {
    let text = String::from_utf8(reply().to_line()).unwrap();
    assert!(text.starts_with(
        "{\"ok\":true,\"device\":\"0a1b-2c\",\"host\":\"devices.example.org\",\"port\":4749,"
    ));
    let later = text.replace("{\"ok\"", "{\"later\":{},\"ok\"");
    assert_eq!(answered([later.as_bytes()]).unwrap(), reply());
    assert_eq!(answered([text.as_bytes(), b"more"]).unwrap(), reply());
    let refused = |line: String| match answered([line.as_bytes()]) {
        Err(EnrolmentError::Reply(bad)) => bad,
        other => panic!("{other:?}"),
    };
    assert!(matches!(
        refused(text.replace("true", "false")),
        BadReply::NotOk
    ));
    assert!(matches!(
        refused(text.replace("4749", "0")),
        BadReply::Address
    ));
    assert!(matches!(
        refused(text.replace("devices.", "a b.")),
        BadReply::Address
    ));
    assert!(matches!(
        refused(text.replace("0a1b-2c", "")),
        BadReply::Device
    ));
    assert!(matches!(
        refused(text.replace("0a1b-2c", "a/../b")),
        BadReply::Device
    ));
    assert!(matches!(
        refused(text.replace("\"ok\":true,", "")),
        BadReply::Json(_)
    ));
    assert!(matches!(refused("\n".to_owned()), BadReply::Json(_)));
    let padding = " ".repeat(MAX_REPLY - text.len());
    assert_eq!(
        answered([format!("{padding}{text}").as_bytes()]).unwrap(),
        reply()
    );
    assert!(matches!(
        refused(format!(" {padding}{text}")),
        BadReply::TooLong
    ));
    assert!(matches!(refused("a".repeat(MAX_REPLY)), BadReply::TooLong));
}

#[test]
fn a_ticket_for_something_else_is_not_sent() {
    for kind in [TicketKind::Admin, TicketKind::Passphrase, TicketKind::Peer] {
        let token = Token::from_bytes([2; 16]);
        let ticket = EnrolmentTicket::new(kind, "a", 1, token, *ticket().site()).unwrap();
        let (id, device) = ("ada".parse().unwrap(), "phone".parse().unwrap());
        let refused = AwaitingReply::start(&ticket, id, device, &identities()[1], &EXPORTER, SITE);
        assert!(matches!(refused, Err(EnrolmentError::WrongKind(found)) if found == kind));
    }
}

/// The key is sound DER, but no private key leads to it: the signature is not looked at.
// DEV-11
#[test]
fn a_key_of_small_order_proves_nothing() {
    let text = |bytes: &[u8]| data_encoding::BASE64URL_NOPAD.encode(bytes);
    let mut key = identities()[0].public().spki().to_vec();
    key[12..].fill(0);
    key[12] = 1;
    let mut proof = [0; 64];
    proof[0] = 1;
    let line = serde_json::json!({
        "token": text(&[2; 16]), "id": "ada", "key": text(&key), "device": "phone", "proof": text(&proof),
    });
    let request = EnrolmentRequest::read(line.to_string().as_bytes()).unwrap();
    let refused = request.verify(&EXPORTER);
    assert_eq!(refused, Err(BadProof::Key(DeviceKeyError::BadPoint)));
}

proptest! {
    // DEV-8
    #[test]
    fn the_pieces_that_bytes_arrive_in_do_not_matter(sizes in prop::collection::vec(1..200_usize, 1..8)) {
        let cut = |line: &[u8]| {
            let (mut rest, mut pieces) = (line.to_vec(), Vec::new());
            for size in sizes.iter().cycle() {
                let behind = rest.split_off((*size).min(rest.len()));
                pieces.push(std::mem::replace(&mut rest, behind));
                if rest.is_empty() {
                    break;
                }
            }
            pieces
        };
        let sent = request(&identities()[1]);
        let pieces = cut(sent.to_line().expose());
        prop_assert_eq!(served(pieces.iter().map(Vec::as_slice)).unwrap(), sent);
        let pieces = cut(&reply().to_line());
        prop_assert_eq!(answered(pieces.iter().map(Vec::as_slice)).unwrap(), reply());
    }

    #[test]
    fn no_bytes_make_either_side_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(served([&bytes[..]]).is_err());
        prop_assert!(answered([&bytes[..]]).is_err());
    }
}

// DEV-51
#[test]
fn key_events_are_requested_once_before_the_request_and_not_twice() {
    let line = KeyEventsRequest(3).to_line();
    let RequestStep::KeyEvents(asked, waiting) = AwaitingRequest::new().receive(&line).unwrap()
    else {
        panic!("the line requests key events")
    };
    assert_eq!(asked, KeyEventsRequest(3));
    assert!(matches!(waiting.closed(), RequestRefused::OnlyKeyEvents));

    let RequestStep::KeyEvents(_, waiting) = AwaitingRequest::new().receive(&line).unwrap() else {
        panic!("the line requests key events")
    };
    let again = waiting.receive(&line);
    assert!(matches!(again, Err(RequestRefused::Malformed(_))));

    let RequestStep::KeyEvents(_, waiting) = AwaitingRequest::new().receive(&line).unwrap() else {
        panic!("the line requests key events")
    };
    assert_eq!(waiting.room(), MAX_REQUEST);
    let (_, line) = start(&identities()[0]);
    assert!(matches!(
        waiting.receive(&line),
        Ok(RequestStep::Request(_))
    ));
}
