//! Runs a script with Node: a party of `serveros.mjs`, or another script.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use http::Uri;
use serde_json::{Value, json};

pub(crate) struct Node {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// Whether Node is installed. If not, it prints that the test is skipped.
#[allow(clippy::print_stderr, reason = "explains why a test was skipped")]
pub(crate) fn is_here() -> bool {
    let version = Command::new("node").arg("--version").output();
    let here = version.is_ok_and(|version| version.status.success());
    if !here {
        eprintln!("skipped: this test needs node, as `scripts/install test` installs it");
    }
    here
}

impl Node {
    pub(super) fn start(config: &Value) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/broker/v1/serveros.mjs");
        Self::run(Path::new(script), &config.to_string())
    }

    /// Starts another script.
    pub(crate) fn run(script: &Path, argument: &str) -> Self {
        let mut process = Command::new("node")
            .arg(script)
            .arg(argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self {
            process,
            input,
            output,
        }
    }

    /// Starts a server and returns its address.
    pub(super) fn serve(config: &Value) -> (Self, Uri) {
        let mut node = Self::start(config);
        let port = &node.read()["port"];
        let address = format!("http://127.0.0.1:{port}");
        (node, address.parse().unwrap())
    }

    /// Sends a request through a consumer and returns its result. It blocks, so the server has to
    /// run in another thread.
    pub(super) fn call(&mut self, method: &str, path: &str, content: Option<&str>) -> Value {
        self.request(&json!({ "method": method, "path": path, "body": content }))
    }

    pub(crate) fn request(&mut self, call: &Value) -> Value {
        writeln!(self.input, "{call}").unwrap();
        self.read()
    }

    fn read(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
