//! Every scenario in small: that it works, and what does not depend on the machine.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]

use std::process::Command;

use serde_json::Value;

#[test]
fn every_scenario_runs_and_honest_logins_get_through() {
    let output = Command::new(env!("CARGO_BIN_EXE_countersign-load"))
        .args(["--json", "--small"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    for scenario in [
        "slow", "garbage", "half", "wrong", "unproved", "idle", "cut", "names",
    ] {
        let of: Vec<&Value> = rows
            .iter()
            .filter(|row| row["scenario"] == scenario)
            .collect();
        assert!(!of.is_empty(), "{scenario}");
        for row in of {
            let figure = row["figure"].as_f64().unwrap();
            if row["unit"] == "%" {
                assert!(figure > 90.0, "{row}");
            }
        }
    }
}

#[test]
fn an_unknown_scenario_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_countersign-load"))
        .arg("earthquake")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("earthquake"));
}
