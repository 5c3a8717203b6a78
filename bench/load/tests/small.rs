//! Runs every scenario with `--small`, and asserts the targets that do not depend on the machine.

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

/// The rows of a scenario with options.
fn rows_with(words: &[&str]) -> Vec<Value> {
    let scenario = words.join(" ");
    let output = Command::new(env!("CARGO_BIN_EXE_countersign-load"))
        .args(["--json", "--small"])
        .args(words)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{scenario}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Asserts that `chosen` selects `count` rows and that their targets are met.
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

/// Checks logins of the service, of the person from a known and from a new source, and the admin
/// socket.
fn assert_honest_logins_succeed(flood: &str) {
    assert_met(&rows(flood), 4, is_success);
}

/// 200 slow connections from 16 sources, at a site with room for 70 of them because of its limit of
/// 256 open files.
#[test]
fn honest_logins_and_the_admin_socket_work_with_few_open_files() {
    for (files, flood) in [
        ("--soft-files=128", "slow"),
        ("--hard-files=256", "slow"),
        ("--hard-files=256", "garbage"),
    ] {
        assert_met(&rows_with(&[files, flood]), 4, is_success);
    }
}

#[test]
fn honest_logins_succeed_during_slow_connections() {
    assert_honest_logins_succeed("slow");
}

#[test]
fn honest_logins_succeed_during_garbage() {
    assert_honest_logins_succeed("garbage");
}

#[test]
fn honest_logins_succeed_during_half_handshakes() {
    assert_honest_logins_succeed("half");
}

#[test]
fn honest_logins_succeed_during_wrong_pass_phrases() {
    assert_honest_logins_succeed("wrong");
}

#[test]
fn a_site_with_high_limits_keeps_all_slow_connections_and_honest_logins_succeed() {
    let rows = rows("held");
    assert_met(&rows, 4, is_success);
    assert_met(&rows, 1, |row| {
        row["what"].as_str().unwrap().ends_with("held, least")
    });
}

#[test]
fn an_unauthenticated_connection_costs_little_memory() {
    assert_met(&rows("unauthenticated"), 1, |_| true);
}

/// So few sessions do not show the cost of one.
#[test]
fn sessions_stay_idle() {
    assert!(rows("idle")[0]["figure"].is_number());
}

/// The memory of so few connections means little, and the rates depend on the machine.
#[test]
fn devices_stay_connected_and_receive_alarms() {
    let rows = rows("devices");
    assert_eq!(rows.len(), 6);
    assert!(
        rows.iter().all(|row| row["figure"].is_number()),
        "{rows:#?}"
    );
}

/// The memory of so few streams means little.
#[test]
fn every_event_stream_ends_when_its_token_is_revoked() {
    assert_met(&rows("event-streams"), 1, |row| row["unit"] == "ms");
}

#[test]
fn a_session_that_is_cut_ends_within_a_second() {
    assert_met(&rows("cut"), 1, |row| !row["target"].is_null());
}

#[test]
fn a_lockdown_ends_every_session_and_connection_of_a_device() {
    let rows = rows("lockdown");
    assert_eq!(rows.len(), 4);
    let is_measured = |row: &Value| row["figure"].is_number();
    assert!(rows.iter().all(is_measured), "{rows:#?}");
}

#[test]
fn a_lockdown_of_a_peer_ends_its_connections_within_a_second() {
    assert_met(&rows("peer-lockdown"), 2, |row| !row["target"].is_null());
}

#[test]
fn a_lock_of_an_application_is_told_to_every_session_within_a_second() {
    assert_met(&rows("void-tickets"), 1, |row| !row["target"].is_null());
}

#[test]
fn the_program_detects_a_slower_name() {
    assert_met(&rows("names"), 3, |row| {
        let what = row["what"].as_str().unwrap();
        what.contains("control, which") && !row["target"].is_null()
    });
}

#[test]
fn an_unknown_argument_is_named_in_the_error() {
    for argument in ["earthquake", "--rounds=many", "--hard-files=few", "--large"] {
        let output = Command::new(env!("CARGO_BIN_EXE_countersign-load"))
            .arg(argument)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(argument));
    }
}
