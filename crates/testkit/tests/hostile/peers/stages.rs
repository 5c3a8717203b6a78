//! What reads each message of a peer, and the stage at which it refuses one.

use countersign_core::engine::DeliveryReport;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_proto::enrolment::{Exporter, Token};
use countersign_proto::json as strict;
use countersign_proto::operation::Code;
use countersign_proto::peer::{
    AnswerStep, AwaitingAnswer, AwaitingFirst, BadJoin, BadJoinAnswer, BadPeerHello, BadPeerLine,
    BadSealedJoin, FirstRefused, FirstStep, JoinError, JoinRequest, Joining, PeerHello, PeerLine,
    PeerTicket, PeerWelcome,
};
use countersign_proto::site_identity::{
    KeyEventWalk, KeyEventsError, KeyEventsRequest, KnownSite, SignedKeyEvent, WalkStep,
};
use countersign_testkit::harness::{TestSite, run};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::corpus::{self, Refused};

/// The exporter of the connection.
pub(crate) const EXPORTER: Exporter = Exporter([7; 32]);

pub(crate) fn key(byte: u8) -> SiteKey {
    SiteKey::from_seed(SiteSeed(Secret::from_bytes([byte; 32])))
}

/// The first events of the site whose keys are `first`, `first + 1` and so on. Site A has the keys from
/// 10 on, site B those from 20 on.
pub(crate) fn events(first: u8, count: u8) -> Vec<SignedKeyEvent> {
    let next = key(first + 1).public();
    let mut events = vec![SignedKeyEvent::first(&key(first), &next, 0)];
    for byte in first + 1..first + count {
        let last = events[events.len() - 1];
        let next = key(byte + 1).public();
        events.push(last.replaced_by(&key(byte - 1), &key(byte), &next, 1, None));
    }
    events
}

/// The ticket of site A that site B has.
pub(crate) fn own_ticket() -> PeerTicket {
    let (token, id) = (Token::from_bytes([2; 16]), "ada@a.example".parse().unwrap());
    let site = key(10).public();
    PeerTicket::new("a.example", 4_750, token, 1_800_000_000, site, id).unwrap()
}

pub(super) fn ticket(bytes: &[u8]) -> Result<(), Refused> {
    let text = str::from_utf8(bytes).unwrap();
    let read = text.parse::<PeerTicket>();
    read.map(|_| ())
        .map_err(|error| corpus::ticket_refused(&error))
}

pub(super) fn first(bytes: &[u8]) -> Result<(), Refused> {
    let refused = |error: FirstRefused| {
        let stage = match error {
            FirstRefused::TooLong => "too_long",
            FirstRefused::Closed => "closed",
            FirstRefused::Malformed(_) => "json",
        };
        (stage, error.to_string())
    };
    match AwaitingFirst::new().receive(bytes).map_err(refused)? {
        FirstStep::More(waiting) => Err(refused(waiting.closed())),
        FirstStep::KeyEvents(_) => Ok(()),
        FirstStep::Join(sealed) => match sealed.open(key(10).agreement(), &EXPORTER) {
            Ok(_) => Ok(()),
            Err(error @ BadSealedJoin::Sealing(_)) => Err(("sealing", error.to_string())),
            Err(BadSealedJoin::Join(error)) => Err(bad_join(&error)),
        },
    }
}

pub(super) fn request(bytes: &[u8]) -> Result<(), Refused> {
    let request = JoinRequest::read(bytes).map_err(|error| bad_join(&error))?;
    let verified = request.verify(&EXPORTER, &key(10).public());
    verified.map(|_| ()).map_err(|error| bad_join(&error))
}

fn bad_join(error: &BadJoin) -> Refused {
    let stage = match error {
        BadJoin::Json(_) => "json",
        BadJoin::Id => "id",
        BadJoin::Address => "address",
        BadJoin::NoFirstEvent | BadJoin::Events(_) => "events",
        BadJoin::Signature(_) => "proof",
    };
    (stage, error.to_string())
}

pub(super) fn answer(bytes: &[u8]) -> Result<(), Refused> {
    let (id, events) = ("bob@b.example".parse().unwrap(), events(20, 1));
    let joining = Joining {
        id: &id,
        host: "b.example",
        port: 4_751,
        events: &events,
    };
    let (proven, own) = (key(10).public(), key(20));
    let entropy = &mut SystemEntropy;
    let started = AwaitingAnswer::start(&own_ticket(), proven, &joining, &own, &EXPORTER, entropy);
    let (waiting, _) = started.unwrap();
    let refused = |error: JoinError| {
        let stage = match error {
            JoinError::Refused | JoinError::Broken => "closed",
            JoinError::Answer(BadJoinAnswer::TooLong) => "too_long",
            JoinError::Answer(BadJoinAnswer::Json(_)) => "json",
            JoinError::Answer(BadJoinAnswer::NotOk) => "not_ok",
            JoinError::Events(_) => "events",
            JoinError::AnotherKey => "another_key",
            JoinError::Request(_) | JoinError::Key(_) => "own",
        };
        (stage, error.to_string())
    };
    match waiting.receive(bytes).map_err(refused)? {
        AnswerStep::More(waiting) => Err(refused(waiting.closed())),
        AnswerStep::Joined(_) => Ok(()),
    }
}

pub(super) fn key_events(bytes: &[u8]) -> Result<(), Refused> {
    let known = KnownSite::whole(&events(20, 1)).unwrap();
    let page = KeyEventsRequest::read_answer(bytes);
    let step = page.and_then(|page| KeyEventWalk::from_known(known).receive(&page));
    match step {
        Ok(WalkStep::More(_) | WalkStep::Done(_)) => Ok(()),
        Err(error) => Err(bad_events(&error)),
    }
}

fn bad_events(error: &KeyEventsError) -> Refused {
    let stage = match error {
        KeyEventsError::TooMany => "too_many",
        KeyEventsError::Gap { .. } => "gap",
        KeyEventsError::Malformed => "malformed",
        KeyEventsError::Behind { .. } => "behind",
        KeyEventsError::UnknownPin => "unknown_pin",
        KeyEventsError::BadSignature { .. } => "signature",
        KeyEventsError::Fork { .. } => "fork",
    };
    (stage, error.to_string())
}

fn followed(events_of_line: &[SignedKeyEvent]) -> Result<(), Refused> {
    let known = KnownSite::whole(&events(20, 1)).unwrap();
    let followed = known.advance(events_of_line);
    followed.map(|_| ()).map_err(|error| bad_events(&error))
}

fn bad_hello(error: &BadPeerHello) -> Refused {
    let stage = match error {
        BadPeerHello::TooLong => "too_long",
        BadPeerHello::Json(_) => "json",
        BadPeerHello::Zero => "zero",
    };
    (stage, error.to_string())
}

pub(super) fn hello(bytes: &[u8]) -> Result<(), Refused> {
    let hello = PeerHello::read(bytes).map_err(|error| bad_hello(&error))?;
    followed(&hello.events)
}

pub(super) fn welcome(bytes: &[u8]) -> Result<(), Refused> {
    let welcome = PeerWelcome::read(bytes).map_err(|error| bad_hello(&error))?;
    followed(&welcome.events)
}

pub(super) fn line(bytes: &[u8]) -> Result<(), Refused> {
    corpus::line(bytes, |line| {
        let read = PeerLine::read(line).map_err(|error| {
            let stage = match error {
                BadPeerLine::Neither => "neither",
                BadPeerLine::Json(_) => "json",
                BadPeerLine::Content => "content",
                BadPeerLine::Line(_) => "members",
            };
            (stage, error.to_string())
        });
        read.map(|_| ())
    })
}

/// What a site does with the first message, or why it refuses the operation.
pub(super) fn deliver(bytes: &[u8]) -> Result<(), Refused> {
    let Ok(params) = serde_json::from_slice::<Value>(bytes) else {
        return Err(("line", "the line cannot be read".to_owned()));
    };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    let (code, data) = runtime.block_on(async {
        let test = TestSite::new().await;
        test.takes_enrolments();
        test.admin("person.create", json!({ "name": "ada" })).await;
        let peer = test.peer("ada").await;
        test.site.connect_peers_with(peer.clone());
        test.admin("peer.start", json!({})).await;
        let connection = peer.connect(&test.site, test.now()).await.unwrap();
        run(&test.site, &connection.caller, "peer.deliver", params).await
    });
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let report = &data["reports"][0];
    match (code, report["state"].as_str()) {
        (Code::SUCCESS, Some("accepted") | None) => Ok(()),
        (Code::SUCCESS, Some(state)) => {
            let stage = if state == "later" { "later" } else { "refused" };
            Err((stage, text(&report["why"])))
        }
        (Code::INVALID_PARAMS, _) => Err(("params", text(&data["message"]))),
        (Code::BUSY, _) => Err(("busy", text(&data["message"]))),
        (code, _) => panic!("{code:?}: {data}"),
    }
}

/// The result of `peer deliver`.
#[derive(Deserialize)]
struct Reports {
    reports: Vec<DeliveryReport>,
}

pub(super) fn reports(bytes: &[u8]) -> Result<(), Refused> {
    let read = match PeerLine::read(bytes.trim_ascii_end()) {
        Ok(PeerLine::Outcome(outcome)) => outcome,
        Ok(PeerLine::Operation(_)) => return Err(("operation", String::new())),
        Ok(PeerLine::End(_)) => return Err(("end", String::new())),
        Err(error) => return Err(("line", error.to_string())),
    };
    match strict::read::<Reports>(read.data.get().as_bytes()) {
        Ok(read) if read.reports.is_empty() => Err(("none", String::new())),
        Ok(_) => Ok(()),
        Err(error) => Err(("json", error.to_string())),
    }
}
