//! `vectors/dialogs/check.py`, run by Python. Needs `python3` with its module `venv`, and the package index once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::folder;

/// A Python in which the pinned packages are installed, nothing else.
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
fn a_reader_in_another_language_reads_logins_of_services_sessions_and_tickets() {
    let read = Command::new(installed())
        .arg("-B")
        .arg(folder().join("check.py"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&read.stdout);
    let complained = String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success(), "{said}{complained}");
    for what in [
        "login-service-hybrid-aes256gcm",
        "session-",
        "resume-",
        "ticket-v2-xwing",
    ] {
        assert!(said.contains(what), "{what} was not read:\n{said}");
    }
}
