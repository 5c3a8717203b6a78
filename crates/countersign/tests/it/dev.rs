//! A temporary site that is started by a shell command line.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use rustix::process::{Pid, Signal, kill_process};

use crate::running::{CommandOutput, command};

/// A temporary site in a folder of its own, started by a shell command line. Dropping it kills it.
pub(crate) struct Site {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) process: Process,
    pub(crate) uri: String,
}

impl Site {
    /// Starts the site and adds a service with a key. `"$@"` in `line` stands for the command.
    pub(crate) fn start(line: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::start(&mut shell(folder.path(), line, DEV));
        let mut site = Self {
            folder,
            process,
            uri: String::new(),
        };
        site.uri = loop {
            assert!(site.process.runs(), "it did not start");
            let status = site.run(&["site", "status", "--json"]);
            if status.code == 0 {
                break status.json()["uri"].as_str().unwrap().to_owned();
            }
        };
        for words in [
            &["key", "new", "--out", "robot.key"][..],
            &[
                "service",
                "create",
                "robot",
                "--public-key",
                "robot.key.pub",
            ],
        ] {
            let output = site.run(words);
            assert_eq!(output.code, 0, "{words:?}: {}", output.err);
        }
        site
    }

    pub(crate) fn run(&self, words: &[&str]) -> CommandOutput {
        let output = command(self.folder.path(), words)
            .stdin(Stdio::null())
            .output();
        output.unwrap().into()
    }

    pub(crate) fn log_in(&self) -> CommandOutput {
        let login = ["call", "--site", &self.uri, "--key", "robot.key"];
        self.run(&[&login[..], &["self", "show"]].concat())
    }

    pub(crate) fn address(&self) -> &str {
        let address = self.uri.strip_prefix("countersign://").unwrap();
        address.split_once('#').unwrap().0
    }

    /// Opens idle connections from several addresses, the same number from each.
    pub(crate) fn flood(&self, addresses: u8, each: usize) -> Vec<impl Sized + use<>> {
        let to: std::net::SocketAddr = self.address().parse().unwrap();
        let connected = |number: usize| {
            let from = [
                127,
                1,
                0,
                u8::try_from(number % usize::from(addresses)).unwrap() + 1,
            ];
            let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
            bind(&socket, &std::net::SocketAddr::from((from, 0))).unwrap();
            connect(&socket, &to).unwrap();
            socket
        };
        (0..usize::from(addresses) * each).map(connected).collect()
    }

    pub(crate) fn stop(mut self) -> Option<i32> {
        self.process.signal(Signal::TERM);
        self.process.code()
    }
}

/// A process. Dropping this kills it.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// Starts a process and returns its standard error too.
    pub(crate) fn with_stderr(command: &mut Command) -> (Self, BufReader<ChildStderr>) {
        let mut process = Self::start(command.stderr(Stdio::piped()));
        let output = process.0.stderr.take().unwrap();
        (process, BufReader::new(output))
    }

    /// Standard output, once, of a process that was started with a pipe there.
    pub(crate) fn output(&mut self) -> BufReader<ChildStdout> {
        BufReader::new(self.0.stdout.take().unwrap())
    }

    pub(crate) fn id(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.id(), signal).unwrap();
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Waits for the end of the process and returns its exit code.
    pub(crate) fn code(&mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) const DEV: &[&str] = &[
    "dev",
    "--data",
    "site",
    "--session-listen",
    "127.0.0.1:0",
    "--http-listen",
    "127.0.0.1:0",
    "--device-listen",
    "127.0.0.1:0",
];

/// A command that is started by a shell command line, in which `"$@"` stands for it.
pub(crate) fn shell(folder: &std::path::Path, line: &str, words: &[&str]) -> Command {
    let mut shell = Command::new("sh");
    shell
        .current_dir(folder)
        .args(["-c", line, "sh", env!("CARGO_BIN_EXE_countersign")])
        .args(words)
        .env_remove("COUNTERSIGN_DATA")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    shell
}

/// Reads standard error up to a line that contains `text`.
pub(crate) fn wait_for(output: &mut BufReader<ChildStderr>, text: &str) -> String {
    let mut all = String::new();
    while !all.contains(text) {
        assert!(
            output.read_line(&mut all).unwrap() > 0,
            "no {text:?}: {all}"
        );
    }
    all
}
