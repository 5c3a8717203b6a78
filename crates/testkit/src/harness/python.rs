//! Programs in Python that stand at the other end of a protocol: independent implementations.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;
use tokio::sync::mpsc;

/// The path of a Python interpreter in the folder `to`, with the packages of a requirements file and no
/// others. Installs them on the first run, which needs `python3` with its module `venv` and the package
/// index.
#[must_use]
pub fn interpreter(to: &Path, requirements: &Path) -> PathBuf {
    fs::create_dir_all(to).unwrap();
    // Tests are processes of their own and may all need it at once.
    let lock = File::create(to.join("lock")).unwrap();
    lock.lock().unwrap();
    let environment = to.join("environment");
    let python = environment.join("bin/python");
    let wanted = fs::read(requirements).unwrap();
    let mark = to.join("installed.txt");
    if fs::read(&mark).ok().as_ref() != Some(&wanted) {
        let run = |command: &mut Command| {
            let done = command.stdout(Stdio::null()).status();
            let done = done.expect("this test needs python3");
            assert!(done.success(), "{command:?} failed");
        };
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&environment));
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
        ];
        run(Command::new(&python).args(pip).arg("-r").arg(requirements));
        fs::write(mark, wanted).unwrap();
    }
    python
}

/// A server in Python. Its first line on standard output is the port on which it listens; each further
/// line is a JSON document that tells what it received. Dropping it kills the process.
pub struct PythonServer {
    process: Child,
    /// The port on which it listens.
    pub port: u16,
    received: mpsc::UnboundedReceiver<Value>,
}

impl PythonServer {
    /// Starts a script and waits until it listens.
    #[must_use]
    pub fn start(python: &Path, script: &Path, words: &[&str]) -> Self {
        let mut process = Command::new(python)
            .arg("-B")
            .arg(script)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test needs python3");
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        let port = first.trim().parse();
        let port = port.unwrap_or_else(|_| panic!("{} did not start: {first:?}", script.display()));
        Self {
            process,
            port,
            received: read(lines),
        }
    }

    /// Waits for the next document.
    pub async fn next(&mut self) -> Value {
        self.received.recv().await.expect("the server ended")
    }

    /// The next document, if it is there already.
    pub fn ready(&mut self) -> Option<Value> {
        self.received.try_recv().ok()
    }
}

fn read(lines: BufReader<ChildStdout>) -> mpsc::UnboundedReceiver<Value> {
    let (sender, received) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in lines.lines().map_while(Result::ok) {
            let document = serde_json::from_str(&line).unwrap();
            if sender.send(document).is_err() {
                break;
            }
        }
    });
    received
}

impl Drop for PythonServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
