//! A baseline that this program runs as a process of its own, so that its memory can be measured. It serves
//! until its standard input ends.

use std::process::Stdio;

use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::Result;

/// The running process. It stops when this is dropped.
pub(crate) struct BaselineProcess {
    process: Child,
    requests: ChildStdin,
}

impl BaselineProcess {
    /// Starts this program in a mode. Returns the process with its first line of output.
    pub(crate) async fn start<A: DeserializeOwned>(mode: &str) -> Result<(Self, A)> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(mode)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (out, requests) = (process.stdout.take(), process.stdin.take());
        let mut line = String::new();
        let out = out.ok_or("the baseline's process has no output")?;
        BufReader::new(out).read_line(&mut line).await?;
        let requests = requests.ok_or("the baseline's process has no input")?;
        Ok((Self { process, requests }, serde_json::from_str(&line)?))
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> Result<u32> {
        Ok(self
            .process
            .id()
            .ok_or("the baseline's process has ended")?)
    }

    /// Sends a line to the baseline's standard input.
    pub(crate) async fn request(&mut self) -> Result<()> {
        Ok(self.requests.write_all(b"\n").await?)
    }
}
