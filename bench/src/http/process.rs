//! A server in its own process, and the processor time that it has used.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::Result;

/// A server process. It ends when this is dropped.
pub(crate) struct Process {
    child: Child,
    /// The JSON of its first line of output.
    pub(crate) announcement: Value,
}

impl Process {
    /// Starts this program in the given mode.
    pub(crate) fn own(mode: &str) -> Result<Self> {
        Self::start(Command::new(std::env::current_exe()?).arg(mode))
    }

    /// Starts this program in the given mode, with further arguments.
    pub(crate) fn own_with(mode: &str, arguments: &[String]) -> Result<Self> {
        let program = std::env::current_exe()?;
        Self::start(Command::new(program).arg(mode).args(arguments))
    }

    /// Starts a script of `baselines/` with Node.
    pub(crate) fn baseline(script: &str) -> Result<Self> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/baselines/");
        Self::start(Command::new("node").arg(format!("{folder}{script}")))
    }

    fn start(command: &mut Command) -> Result<Self> {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let output = child.stdout.take().ok_or("a pipe")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        Ok(Self {
            announcement: serde_json::from_str(&line)?,
            child,
        })
    }

    /// Its address.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        let address = self.announcement.get("address").and_then(Value::as_str);
        Ok(address.ok_or("an address")?.parse()?)
    }

    /// The processor time that all its threads have used.
    pub(crate) fn used(&self) -> Result<Duration> {
        let mut used = Duration::ZERO;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let path = task?.path().join("schedstat");
            // A thread may have ended since it was listed.
            let Ok(text) = std::fs::read_to_string(path) else {
                continue;
            };
            let nanos = text.split_whitespace().next().unwrap_or("0");
            used += Duration::from_nanos(nanos.parse()?);
        }
        Ok(used)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
