//! Writes the recorded dialogs to `vectors/dialogs`: `cargo run -p countersign-testkit --example
//! dialogs`. Run it after a change of a format.

#![allow(clippy::unwrap_used, reason = "the program stops at an error")]

use std::fs;
use std::path::Path;

use countersign_testkit::dialogs::{sessions, tickets, tickets_v1};
use serde::Serialize;

fn main() {
    for (name, file) in sessions::all() {
        write("sessions", &name, &file);
    }
    for (name, file) in tickets::all() {
        write("tickets", &name, &file);
    }
    let (name, file) = tickets_v1::record();
    write("v1", &name, &file);
}

fn write(folder: &str, name: &str, file: &impl Serialize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../vectors/dialogs")
        .join(folder);
    fs::create_dir_all(&folder).unwrap();
    let text = serde_json::to_string_pretty(file).unwrap();
    fs::write(folder.join(format!("{name}.json")), text + "\n").unwrap();
}
