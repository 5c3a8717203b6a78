//! The hostile corpus of devices (`vectors/hostile-devices`). Each file is one input with one fault,
//! and names the stage that has to refuse it.
//!
//! Each dialog also has a file without a fault, which is accepted, so that no file passes because
//! every input of its dialog is refused. With `COUNTERSIGN_BLESS=1` the texts of the refusals are
//! written to the files again, but never the stages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use countersign_crypto::device_key::DeviceKeyError;
use countersign_proto::device::{BadHello, BadUpgrade, Hello, UpgradeRequest};
use countersign_proto::enrolment::passphrase::{
    AwaitingRecord, BadAnswer, RecordStep, RegistrationAnswer,
};
use countersign_proto::enrolment::server::{AwaitingRequest, RequestRefused, RequestStep};
use countersign_proto::enrolment::{
    BadProof, BadReply, BadRequest, BadTicket, EnrolmentTicket, Reply,
};
use countersign_proto::lines::{Decoder, read_operation};
use countersign_proto::webhook::{Verdict, retry_after, verdict};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::EXPORTER;

/// A file of the corpus.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// A description of the fault.
    what: String,
    dialog: Dialog,
    /// The bytes as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The bytes in hexadecimal digits, if they are no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
    /// The stage that has to refuse it; `accepted` if there is no fault.
    stage: String,
    /// The text of the refusal; empty if there is no fault.
    refusal: String,
}

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

const DIALOGS: [Dialog; 9] = [
    Dialog::Ticket,
    Dialog::Enrolment,
    Dialog::Reply,
    Dialog::Challenge,
    Dialog::Record,
    Dialog::Hello,
    Dialog::Upgrade,
    Dialog::Line,
    Dialog::WebhookAnswer,
];

type Refused = (&'static str, String);

impl File {
    fn bytes(&self) -> Vec<u8> {
        match (&self.text, &self.hex) {
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(hex)) => HEXLOWER.decode(hex.as_bytes()).unwrap(),
            _ => panic!("{}: give `text` or `hex`", self.what),
        }
    }

    /// The stage that refuses the bytes, and why.
    fn run(&self) -> (String, String) {
        let bytes = self.bytes();
        let result = match self.dialog {
            Dialog::Ticket => ticket(&bytes),
            Dialog::Enrolment => enrolment(&bytes),
            Dialog::Reply => Reply::read(&bytes).map(|_| ()).map_err(|error| {
                let stage = match error {
                    BadReply::TooLong => "too_long",
                    BadReply::Json(_) => "json",
                    BadReply::NotOk => "not_ok",
                    BadReply::Device => "device",
                    BadReply::Address => "address",
                };
                (stage, error.to_string())
            }),
            Dialog::Challenge => RegistrationAnswer::read(&bytes)
                .map(|_| ())
                .map_err(|error| {
                    let stage = match error {
                        BadAnswer::TooLong => "too_long",
                        BadAnswer::Json(_) => "json",
                        BadAnswer::Member(_) => "member",
                    };
                    (stage, error.to_string())
                }),
            Dialog::Record => match AwaitingRecord::new().receive(&bytes) {
                Ok(RecordStep::Record(_)) => Ok(()),
                Ok(RecordStep::More(waiting)) => Err(refused(&waiting.closed())),
                Err(error) => Err(refused(&error)),
            },
            Dialog::Hello => Hello::read(&bytes).map(|_| ()).map_err(|error| {
                let stage = match error {
                    BadHello::TooLong => "too_long",
                    BadHello::Json(_) => "json",
                };
                (stage, error.to_string())
            }),
            Dialog::Upgrade => UpgradeRequest::read(&bytes).map(|_| ()).map_err(|error| {
                let stage = match error {
                    BadUpgrade::TooLong => "too_long",
                    BadUpgrade::NotUpgrade => "not_upgrade",
                    BadUpgrade::Target => "target",
                    BadUpgrade::Subprotocol => "subprotocol",
                    BadUpgrade::Origin => "origin",
                };
                (stage, error.to_string())
            }),
            Dialog::Line => line(&bytes),
            Dialog::WebhookAnswer => webhook_answer(&bytes),
        };
        match result {
            Ok(()) => ("accepted".to_owned(), String::new()),
            Err((stage, refusal)) => (stage.to_owned(), refusal),
        }
    }
}

fn ticket(bytes: &[u8]) -> Result<(), Refused> {
    let text = str::from_utf8(bytes).unwrap();
    let read = text.parse::<EnrolmentTicket>();
    read.map(|_| ()).map_err(|error| {
        let stage = match error {
            BadTicket::TooLong => "too_long",
            BadTicket::Scheme | BadTicket::Path => "form",
            BadTicket::Host | BadTicket::Port => "address",
            BadTicket::Length { .. } | BadTicket::Characters | BadTicket::TypingError => "body",
            BadTicket::Kind { .. } => "kind",
            BadTicket::Id => "id",
            BadTicket::Json { .. } => "json",
        };
        (stage, error.to_string())
    })
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
    let mut decoder = Decoder::new(256);
    decoder.tail(bytes.len()).extend_from_slice(bytes);
    let line = decoder
        .next_line()
        .map_err(|error| ("too_long", error.to_string()))?;
    let line = line.ok_or(("closed", "the line has no end".to_owned()))?;
    let read = read_operation(line).map_err(|error| ("operation", error.to_string()));
    read.map(|_| ())
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

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/hostile-devices")
}

/// All files, by their paths.
fn files() -> BTreeMap<PathBuf, File> {
    let mut files = BTreeMap::new();
    for dialog in std::fs::read_dir(folder()).unwrap() {
        for entry in std::fs::read_dir(dialog.unwrap().path()).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let file = serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            files.insert(path, file);
        }
    }
    files
}

// DEV-4, DEV-9, DEV-10, DEV-11, DEV-12, DEV-20, DEV-48, DEV-49
#[test]
fn every_hostile_input_is_refused_at_its_stage() {
    let files = files();
    assert!(files.len() >= 110, "{} files", files.len());
    let mut wrong = Vec::new();
    for (path, mut file) in files {
        let (stage, refusal) = file.run();
        if std::env::var_os("COUNTERSIGN_BLESS").is_some() && stage == file.stage {
            file.refusal.clone_from(&refusal);
            let text = serde_json::to_string_pretty(&file).unwrap();
            std::fs::write(&path, text + "\n").unwrap();
        }
        if (&stage, &refusal) != (&file.stage, &file.refusal) {
            let name = path.strip_prefix(folder()).unwrap().display();
            let (expected, text) = (file.stage, file.refusal);
            wrong.push(format!(
                "{name}: expected {expected} {text:?}, got {stage} {refusal:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_dialog_has_an_input_without_a_fault_and_five_with_one() {
    let files = files();
    for dialog in DIALOGS {
        let of_dialog = files.values().filter(|file| file.dialog == dialog);
        let (accepted, refused): (Vec<_>, Vec<_>) =
            of_dialog.partition(|file| file.stage == "accepted");
        assert!(!accepted.is_empty() && refused.len() >= 5, "{dialog:?}");
    }
}

#[test]
fn no_two_files_have_the_same_bytes() {
    let files = files();
    let inputs: BTreeSet<_> = files
        .values()
        .map(|file| (file.dialog, file.bytes()))
        .collect();
    assert_eq!(inputs.len(), files.len());
}
