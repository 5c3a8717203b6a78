//! A client of a site's admin socket.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use countersign_proto::lines::{BadLine, ContentLine, Decoder, put_operation, read_outcome};
use countersign_proto::operation::{Code, Operation, Outcome};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::to_raw_value;

use crate::failure::{Exit, Failure};
use crate::hint;
use crate::site::folder::Folder;

/// The greatest length of a received line, in bytes: much more than a page of a list needs.
const MAX_LINE: usize = 256 << 20;
/// Bytes read from the socket at a time.
const READ_AT_A_TIME: usize = 8 * 1024;

/// A connection to a site's admin socket.
pub(crate) struct Admin {
    socket: UnixStream,
    lines: Decoder,
    folder: PathBuf,
    next_id: u64,
}

impl Admin {
    /// Connects to the site in `folder`.
    pub(crate) fn connect(folder: &Path) -> Result<Self, Failure> {
        let path = Folder::admin_socket_in(folder);
        let socket = UnixStream::connect(&path).map_err(|error| unreachable(folder, &error))?;
        Ok(Self {
            socket,
            lines: Decoder::new(MAX_LINE),
            folder: folder.to_owned(),
            next_id: 1,
        })
    }

    /// Runs an operation and returns its outcome, also if the operation failed.
    pub(crate) fn run(
        &mut self,
        group: &str,
        command: &str,
        params: &impl Serialize,
    ) -> Result<Outcome, Failure> {
        let params = to_raw_value(params).map_err(|error| self.lost(&error))?;
        let operation = Operation::new(self.next_id, group, command, params);
        let mut line = Vec::new();
        put_operation(&mut line, &operation, false).map_err(|error| self.lost(&error))?;
        let written = self.socket.write_all(&line);
        written.map_err(|error| self.lost(&error))?;
        self.next_id += 1;
        self.line(read_outcome)
            .map(|(outcome, _)| hint::of_commands(outcome, &self.folder))
    }

    /// Runs an operation whose result has content and passes the content to `take` in pieces.
    ///
    /// # Errors
    /// The operation failed, or the content is incomplete.
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

    /// Reads the content after the outcome of an operation and passes it to `take` in pieces.
    ///
    /// # Errors
    /// The content is incomplete.
    pub(crate) fn pieces(
        &mut self,
        mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        loop {
            match self.line(ContentLine::read)? {
                ContentLine::Piece(bytes) => take(&bytes)?,
                ContentLine::End => return Ok(()),
                ContentLine::Broken(why) => {
                    let message = format_args!("the content is incomplete: {why}");
                    return Err(Failure::new(Exit::Failure, "broken", message));
                }
            }
        }
    }

    /// Reads and parses the next line.
    fn line<T>(&mut self, read: impl Fn(&[u8]) -> Result<T, BadLine>) -> Result<T, Failure> {
        let line = self.receive().map_err(|error| self.lost(&error))?;
        read(line.as_deref().unwrap_or_default())
            .map_err(|_| self.lost(&"the connection was closed"))
    }

    /// Reads a line; `None` if the site closed the connection.
    fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = [0; READ_AT_A_TIME];
        while !self.lines.has_line().map_err(io::Error::other)? {
            match self.socket.read(&mut bytes) {
                Ok(0) => break,
                Ok(read) => {
                    let read = bytes.get(..read).unwrap_or_default();
                    self.lines.tail(read.len()).extend_from_slice(read);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let line = self.lines.last_line().map_err(io::Error::other)?;
        Ok(line.map(<[u8]>::to_vec))
    }

    fn lost(&self, error: &dyn std::fmt::Display) -> Failure {
        Failure::new(
            Exit::Unreachable,
            "connection_lost",
            format_args!("the connection to the site in {} was lost: {error}", self.folder.display()),
        )
        .hint("see the log of the site; `countersign audit list` shows whether the operation was done")
    }

    /// Runs an operation and returns its data.
    ///
    /// # Errors
    /// The operation failed.
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

/// The failure when the admin socket of `folder` does not answer.
fn unreachable(folder: &Path, error: &io::Error) -> Failure {
    let failure =
        |message: std::fmt::Arguments<'_>| Failure::new(Exit::Unreachable, "unreachable", message);
    let shown = folder.display();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            failure(format_args!("no site is running in {shown}")).hint(format_args!(
                "start it with `countersign serve`, or name another folder with --data"
            ))
        }
        ErrorKind::PermissionDenied => {
            failure(format_args!("the site in {shown} belongs to another user"))
                .hint("run this as the user who runs the site, or as root")
        }
        _ => failure(format_args!("the admin socket in {shown}: {error}"))
            .hint("try a folder with a shorter path, or another folder"),
    }
}
