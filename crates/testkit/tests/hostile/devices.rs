//! The hostile corpus of devices (`vectors/hostile-devices`).

use countersign_crypto::device_key::DeviceKeyError;
use countersign_proto::device::{BadHello, BadUpgrade, Hello, UpgradeRequest};
use countersign_proto::enrolment::passphrase::{
    AwaitingRecord, BadAnswer, RecordStep, RegistrationAnswer,
};
use countersign_proto::enrolment::server::{AwaitingRequest, RequestRefused, RequestStep};
use countersign_proto::enrolment::{
    BadProof, BadReply, BadRequest, EnrolmentReply, EnrolmentTicket, Exporter,
};
use countersign_proto::lines::read_operation;
use countersign_proto::webhook::{Verdict, retry_after, verdict};
use serde::{Deserialize, Serialize};

use crate::corpus::{self, Refused};

/// The exporter of the connection.
const EXPORTER: Exporter = Exporter([9; 32]);

/// What the bytes are read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Dialog {
    /// A ticket as URI or JSON.
    Ticket,
    /// The request of a device or for a pass phrase.
    Enrolment,
    /// The reply to a device.
    Reply,
    /// The site's lines to a client that sets a pass phrase.
    Challenge,
    /// The client's second line when it sets a pass phrase.
    Record,
    /// The first line of a device connection.
    Hello,
    /// The request for a WebSocket.
    Upgrade,
    /// An operation in a line of at most 256 bytes.
    Line,
    /// The answer of a webhook: the status and, after a space, `Retry-After`.
    WebhookAnswer,
}

impl corpus::Dialog for Dialog {
    const FOLDER: &'static str = "hostile-devices";
    const ALL: &'static [Self] = &[
        Self::Ticket,
        Self::Enrolment,
        Self::Reply,
        Self::Challenge,
        Self::Record,
        Self::Hello,
        Self::Upgrade,
        Self::Line,
        Self::WebhookAnswer,
    ];

    fn read(self, bytes: &[u8]) -> Result<(), Refused> {
        match self {
            Self::Ticket => ticket(bytes),
            Self::Enrolment => enrolment(bytes),
            Self::Reply => EnrolmentReply::read(bytes).map(|_| ()).map_err(|error| {
                let stage = match error {
                    BadReply::TooLong => "too_long",
                    BadReply::Json(_) => "json",
                    BadReply::NotOk => "not_ok",
                    BadReply::Device => "device",
                    BadReply::Address => "address",
                };
                (stage, error.to_string())
            }),
            Self::Challenge => RegistrationAnswer::read(bytes)
                .map(|_| ())
                .map_err(|error| {
                    let stage = match error {
                        BadAnswer::TooLong => "too_long",
                        BadAnswer::Json(_) => "json",
                        BadAnswer::Member(_) => "member",
                    };
                    (stage, error.to_string())
                }),
            Self::Record => match AwaitingRecord::new().receive(bytes) {
                Ok(RecordStep::Record(_)) => Ok(()),
                Ok(RecordStep::More(waiting)) => Err(refused(&waiting.closed())),
                Err(error) => Err(refused(&error)),
            },
            Self::Hello => Hello::read(bytes).map(|_| ()).map_err(|error| {
                let stage = match error {
                    BadHello::TooLong => "too_long",
                    BadHello::Json(_) => "json",
                };
                (stage, error.to_string())
            }),
            Self::Upgrade => UpgradeRequest::read(bytes).map(|_| ()).map_err(|error| {
                let stage = match error {
                    BadUpgrade::TooLong => "too_long",
                    BadUpgrade::NotUpgrade => "not_upgrade",
                    BadUpgrade::Target => "target",
                    BadUpgrade::Subprotocol => "subprotocol",
                    BadUpgrade::Origin => "origin",
                };
                (stage, error.to_string())
            }),
            Self::Line => line(bytes),
            Self::WebhookAnswer => webhook_answer(bytes),
        }
    }
}

fn ticket(bytes: &[u8]) -> Result<(), Refused> {
    let text = str::from_utf8(bytes).unwrap();
    let read = text.parse::<EnrolmentTicket>();
    read.map(|_| ())
        .map_err(|error| corpus::ticket_refused(&error))
}

/// A request for a device or a pass phrase, up to the proof.
fn enrolment(bytes: &[u8]) -> Result<(), Refused> {
    let proven = match AwaitingRequest::new().receive(bytes) {
        Ok(RequestStep::Request(request)) => request.verify(&EXPORTER),
        Ok(RequestStep::Registration(request)) => request.verify(&EXPORTER),
        // A line of another kind, which has a corpus of its own.
        Ok(RequestStep::KeyEvents(..)) => return Ok(()),
        Ok(RequestStep::More(waiting)) => return Err(refused(&waiting.closed())),
        Err(error) => return Err(refused(&error)),
    };
    proven.map(|_| ()).map_err(|error| {
        let stage = match error {
            BadProof::Key(DeviceKeyError::Unsupported) | BadProof::NotEd25519 => "key_algorithm",
            BadProof::Key(_) => "key",
            BadProof::Signature(_) => "proof",
        };
        (stage, error.to_string())
    })
}

fn refused(error: &RequestRefused) -> Refused {
    let stage = match error {
        RequestRefused::TooLong | RequestRefused::Malformed(BadRequest::TooLong) => "too_long",
        RequestRefused::Closed => "closed",
        RequestRefused::OnlyKeyEvents => "only_key_events",
        RequestRefused::Malformed(BadRequest::Id(_)) => "id",
        RequestRefused::Malformed(BadRequest::Json(_)) => "json",
    };
    (stage, error.to_string())
}

fn line(bytes: &[u8]) -> Result<(), Refused> {
    corpus::line(bytes, |line| {
        let read = read_operation(line).map_err(|error| ("operation", error.to_string()));
        read.map(|_| ())
    })
}

fn webhook_answer(bytes: &[u8]) -> Result<(), Refused> {
    let end = bytes.iter().position(|byte| *byte == b' ');
    let (status, header) = bytes.split_at(end.unwrap_or(bytes.len()));
    let status: u16 = str::from_utf8(status).unwrap().parse().unwrap();
    let wait = header
        .get(1..)
        .map(|value| retry_after(value, 1_772_366_400));
    let wait = wait.map(|wait| match wait {
        Some(seconds) => format!("Retry-After: {seconds} s"),
        None => "Retry-After is ignored".to_owned(),
    });
    let stage = match verdict(status) {
        Verdict::Accepted => return Ok(()),
        Verdict::Retry => "retry",
        Verdict::Unauthorized => "unauthorized",
        Verdict::Refused => "refused",
        Verdict::Rejected => "rejected",
    };
    Err((stage, wait.unwrap_or_default()))
}

// DEV-4, DEV-9, DEV-10, DEV-11, DEV-12, DEV-20, DEV-48, DEV-49
#[test]
fn every_hostile_input_is_refused_at_its_stage() {
    corpus::assert_refused::<Dialog>(110);
}

#[test]
fn every_dialog_has_an_input_without_a_fault_and_five_with_one() {
    corpus::assert_complete::<Dialog>();
}
