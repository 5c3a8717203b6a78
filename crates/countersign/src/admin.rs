//! Speaking with a site through the admin socket in its folder.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use countersign_proto::operation::{Code, Operation, Outcome};
use serde_json::Value;
use serde_json::value::to_raw_value;

use crate::failure::{Exit, Failure};
use crate::site::folder::Folder;

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
        params: &Value,
    ) -> Result<Outcome, Failure> {
        let lost = |error: &dyn std::fmt::Display| {
            Failure::new(
                Exit::Unreachable,
                "connection_lost",
                format_args!("the site in {} went away: {error}", self.folder.display()),
            )
            .hint("its log says why; whether the operation was done, `audit list` shows")
        };
        let params = to_raw_value(params).map_err(|error| lost(&error))?;
        let operation = Operation::new(self.next_id, group, command, params);
        let mut line = serde_json::to_vec(&operation).map_err(|error| lost(&error))?;
        line.push(b'\n');
        self.socket
            .get_mut()
            .write_all(&line)
            .map_err(|error| lost(&error))?;
        let mut answer = String::new();
        self.socket
            .read_line(&mut answer)
            .map_err(|error| lost(&error))?;
        let outcome =
            serde_json::from_str(&answer).map_err(|_| lost(&"it closed the connection"))?;
        self.next_id += 1;
        Ok(outcome)
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
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => failure(format_args!(
            "no site runs in {shown}"
        ))
        .hint(format_args!(
            "start it with `countersign serve --data {shown}`, or name another folder with --data"
        )),
        ErrorKind::PermissionDenied => failure(format_args!("the site in {shown} is not yours"))
            .hint("its admin socket answers the user who runs the site, and root"),
        _ => failure(format_args!("the admin socket in {shown}: {error}"))
            .hint("a folder with a shorter path, or another one, may do"),
    }
}
