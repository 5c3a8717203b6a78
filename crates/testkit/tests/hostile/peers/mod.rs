//! The hostile corpus of peers (`vectors/hostile-peers`): each message between sites, with one fault in
//! each file and the stage that has to refuse it.
//!
//! Each dialog also has a file without a fault, which is accepted, so that no file passes because
//! every input of its dialog is refused. With `COUNTERSIGN_BLESS=1` the texts of the refusals are
//! written to the files again, but never the stages.

mod answers;
mod exchange;
mod stages;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use stages::Refused;

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
    /// Spaces that stand before the last byte, so that a long line makes no long file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spaces: Option<usize>,
    /// The stage that has to refuse it; `accepted` if there is no fault.
    stage: String,
    /// The text of the refusal; empty if there is no fault.
    refusal: String,
}

/// What the bytes are read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Dialog {
    /// A peer ticket as URI or JSON.
    Ticket,
    /// The first line of a client without a certificate: a sealed request, or one for key events.
    First,
    /// The request to join that is sealed in the first line.
    Request,
    /// The answer to a request to join.
    Answer,
    /// A page of key events, to a site that knows the first one.
    KeyEvents,
    /// The first line of the site that connects, whose first key event is known.
    Hello,
    /// The first line of the other site.
    Welcome,
    /// A later line, of at most 256 bytes.
    Line,
    /// The parameters of `peer deliver`, at a site with the person ada.
    Deliver,
    /// The result of `peer deliver`.
    Reports,
    /// The parameters of `broker foreign_ticket`, at a site whose application `ledger` admits
    /// `billing@b.example`.
    ForeignTicket,
    /// The result of `broker foreign_ticket`.
    ForeignTicketAnswer,
    /// The parameters of `broker foreign_void`.
    ForeignVoid,
    /// The parameters of `peer address`.
    Address,
    /// The parameters of `peer ping`.
    Ping,
    /// The result of `peer ping`.
    Status,
    /// The parameters of `peer audit_head`, at a site that has countersigned the head of entry 5.
    AuditHead,
    /// The result of `peer audit_head`.
    HeadReply,
    /// The last line of a connection.
    End,
}

const DIALOGS: [Dialog; 19] = [
    Dialog::Ticket,
    Dialog::First,
    Dialog::Request,
    Dialog::Answer,
    Dialog::KeyEvents,
    Dialog::Hello,
    Dialog::Welcome,
    Dialog::Line,
    Dialog::Deliver,
    Dialog::Reports,
    Dialog::ForeignTicket,
    Dialog::ForeignTicketAnswer,
    Dialog::ForeignVoid,
    Dialog::Address,
    Dialog::Ping,
    Dialog::Status,
    Dialog::AuditHead,
    Dialog::HeadReply,
    Dialog::End,
];

impl File {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = match (&self.text, &self.hex) {
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(hex)) => HEXLOWER.decode(hex.as_bytes()).unwrap(),
            _ => panic!("{}: give `text` or `hex`", self.what),
        };
        if let Some(spaces) = self.spaces {
            let last = bytes.pop().unwrap();
            bytes.resize(bytes.len() + spaces, b' ');
            bytes.push(last);
        }
        bytes
    }

    /// The stage that refuses the bytes, and why.
    fn run(&self) -> (String, String) {
        let bytes = self.bytes();
        let result: Result<(), Refused> = match self.dialog {
            Dialog::Ticket => stages::ticket(&bytes),
            Dialog::First => stages::first(&bytes),
            Dialog::Request => stages::request(&bytes),
            Dialog::Answer => stages::answer(&bytes),
            Dialog::KeyEvents => stages::key_events(&bytes),
            Dialog::Hello => stages::hello(&bytes),
            Dialog::Welcome => stages::welcome(&bytes),
            Dialog::Line => stages::line(&bytes),
            Dialog::Deliver => stages::deliver(&bytes),
            Dialog::Reports => stages::reports(&bytes),
            Dialog::ForeignTicket => exchange::operation("broker", "foreign_ticket", &bytes),
            Dialog::ForeignTicketAnswer => answers::ticket(&bytes),
            Dialog::ForeignVoid => exchange::operation("broker", "foreign_void", &bytes),
            Dialog::Address => exchange::operation("peer", "address", &bytes),
            Dialog::Ping => exchange::operation("peer", "ping", &bytes),
            Dialog::Status => exchange::status(&bytes),
            Dialog::AuditHead => exchange::audit_head(&bytes),
            Dialog::HeadReply => exchange::head_reply(&bytes),
            Dialog::End => exchange::end(&bytes),
        };
        match result {
            Ok(()) => ("accepted".to_owned(), String::new()),
            Err((stage, refusal)) => (stage.to_owned(), refusal),
        }
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/hostile-peers")
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

// PEER-1, PEER-4, PEER-5, PEER-6, PEER-7, PEER-11, PEER-14, PEER-15, PEER-17, PEER-18, PEER-20,
// PEER-26, PEER-28, PEER-29, PEER-32, PEER-33, PEER-34, PEER-41
#[test]
fn every_hostile_message_of_a_peer_is_refused_at_its_stage() {
    let files = files();
    assert!(files.len() >= 350, "{} files", files.len());
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
fn every_dialog_of_peers_has_an_input_without_a_fault_and_five_with_one() {
    let files = files();
    for dialog in DIALOGS {
        let of_dialog = files.values().filter(|file| file.dialog == dialog);
        let (accepted, refused): (Vec<_>, Vec<_>) =
            of_dialog.partition(|file| file.stage == "accepted");
        assert!(!accepted.is_empty() && refused.len() >= 5, "{dialog:?}");
    }
}

#[test]
fn no_two_files_of_peers_have_the_same_bytes() {
    let files = files();
    let inputs: BTreeSet<_> = files
        .values()
        .map(|file| (file.dialog, file.bytes()))
        .collect();
    assert_eq!(inputs.len(), files.len());
}
