//! A corpus of inputs with one fault each, and the stage that has to refuse it.
//!
//! Each dialog also has a file without a fault, which is accepted, so that no file passes because
//! every input of its dialog is refused. With `COUNTERSIGN_BLESS=1` the texts of the refusals are
//! written to the files again, but never the stages.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::{Path, PathBuf};

use countersign_proto::enrolment::BadTicket;
use countersign_proto::lines::Decoder;
use data_encoding::HEXLOWER;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The stage and the text of a refusal.
pub(crate) type Refused = (&'static str, String);

/// What the bytes of a corpus are read as.
pub(crate) trait Dialog:
    'static + Copy + Debug + Ord + Serialize + DeserializeOwned
{
    /// The folder of the corpus in `vectors`.
    const FOLDER: &'static str;
    const ALL: &'static [Self];

    fn read(self, bytes: &[u8]) -> Result<(), Refused>;
}

/// A file of a corpus.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File<D> {
    /// A description of the fault.
    what: String,
    dialog: D,
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

impl<D: Dialog> File<D> {
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
        match self.dialog.read(&self.bytes()) {
            Ok(()) => ("accepted".to_owned(), String::new()),
            Err((stage, refusal)) => (stage.to_owned(), refusal),
        }
    }
}

/// A folder of `vectors`.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../vectors")
        .join(name)
}

/// All files of a corpus, by their paths.
pub(crate) fn files<F: DeserializeOwned>(name: &str) -> BTreeMap<PathBuf, F> {
    let mut files = BTreeMap::new();
    for kind in std::fs::read_dir(folder(name)).unwrap() {
        for entry in std::fs::read_dir(kind.unwrap().path()).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let file = serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            files.insert(path, file);
        }
    }
    files
}

/// Every input is refused at its stage and with its text.
pub(crate) fn assert_refused<D: Dialog>(at_least: usize) {
    let files = files::<File<D>>(D::FOLDER);
    assert!(files.len() >= at_least, "{} files", files.len());
    let mut wrong = Vec::new();
    for (path, mut file) in files {
        let (stage, refusal) = file.run();
        if std::env::var_os("COUNTERSIGN_BLESS").is_some() && stage == file.stage {
            file.refusal.clone_from(&refusal);
            let text = serde_json::to_string_pretty(&file).unwrap();
            std::fs::write(&path, text + "\n").unwrap();
        }
        if (&stage, &refusal) != (&file.stage, &file.refusal) {
            let name = path.strip_prefix(folder(D::FOLDER)).unwrap().display();
            let (expected, text) = (file.stage, file.refusal);
            wrong.push(format!(
                "{name}: expected {expected} {text:?}, got {stage} {refusal:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every dialog has an input without a fault and five with one, and no input is there twice.
pub(crate) fn assert_complete<D: Dialog>() {
    let files = files::<File<D>>(D::FOLDER);
    for dialog in D::ALL {
        let of_dialog = files.values().filter(|file| file.dialog == *dialog);
        let (accepted, refused): (Vec<_>, Vec<_>) =
            of_dialog.partition(|file| file.stage == "accepted");
        assert!(!accepted.is_empty() && refused.len() >= 5, "{dialog:?}");
    }
    let inputs: BTreeSet<_> = files
        .values()
        .map(|file| (file.dialog, file.bytes()))
        .collect();
    assert_eq!(inputs.len(), files.len());
}

pub(crate) fn ticket_refused(error: &BadTicket) -> Refused {
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
}

/// Reads the first line, of at most 256 bytes.
pub(crate) fn line(
    bytes: &[u8],
    read: impl FnOnce(&[u8]) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let mut decoder = Decoder::new(256);
    decoder.tail(bytes.len()).extend_from_slice(bytes);
    let line = decoder
        .next_line()
        .map_err(|error| ("too_long", error.to_string()))?;
    read(line.ok_or(("closed", "the line has no end".to_owned()))?)
}
