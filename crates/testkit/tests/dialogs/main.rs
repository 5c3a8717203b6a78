//! The recorded dialogs of `vectors/dialogs`: replays each party alone against the recorded
//! messages of the others, compares the files with what `--example dialogs` writes, and runs the
//! verifier in Python.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests stop at a failure"
)]

mod python;

use std::fs;
use std::path::{Path, PathBuf};

use countersign_testkit::dialogs::form::{Party, SessionFile};
use countersign_testkit::dialogs::tickets::{self, TicketFile};
use countersign_testkit::dialogs::tickets_v1::{self, V1File};
use countersign_testkit::dialogs::{play, sessions};
use serde::de::DeserializeOwned;

const AGAIN: &str =
    "run `cargo run -p countersign-testkit --example dialogs` and review the changes";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/dialogs")
}

/// All files of a folder, by name.
fn files<T: DeserializeOwned>(kind: &str) -> Vec<(String, T)> {
    let entries = fs::read_dir(folder().join(kind)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = paths.iter().map(|path| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let file = serde_json::from_str(&fs::read_to_string(path).unwrap());
        (
            name.clone(),
            file.unwrap_or_else(|error| panic!("{name}: {error}")),
        )
    });
    read.collect()
}

fn recorded() -> Vec<(String, SessionFile)> {
    let files = files("sessions");
    assert!(files.len() > 10);
    files
}

#[test]
fn a_client_replays_every_recorded_session() {
    for (_, file) in recorded() {
        play::replay(&file, Party::Client);
    }
}

#[test]
fn a_site_replays_every_recorded_session() {
    for (_, file) in recorded() {
        play::replay(&file, Party::Server);
    }
}

#[test]
fn the_recorded_sessions_are_reproduced_byte_for_byte() {
    let made = sessions::all();
    let recorded = recorded();
    assert_eq!(made.len(), recorded.len(), "{AGAIN}");
    for (name, file) in made {
        let found = recorded.iter().find(|(recorded, _)| *recorded == name);
        assert!(
            found.is_some_and(|(_, recorded)| *recorded == file),
            "{name}: {AGAIN}"
        );
    }
}

#[test]
fn each_party_replays_every_recorded_ticket() {
    let files: Vec<(String, TicketFile)> = files("tickets");
    assert_eq!(files.len(), 3);
    for (_, file) in files {
        tickets::replay_site(&file);
        tickets::replay_consumer(&file);
        tickets::replay_provider(&file);
        assert_eq!(tickets::explained(&file), file.derived);
    }
}

#[test]
fn recorded_tickets_are_reproduced_except_for_the_output_of_ml_kem() {
    let recorded: Vec<(String, TicketFile)> = files("tickets");
    for (name, made) in tickets::all() {
        let (_, file) = recorded
            .iter()
            .find(|(recorded, _)| *recorded == name)
            .expect(AGAIN);
        assert_eq!(made.inputs, file.inputs, "{name}: {AGAIN}");
        assert_eq!(made.entropy, file.entropy, "{name}: {AGAIN}");
        assert_eq!(
            made.is_fixed() && file.is_fixed(),
            made == *file,
            "{name}: {AGAIN}"
        );
    }
}

#[test]
fn each_party_replays_the_recorded_ticket_of_edition_v1() {
    let files: Vec<(String, V1File)> = files("v1");
    assert!(!files.is_empty());
    for (_, file) in files {
        tickets_v1::replay(&file);
        assert_eq!(tickets_v1::explained(&file), file.derived);
        let (_, made) = tickets_v1::record();
        let fixed = (&made.inputs, &made.entropy, &made.not_fixed);
        assert_eq!(
            fixed,
            (&file.inputs, &file.entropy, &file.not_fixed),
            "{AGAIN}"
        );
    }
}
