//! Speaking with a site through the admin socket in its folder.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use countersign_proto::operation::{Code, Operation, Outcome};
use data_encoding::BASE64;
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::to_raw_value;

use crate::failure::{Exit, Failure};
use crate::hint;
use crate::site::folder::Folder;

/// A line of content.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ContentLine {
    /// Bytes, in base64.
    Piece(String),
    /// The content is whole.
    End,
    /// The content is not whole, and why.
    Broken(String),
}

/// A connection to a site's admin socket.
pub(crate) struct Admin {
    socket: BufReader<UnixStream>,
    folder: PathBuf,
    next_id: u64,
}

impl Admin {
    /// Connects to the site in `folder`.
    pub(crate) fn connect(folder: &Path) -> Result<Self, Failure> {
        let path = Folder::admin_socket_in(folder);
        let socket = UnixStream::connect(&path).map_err(|error| unreachable(folder, &error))?;
        Ok(Self {
            socket: BufReader::new(socket),
            folder: folder.to_owned(),
            next_id: 1,
        })
    }

    /// Runs an operation; a failed one is an outcome too.
    pub(crate) fn run(
        &mut self,
        group: &str,
        command: &str,
        params: &impl Serialize,
    ) -> Result<Outcome, Failure> {
        let params = to_raw_value(params).map_err(|error| self.lost(&error))?;
        let operation = Operation::new(self.next_id, group, command, params);
        let mut line = serde_json::to_vec(&operation).map_err(|error| self.lost(&error))?;
        line.push(b'\n');
        let written = self.socket.get_mut().write_all(&line);
        written.map_err(|error| self.lost(&error))?;
        self.next_id += 1;
        self.line()
            .map(|outcome| hint::of_commands(outcome, &self.folder))
    }

    /// Runs an operation that answers with content, and hands that to `take` a piece at a time; fails as a
    /// failed one says, and when the content is not whole.
    pub(crate) fn content(
        &mut self,
        group: &str,
        command: &str,
        params: &Value,
        take: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<Outcome, Failure> {
        let outcome = self.run(group, command, params)?;
        if outcome.code != Code::SUCCESS {
            return Err(Failure::outcome(&outcome));
        }
        self.pieces(take).map(|()| outcome)
    }

    /// The content that follows the outcome of an operation; fails when it is not whole.
    pub(crate) fn pieces(
        &mut self,
        mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        loop {
            match self.line()? {
                ContentLine::Piece(text) => {
                    let bytes = BASE64.decode(text.as_bytes());
                    take(&bytes.map_err(|error| self.lost(&error))?)?;
                }
                ContentLine::End => return Ok(()),
                ContentLine::Broken(why) => {
                    let message = format_args!("the content is not whole: {why}");
                    return Err(Failure::new(Exit::Failure, "broken", message));
                }
            }
        }
    }

    /// The next line that the site says.
    fn line<T: DeserializeOwned>(&mut self) -> Result<T, Failure> {
        let mut line = String::new();
        let read = self.socket.read_line(&mut line);
        read.map_err(|error| self.lost(&error))?;
        serde_json::from_str(&line).map_err(|_| self.lost(&"it closed the connection"))
    }

    fn lost(&self, error: &dyn std::fmt::Display) -> Failure {
        Failure::new(
            Exit::Unreachable,
            "connection_lost",
            format_args!("the site in {} went away: {error}", self.folder.display()),
        )
        .hint("its log says why; whether the operation was done, `countersign audit list` shows")
    }

    /// Runs an operation and reads its data; fails as a failed one says.
    pub(crate) fn data(
        &mut self,
        group: &str,
        command: &str,
        params: &Value,
    ) -> Result<Value, Failure> {
        let outcome = self.run(group, command, params)?;
        if outcome.code != Code::SUCCESS {
            return Err(Failure::outcome(&outcome));
        }
        serde_json::from_str(outcome.data.get())
            .map_err(|error| Failure::new(Exit::Failure, "protocol", error))
    }
}

/// Why the admin socket of `folder` does not answer, and what to do.
fn unreachable(folder: &Path, error: &std::io::Error) -> Failure {
    let failure =
        |message: std::fmt::Arguments<'_>| Failure::new(Exit::Unreachable, "unreachable", message);
    let shown = folder.display();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            failure(format_args!("no site runs in {shown}")).hint(format_args!(
                "start it with `countersign serve`, or name another folder with --data"
            ))
        }
        ErrorKind::PermissionDenied => failure(format_args!("the site in {shown} is not yours"))
            .hint("its admin socket answers the user who runs the site, and root"),
        _ => failure(format_args!("the admin socket in {shown}: {error}"))
            .hint("a folder with a shorter path, or another one, may do"),
    }
}
