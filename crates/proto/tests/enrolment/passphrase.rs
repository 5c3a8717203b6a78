//! Both sides of setting a pass phrase with a ticket, however the bytes are cut.

use countersign_crypto::device_key::{DeviceIdentity, DeviceKey};
use countersign_crypto::hash::sha256;
use countersign_crypto::identity::{Identity, IdentitySeed};
use countersign_crypto::secret::Secret;
use countersign_proto::enrolment::passphrase::client::{
    AwaitingChallenge, AwaitingConfirmation, ChallengeStep, ConfirmationStep, RegistrationError,
};
use countersign_proto::enrolment::passphrase::{
    AwaitingRecord, MAX_ANSWER, MAX_RECORD, RecordStep, RegistrationChallenge, RegistrationRecord,
    RegistrationReply, RegistrationRequest,
};
use countersign_proto::enrolment::server::{AwaitingRequest, RequestRefused, RequestStep};
use countersign_proto::enrolment::{
    BadProof, EnrolmentTicket, Exporter, MAX_REQUEST, TicketKind, Token, passphrase_proof_input,
};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::{EXPORTER, P256, SITE, site};

const OPAQUE_REQUEST: [u8; 32] = [5; 32];

fn ticket(kind: TicketKind) -> EnrolmentTicket {
    let token = Token::from_bytes([2; 16]);
    EnrolmentTicket::new(
        kind,
        "login.example.org",
        4748,
        token,
        site().public().signing,
    )
    .unwrap()
}

fn identity() -> Identity {
    Identity::from_seed(IdentitySeed(Secret::from_bytes([3; 32])))
}

fn start(kind: TicketKind) -> Result<(AwaitingChallenge, Vec<u8>), RegistrationError> {
    let id = "ada@example.org".parse().unwrap();
    let request = OPAQUE_REQUEST.to_vec();
    AwaitingChallenge::start(&ticket(kind), id, &identity(), request, &EXPORTER, SITE)
        .map(|(waiting, line)| (waiting, line.expose().to_vec()))
}

fn challenge() -> RegistrationChallenge {
    RegistrationChallenge {
        response: vec![6; 64],
        site: SITE,
    }
}

fn record() -> RegistrationRecord {
    RegistrationRecord {
        record: vec![7; 192],
        sealed_identity: vec![8; 768],
        certificate: identity().certificate().der().to_vec(),
    }
}

fn reply() -> RegistrationReply {
    RegistrationReply {
        id: "ada@example.org".parse().unwrap(),
        site: None,
        repeated: false,
    }
}

/// What the site makes of bytes that arrive in these pieces.
fn served(pieces: &[&[u8]]) -> Result<RegistrationRequest, RequestRefused> {
    let mut waiting = AwaitingRequest::new();
    for piece in pieces {
        match waiting.receive(piece)? {
            RequestStep::More(more) => waiting = more,
            RequestStep::Registration(request) => return Ok(*request),
            RequestStep::Request(_) | RequestStep::KeyEvents(..) => {
                panic!("the line sets a pass phrase")
            }
        }
    }
    Err(waiting.closed())
}

fn recorded(pieces: &[&[u8]]) -> Result<RegistrationRecord, RequestRefused> {
    let mut waiting = AwaitingRecord::new();
    for piece in pieces {
        match waiting.receive(piece)? {
            RecordStep::More(more) => waiting = more,
            RecordStep::Record(record) => return Ok(*record),
        }
    }
    Err(waiting.closed())
}

fn challenged(answer: &[u8]) -> (RegistrationChallenge, AwaitingConfirmation) {
    let (waiting, _) = start(TicketKind::Passphrase).unwrap();
    match waiting.receive(answer).unwrap() {
        ChallengeStep::Challenge(challenge, next) => (challenge, next),
        other => panic!("{other:?}"),
    }
}

// DEV-40
#[test]
fn the_whole_dialog_passes_with_either_kind_of_ticket() {
    for kind in [TicketKind::Passphrase, TicketKind::Admin] {
        let (waiting, line) = start(kind).unwrap();
        let request = served(&[&line]).unwrap();
        assert_eq!(request.token_hash(), ticket(kind).token().hash());
        assert_eq!(request.id().to_string(), "ada@example.org");
        assert_eq!(request.opaque_request(), OPAQUE_REQUEST);
        let proven = request.verify(&EXPORTER).unwrap();
        let own = DeviceKey::from_ed25519(&identity().certificate().signing()).unwrap();
        assert_eq!(proven.key(), &own);
        assert_eq!(request.claimed_thumbprint(), own.thumbprint());
        let step = waiting.receive(&challenge().to_line()).unwrap();
        let ChallengeStep::Challenge(read, waiting) = step else {
            panic!("{step:?}");
        };
        assert_eq!(read, challenge());
        let arrived = recorded(&[record().to_line().expose()]).unwrap();
        assert_eq!(arrived, record());
        let step = waiting.receive(&reply().to_line()).unwrap();
        assert!(matches!(step, ConfirmationStep::Done(read) if read == reply()));
    }
}

#[test]
fn a_ticket_of_another_kind_is_not_sent() {
    for kind in [TicketKind::Device, TicketKind::Peer] {
        let refused = start(kind);
        assert!(matches!(refused, Err(RegistrationError::WrongKind(found)) if found == kind));
    }
}

// DEV-41
#[test]
fn the_proof_signs_the_bytes_that_the_page_gives() {
    let token = Token::from_bytes([2; 16]).hash();
    let input = passphrase_proof_input(&Exporter([9; 32]), &token, "ada", &[7; 300], &[5; 32]);
    let mut expected = b"countersign pass phrase 1\0".to_vec();
    expected.extend([9; 32]);
    expected.extend(sha256(&[2; 16]));
    expected.extend(b"\0\x03ada");
    expected.extend([0x01, 0x2c]);
    expected.extend([7; 300]);
    expected.extend([0, 32]);
    expected.extend([5; 32]);
    assert_eq!(input, expected);
}

// DEV-41
#[test]
fn a_proof_is_of_use_on_its_connection_for_its_members_and_with_its_key_alone() {
    let (_, line) = start(TicketKind::Passphrase).unwrap();
    let request = served(&[&line]).unwrap();
    assert!(matches!(
        request.verify(&Exporter([8; 32])),
        Err(BadProof::Signature(_))
    ));
    let other = DeviceIdentity::generate(&mut countersign_crypto::entropy::SystemEntropy);
    let encoded = |bytes: &[u8]| Value::from(BASE64URL_NOPAD.encode(bytes));
    for (member, value) in [
        ("token", encoded(&[1; 16])),
        ("id", json!("eve@example.org")),
        ("key", encoded(other.public().spki())),
        ("request", encoded(&[4; 32])),
    ] {
        let mut form: Value = serde_json::from_slice(&line).unwrap();
        form[member] = value;
        let changed = served(&[format!("{form}\n").as_bytes()]).unwrap();
        let refused = changed.verify(&EXPORTER);
        assert!(matches!(refused, Err(BadProof::Signature(_))), "{member}");
    }
    let p256 = DeviceIdentity::from_pem(P256).unwrap();
    let mut form: Value = serde_json::from_slice(&line).unwrap();
    form["key"] = encoded(p256.public().spki());
    let changed = served(&[format!("{form}\n").as_bytes()]).unwrap();
    assert_eq!(changed.verify(&EXPORTER), Err(BadProof::NotEd25519));
}

/// Each line arrives the same in two pieces, whichever byte they are cut at; cut off, it is none.
// DEV-40
#[test]
fn every_line_can_be_cut_at_every_byte() {
    let (_, line) = start(TicketKind::Passphrase).unwrap();
    let request = served(&[&line]).unwrap();
    for at in 0..line.len() {
        let (first, second) = line.split_at(at);
        assert_eq!(served(&[first, second]).unwrap(), request);
        assert!(matches!(served(&[first]), Err(RequestRefused::Closed)));
    }
    let line = record().to_line();
    for at in 0..line.expose().len() {
        let (first, second) = line.expose().split_at(at);
        assert_eq!(recorded(&[first, second]).unwrap(), record());
        assert!(matches!(recorded(&[first]), Err(RequestRefused::Closed)));
    }
    for line in [challenge().to_line(), reply().to_line()] {
        for at in 0..line.len() {
            let (waiting, _) = start(TicketKind::Passphrase).unwrap();
            let (first, second) = line.split_at(at);
            let ChallengeStep::More(waiting) = waiting.receive(first).unwrap() else {
                panic!("the line is incomplete");
            };
            match waiting.receive(second).unwrap() {
                ChallengeStep::Challenge(read, _) => assert_eq!(read, challenge()),
                ChallengeStep::Done(read) => assert_eq!(read, reply()),
                ChallengeStep::More(_) => panic!("the line is complete"),
            }
        }
    }
    let (_, waiting) = challenged(&challenge().to_line());
    assert!(matches!(waiting.closed(), RegistrationError::Broken));
    let (waiting, _) = start(TicketKind::Passphrase).unwrap();
    assert!(matches!(waiting.closed(), RegistrationError::Refused));
}

// DEV-40
#[test]
fn a_line_over_its_limit_is_refused_and_one_at_it_is_read() {
    let at_limit = |line: &[u8], most: usize| {
        let mut line = line.to_vec();
        line.pop();
        line.resize(most - 1, b' ');
        line.push(b'\n');
        line
    };
    let (_, line) = start(TicketKind::Passphrase).unwrap();
    assert!(served(&[&at_limit(&line, MAX_REQUEST)]).is_ok());
    let over = served(&[&at_limit(&line, MAX_REQUEST + 1)]);
    assert!(matches!(over, Err(RequestRefused::TooLong)));
    let line = record().to_line();
    assert!(recorded(&[&at_limit(line.expose(), MAX_RECORD)]).is_ok());
    let over = recorded(&[&at_limit(line.expose(), MAX_RECORD + 1)]);
    assert!(matches!(over, Err(RequestRefused::TooLong)));
    let line = at_limit(&challenge().to_line(), MAX_ANSWER + 1);
    let (waiting, _) = start(TicketKind::Passphrase).unwrap();
    assert!(matches!(
        waiting.receive(&line),
        Err(RegistrationError::Answer(_))
    ));
}

// DEV-42
#[test]
fn a_challenge_with_another_site_id_ends_the_dialog() {
    let mut other = challenge();
    other.site.0[0] ^= 1;
    let (waiting, _) = start(TicketKind::Passphrase).unwrap();
    let refused = waiting.receive(&other.to_line());
    assert!(matches!(refused, Err(RegistrationError::AnotherSite)));
    let (_, waiting) = challenged(&challenge().to_line());
    let refused = waiting.receive(&challenge().to_line());
    assert!(matches!(refused, Err(RegistrationError::Unexpected)));
}

/// Members that are missing, repeated, unknown, of another type or too long.
// DEV-40
#[test]
fn hostile_lines_are_refused_without_public_key_work() {
    let (_, line) = start(TicketKind::Passphrase).unwrap();
    let form: Value = serde_json::from_slice(&line).unwrap();
    let mut hostile = vec![json!({}), json!([]), json!("x"), json!(null)];
    for member in ["token", "id", "key", "request", "proof"] {
        let mut without = form.clone();
        without.as_object_mut().unwrap().remove(member);
        let mut number = form.clone();
        number[member] = json!(1);
        let mut long = form.clone();
        long[member] = "A".repeat(7_000).into();
        hostile.extend([without, number, long]);
    }
    let mut both = form.clone();
    both["device"] = "phone".into();
    hostile.push(both);
    for line in hostile {
        let refused = served(&[format!("{line}\n").as_bytes()]);
        assert!(
            matches!(refused, Err(RequestRefused::Malformed(_))),
            "{line}"
        );
    }
    let repeated = String::from_utf8(line)
        .unwrap()
        .replacen('{', "{\"id\":\"a\",", 1);
    assert!(served(&[repeated.as_bytes()]).is_err());
    let form: Value = serde_json::from_slice(record().to_line().expose()).unwrap();
    for member in ["record", "sealed_identity", "certificate"] {
        let mut without = form.clone();
        without.as_object_mut().unwrap().remove(member);
        let mut long = form.clone();
        long[member] = "A".repeat(6_000).into();
        for line in [without, long] {
            let refused = recorded(&[format!("{line}\n").as_bytes()]);
            assert!(
                matches!(refused, Err(RequestRefused::Malformed(_))),
                "{line}"
            );
        }
    }
}

#[test]
fn neither_token_nor_record_is_printed() {
    let (_, line) = start(TicketKind::Passphrase).unwrap();
    let shown = format!("{:?} {:?}", served(&[&line]).unwrap(), record());
    assert_eq!(
        shown,
        "RegistrationRequest(ada@example.org) RegistrationRecord(..)"
    );
}
