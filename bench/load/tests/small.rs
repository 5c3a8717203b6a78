//! Every scenario in small: that it works, and what does not depend on the machine.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]

use std::process::Command;

use serde_json::Value;

/// The rows of a scenario.
fn rows(scenario: &str) -> Vec<Value> {
    rows_with(&[scenario])
}

/// The same with options.
fn rows_with(words: &[&str]) -> Vec<Value> {
    let scenario = words.join(" ");
    let output = Command::new(env!("CARGO_BIN_EXE_countersign-load"))
        .args(["--json", "--small"])
        .args(words)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{scenario}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Asserts that the targets of so many rows that `chosen` names are met.
fn assert_met(rows: &[Value], count: usize, chosen: impl Fn(&Value) -> bool) {
    let chosen: Vec<&Value> = rows.iter().filter(|row| chosen(row)).collect();
    assert_eq!(chosen.len(), count, "{rows:#?}");
    for row in chosen {
        assert_eq!(row["met"], true, "{row}");
    }
}

fn is_success(row: &Value) -> bool {
    row["unit"] == "%"
}

/// Logins of the service, and of the person from a known and from a new source; and the admin socket's answers.
fn assert_honest_logins_get_through(flood: &str) {
    assert_met(&rows(flood), 4, is_success);
}

/// 200 slow connections from 16 sources at a site with 70 places for them: more would not fit 256 open files.
#[test]
fn honest_logins_and_the_admin_socket_get_through_where_files_are_few() {
    for (files, flood) in [
        ("--soft-files=128", "slow"),
        ("--hard-files=256", "slow"),
        ("--hard-files=256", "garbage"),
    ] {
        assert_met(&rows_with(&[files, flood]), 4, is_success);
    }
}

#[test]
fn honest_logins_get_through_slow_connections() {
    assert_honest_logins_get_through("slow");
}

#[test]
fn honest_logins_get_through_garbage() {
    assert_honest_logins_get_through("garbage");
}

#[test]
fn honest_logins_get_through_half_handshakes() {
    assert_honest_logins_get_through("half");
}

#[test]
fn honest_logins_get_through_wrong_pass_phrases() {
    assert_honest_logins_get_through("wrong");
}

#[test]
fn a_site_with_room_for_them_holds_all_slow_connections_and_honest_logins_get_through() {
    let rows = rows("held");
    assert_met(&rows, 4, is_success);
    assert_met(&rows, 1, |row| {
        row["what"].as_str().unwrap().ends_with("held, least")
    });
}

#[test]
fn an_unproved_connection_costs_little_memory() {
    assert_met(&rows("unauthenticated"), 1, |_| true);
}

/// How much one costs cannot be told of so few.
#[test]
fn sessions_stay_idle() {
    assert!(rows("idle")[0]["figure"].is_number());
}

#[test]
fn a_session_that_is_cut_is_dead_within_a_second() {
    assert_met(&rows("cut"), 1, |row| !row["target"].is_null());
}

#[test]
fn the_program_tells_a_slower_name_apart() {
    assert_met(&rows("names"), 3, |row| {
        let what = row["what"].as_str().unwrap();
        what.contains("control, which") && !row["target"].is_null()
    });
}

#[test]
fn an_argument_that_means_nothing_is_named() {
    for argument in ["earthquake", "--rounds=many", "--hard-files=few", "--large"] {
        let output = Command::new(env!("CARGO_BIN_EXE_countersign-load"))
            .arg(argument)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(argument));
    }
}
