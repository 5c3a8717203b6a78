//! Runs `vectors/dialogs/check.py`. Needs `python3` with its module `venv`, and on the first run
//! the package index.

use std::path::{Path, PathBuf};
use std::process::Command;

use countersign_testkit::harness::python::interpreter;

use super::folder;

fn installed() -> PathBuf {
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    interpreter(&to, &folder().join("requirements.txt"))
}

#[test]
fn a_reader_in_python_verifies_logins_of_services_sessions_and_tickets() {
    let read = Command::new(installed())
        .arg("-B")
        .arg(folder().join("check.py"))
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&read.stdout);
    let errors = String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success(), "{output}{errors}");
    for what in [
        "login-service-hybrid-aes256gcm",
        "session-",
        "resume-",
        "ticket-v2-xwing",
    ] {
        assert!(
            output.contains(what),
            "check.py did not read {what}:\n{output}"
        );
    }
}
