//! A running site in a folder of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

pub(crate) const SITE_PASSPHRASE: &str = "a long site pass phrase";
pub(crate) const MARIAS_PASSPHRASE: &str = "correct horse battery";

/// The process and the folder of a site. Dropping it kills the process.
pub(crate) struct Running {
    pub(crate) folder: tempfile::TempDir,
    process: Option<Child>,
    pub(crate) uri: String,
}

/// The output and the exit code of a command.
pub(crate) struct CommandOutput {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: i32,
}

impl CommandOutput {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

impl From<Output> for CommandOutput {
    fn from(output: Output) -> Self {
        Self {
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code().unwrap_or(-1),
        }
    }
}

impl Running {
    /// A folder with pass phrase files and without a running site.
    pub(crate) fn folder() -> Self {
        let site = Self {
            folder: tempfile::tempdir().unwrap(),
            process: None,
            uri: String::new(),
        };
        site.write("site.pass", SITE_PASSPHRASE);
        site.write("maria.pass", MARIAS_PASSPHRASE);
        site.write("wrong.pass", "not the right pass phrase");
        site
    }

    /// Creates an unsealed site.
    pub(crate) fn new() -> Self {
        let mut site = Self::folder();
        site.start(&["--passphrase-file", "site.pass"]);
        site
    }

    /// Creates an unsealed site with a person, who has a pass phrase, and a service, which has a key.
    pub(crate) fn with_accounts() -> Self {
        let site = Self::new();
        site.create_accounts();
        site
    }

    /// Creates the accounts.
    pub(crate) fn create_accounts(&self) {
        for words in [
            &["person", "create", "maria", "--role", "admin"][..],
            &[
                "person",
                "passphrase",
                "maria",
                "--passphrase-file",
                "maria.pass",
            ],
        ] {
            self.runs(words);
        }
        self.create_robot();
    }

    /// Creates the service `robot`, whose key is in `robot.key`.
    pub(crate) fn create_robot(&self) {
        let create = ["service", "create", "robot"];
        self.runs(&["key", "new", "--out", "robot.key"]);
        self.runs(&[&create[..], &["--public-key", "robot.key.pub"]].concat());
    }

    /// Creates an application with a new key.
    pub(crate) fn create_application(&self, id: &str) {
        let (key, party) = (format!("{id}.key"), format!("{id}.party"));
        self.runs(&["key", "new", "--out", &key]);
        self.runs(&["key", "party", &key, "--out", &party]);
        self.runs(&["app", "create", id, "--public-key", &party]);
    }

    /// Starts the site and waits until it prints its URI.
    pub(crate) fn start(&mut self, words: &[&str]) {
        let command = self.command(&["serve"]);
        self.start_as(command, words);
    }

    /// Starts the site with a given command and waits until it prints its URI.
    pub(crate) fn start_as(&mut self, mut command: Command, words: &[&str]) {
        let mut process = command
            .args(["--session-listen", "127.0.0.1:0"])
            .args(["--http-listen", "127.0.0.1:0"])
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap());
        let mut output = String::new();
        self.uri = loop {
            let mut line = String::new();
            assert!(
                lines.read_line(&mut line).unwrap() > 0,
                "the site did not start: {output}"
            );
            if let Some(uri) = line.strip_prefix("The site is at ") {
                break uri.trim().to_owned();
            }
            output += &line;
        };
        // Read the rest of the log, so that the pipe never fills up.
        std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
        self.process = Some(process);
    }

    /// The process id.
    pub(crate) fn process(&self) -> i32 {
        i32::try_from(self.process.as_ref().unwrap().id()).unwrap()
    }

    /// The URL of the HTTP listener.
    pub(crate) fn http(&self) -> String {
        let status = self.run(&["site", "status", "--json"]).json();
        status["listen"]["http"].as_str().unwrap().to_owned()
    }

    /// Kills the site, as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Stops the site and returns its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        let mut process = self.process.take()?;
        kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
        process.wait().unwrap().code()
    }

    /// Makes the site read its configuration again.
    pub(crate) fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().unwrap();
        kill_process(Pid::from_child(process), signal).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Runs a command for the folder of this site.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        command(self.folder.path(), words)
    }

    pub(crate) fn run(&self, words: &[&str]) -> CommandOutput {
        self.command(words)
            .stdin(Stdio::null())
            .output()
            .unwrap()
            .into()
    }

    /// Runs a command, which must succeed.
    pub(crate) fn runs(&self, words: &[&str]) -> CommandOutput {
        let output = self.run(words);
        assert_eq!(output.code, 0, "{words:?}: {}", output.err);
        output
    }

    /// Runs a command, which must succeed, and returns its result.
    pub(crate) fn succeeds(&self, words: &[&str]) -> Value {
        self.runs(&[words, &["--json"]].concat()).json()
    }

    /// Runs a command with `input` on standard input.
    pub(crate) fn run_with(&self, words: &[&str], input: &str) -> CommandOutput {
        let mut process = self
            .command(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that fails early does not read its input.
        let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
        process.wait_with_output().unwrap().into()
    }

    /// Calls an operation over the session protocol as maria, with the pass phrase in `file`.
    pub(crate) fn call(&self, name: &str, file: &str, words: &[&str]) -> CommandOutput {
        let login = [
            "call",
            "--site",
            &self.uri,
            "--as",
            name,
            "--passphrase-file",
            file,
        ];
        self.run(&[&login[..], words].concat())
    }

    /// Calls an operation over the session protocol as the robot.
    pub(crate) fn call_as_robot(&self, words: &[&str]) -> CommandOutput {
        let login = ["call", "--site", &self.uri, "--key", "robot.key"];
        self.run(&[&login[..], words].concat())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn command(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command
        .current_dir(folder)
        .args(words)
        .env_remove("COUNTERSIGN_DATA")
        .env("COUNTERSIGN_DEVICE_LISTEN", "127.0.0.1:0")
        .env("XDG_CONFIG_HOME", folder.join("config"))
        .env("XDG_STATE_HOME", folder.join("state"));
    command
}
