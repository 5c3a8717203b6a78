//! `enrol --keyring` with gnome-keyring, a Secret Service, in a session of D-Bus of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::devices::{Device, site_with_ada, uri};
use crate::running::CommandOutput;

/// A session with an unlocked keyring.
struct Session {
    process: Child,
    address: String,
    _home: tempfile::TempDir,
}

impl Session {
    fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let script = "printf 'login' | gnome-keyring-daemon --unlock --components=secrets >/dev/null && \
                      echo \"$DBUS_SESSION_BUS_ADDRESS\" && exec cat";
        let mut process = Command::new("dbus-run-session")
            .args(["--", "sh", "-c", script])
            .env("HOME", home.path())
            .env("XDG_DATA_HOME", home.path())
            .env("XDG_RUNTIME_DIR", home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("`scripts/install test` installs it: {error}"));
        let mut address = String::new();
        let output = process.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut address).unwrap();
        assert!(address.starts_with("unix:"), "{address:?}");
        Self {
            process,
            address: address.trim().to_owned(),
            _home: home,
        }
    }

    fn run(&self, device: &Device<'_>, words: &[&str]) -> CommandOutput {
        let mut command = device.command(words);
        command
            .env("DBUS_SESSION_BUS_ADDRESS", &self.address)
            .stdin(Stdio::null());
        command.output().unwrap().into()
    }

    /// The secrets of this program in the keyring.
    fn secrets(&self) -> String {
        let found = Command::new("secret-tool")
            .args(["search", "--all", "application", "countersign"])
            .env("DBUS_SESSION_BUS_ADDRESS", &self.address)
            .output()
            .unwrap();
        String::from_utf8(found.stdout).unwrap()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The session ends with the end of its input.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

#[test]
fn a_keyring_keeps_the_pass_phrase_of_a_key_until_its_profile_is_removed() {
    let session = Session::start();
    let site = site_with_ada();
    let phone = Device::new(&site, "phone");
    let uri = uri(&site);
    let enrol = ["enrol", &uri, "--id", "ada@local", "--keyring"];
    let enrolled = session.run(&phone, &enrol);
    assert_eq!(enrolled.code, 0, "{}", enrolled.err);
    let key = std::fs::read_to_string(site.path("phone/profiles/ada@local.key")).unwrap();
    assert!(key.contains("ENCRYPTED"), "{key}");
    let secrets = session.secrets();
    assert!(
        secrets.contains("Countersign key of the profile ada@local"),
        "{secrets}"
    );
    // The same ticket again, in case the reply was lost; and a connection.
    assert_eq!(session.run(&phone, &enrol).code, 0);
    let called = session.run(&phone, &["call", "site", "status"]);
    assert_eq!(called.code, 0, "{}", called.err);
    // Without the keyring the key stays closed.
    let without = phone.run(&["call", "site", "status"]);
    assert_eq!(without.code, 1);
    assert!(without.err.contains("[keyring]"), "{}", without.err);
    let removed = session.run(&phone, &["profile", "remove", "ada@local", "--yes"]);
    assert_eq!(removed.code, 0, "{}", removed.err);
    assert_eq!(session.secrets(), "");
}

#[test]
fn without_a_keyring_nothing_is_enrolled_and_the_ticket_stays() {
    let site = site_with_ada();
    let phone = Device::new(&site, "phone");
    let uri = uri(&site);
    let mut command = phone.command(&["enrol", &uri, "--id", "ada@local", "--keyring"]);
    command
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/none")
        .stdin(Stdio::null());
    let refused: CommandOutput = command.output().unwrap().into();
    assert_eq!(refused.code, 1, "{}", refused.err);
    assert!(refused.err.contains("--passphrase"), "{}", refused.err);
    assert!(!site.path("phone/profiles/ada@local.key").exists());
    let enrolled = phone.run(&["enrol", &uri, "--id", "ada@local"]);
    assert_eq!(enrolled.code, 0, "{}", enrolled.err);
}
