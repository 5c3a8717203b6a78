//! Speaking with a site through the admin socket in its folder.

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

/// The longest line that is accepted, in bytes: a page of a list, with much room.
const MAX_LINE: usize = 256 << 20;
/// Bytes asked of the socket at a time.
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

    /// Runs an operation; a failed one is an outcome too.
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
            match self.line(ContentLine::read)? {
                ContentLine::Piece(bytes) => take(&bytes)?,
                ContentLine::End => return Ok(()),
                ContentLine::Broken(why) => {
                    let message = format_args!("the content is not whole: {why}");
                    return Err(Failure::new(Exit::Failure, "broken", message));
                }
            }
        }
    }

    /// The next line that the site sends.
    fn line<T>(&mut self, read: impl Fn(&[u8]) -> Result<T, BadLine>) -> Result<T, Failure> {
        let line = self.receive().map_err(|error| self.lost(&error))?;
        read(line.as_deref().unwrap_or_default())
            .map_err(|_| self.lost(&"it closed the connection"))
    }

    /// A line; `None` when the site closed the connection.
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
fn unreachable(folder: &Path, error: &io::Error) -> Failure {
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
