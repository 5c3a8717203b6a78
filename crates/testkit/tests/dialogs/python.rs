//! Runs `vectors/dialogs/check.py`. Needs `python3` with its module `venv`, and on the first run
//! the package index.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::folder;

/// The path of a Python interpreter that has the pinned packages and no others.
fn installed() -> PathBuf {
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let python = to.join("bin/python");
    let wanted = fs::read(folder().join("requirements.txt")).unwrap();
    let mark = to.join("requirements.txt");
    if fs::read(&mark).ok().as_ref() != Some(&wanted) {
        let run = |command: &mut Command| {
            let done = command.stdout(Stdio::null()).status();
            let done = done.expect("this test needs python3");
            assert!(done.success(), "{command:?} failed");
        };
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&to));
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
        ];
        let requirements = folder().join("requirements.txt");
        run(Command::new(&python).args(pip).arg("-r").arg(requirements));
        fs::write(mark, wanted).unwrap();
    }
    python
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
