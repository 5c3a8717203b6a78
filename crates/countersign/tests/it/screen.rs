//! A pseudo-terminal (of `script`): tests type keys and read the screen.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A shell in a terminal of its own. Dropping it closes the terminal.
pub(crate) struct Terminal {
    shell: Child,
    keys: ChildStdin,
    screen: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    /// Runs `line` in a folder, with `countersign` as `$CS`.
    pub(crate) fn run(folder: &Path, line: &str) -> Self {
        Self::run_with(folder, line, &[])
    }

    /// Runs `line` with environment variables.
    pub(crate) fn run_with(folder: &Path, line: &str, variables: &[(&str, String)]) -> Self {
        let mut shell = Command::new("script")
            .args(["-qec", line, "/dev/null"])
            .current_dir(folder)
            .env("CS", env!("CARGO_BIN_EXE_countersign"))
            .env("SHELL", "/bin/sh")
            .env("COUNTERSIGN_DEVICE_LISTEN", "127.0.0.1:0")
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (keys, mut out) = (shell.stdin.take().unwrap(), shell.stdout.take().unwrap());
        let (send, screen) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = out.read(&mut buffer) {
                let _ = send.send(buffer[..read].to_vec());
            }
        });
        Self {
            shell,
            keys,
            screen,
            seen: String::new(),
        }
    }

    /// Waits until the screen shows `text`. Returns the output before it, and continues after it.
    pub(crate) fn shown_until(&mut self, text: &str) -> String {
        while !self.seen.contains(text) {
            let more = self.screen.recv_timeout(Duration::from_secs(60));
            let more = more.unwrap_or_else(|_| panic!("no {text:?} in {:?}", self.seen));
            self.seen += &String::from_utf8_lossy(&more);
        }
        let (before, after) = self.seen.split_once(text).unwrap();
        let (before, after) = (before.to_owned(), after.to_owned());
        self.seen = after;
        before
    }

    /// Waits until the screen shows `text`. Returns the terminal, for chained calls.
    pub(crate) fn until(&mut self, text: &str) -> &mut Self {
        self.shown_until(text);
        self
    }

    pub(crate) fn press(&mut self, keys: &str) -> &mut Self {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self
    }

    /// The output until the end.
    pub(crate) fn rest(mut self) -> String {
        while let Ok(more) = self.screen.recv_timeout(Duration::from_secs(60)) {
            self.seen += &String::from_utf8_lossy(&more);
        }
        self.shell.wait().unwrap();
        std::mem::take(&mut self.seen)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
