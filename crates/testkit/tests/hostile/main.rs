//! The hostile corpus (`vectors/hostile`). Each file has one fault, and the stage that has to
//! refuse it.
//!
//! A file names a dialog and the fault in it. The tests run the dialog between the state machines.
//! They also run it without the fault and assert that it succeeds, so that no file passes for
//! another reason than its fault. With `COUNTERSIGN_BLESS=1` the texts of the refusals are written
//! to the files again, but never the stages.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]

mod corpus;
mod devices;
mod dialog;
mod fault;
mod file;
mod inside;
mod peers;

use corpus::{files, folder};
use file::{File, Stage};

const FOLDER: &str = "hostile";

#[test]
fn every_fault_is_refused_at_its_stage() {
    let mut wrong = Vec::new();
    let files = files::<File>(FOLDER);
    assert!(files.len() >= 150, "{} files", files.len());
    for (path, mut file) in files {
        let (stage, refusal) = file.run();
        if std::env::var_os("COUNTERSIGN_BLESS").is_some() && stage == file.stage {
            file.refusal.clone_from(&refusal);
            let text = serde_json::to_string_pretty(&file).unwrap();
            std::fs::write(&path, text + "\n").unwrap();
        }
        if (stage, &refusal) != (file.stage, &file.refusal) {
            let name = path.strip_prefix(folder(FOLDER)).unwrap().display();
            let (expected, text) = (file.stage, file.refusal);
            wrong.push(format!(
                "{name}: expected {expected:?} {text:?}, got {stage:?} {refusal:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_dialog_without_its_fault_is_accepted() {
    for (path, file) in files::<File>(FOLDER) {
        let accepted = File {
            fault: fault::Fault::None,
            ..file
        }
        .run();
        assert_eq!(
            accepted.0,
            Stage::Accepted,
            "{}: {}",
            path.display(),
            accepted.1
        );
    }
}

#[test]
fn every_stage_has_files() {
    let files = files::<File>(FOLDER);
    for stage in Stage::REFUSING {
        let count = files.values().filter(|file| file.stage == stage).count();
        assert!(count >= 3, "{stage:?}: {count}");
    }
}
