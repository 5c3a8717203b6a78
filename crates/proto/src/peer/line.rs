//! A line after the first ones. Both sides send operations and results on one connection.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::PeerEnd;
use super::end::EndLine;
use crate::json;
use crate::lines::{BadLine, read_operation, read_outcome};
use crate::operation::{Operation, Outcome};

/// What a line is.
#[derive(Debug, Clone)]
pub enum PeerLine {
    /// The peer asks for something.
    Operation(Operation),
    /// The peer's reply to an operation of this site.
    Outcome(Outcome),
    /// The peer ends the connection for this reason.
    End(PeerEnd),
}

/// Why a line is none of these.
#[derive(Debug, thiserror::Error)]
pub enum BadPeerLine {
    /// It has two of the members `group`, `code` and `end`, or none.
    #[error("the line is neither an operation nor a result")]
    Neither,
    /// It is no JSON object.
    #[error("the line is no JSON object: {0}")]
    Json(#[from] serde_json::Error),
    /// It announces content, which a connection between peers does not carry.
    #[error("a connection between peers carries no content")]
    Content,
    /// Its members are not those of an operation or result.
    #[error(transparent)]
    Line(#[from] BadLine),
}

/// The members that tell the lines apart.
#[derive(Deserialize)]
struct Kind {
    group: Option<IgnoredAny>,
    code: Option<IgnoredAny>,
    end: Option<IgnoredAny>,
}

impl PeerLine {
    /// Reads a line without its line end.
    ///
    /// # Errors
    /// [`BadPeerLine`].
    pub fn read(line: &[u8]) -> Result<Self, BadPeerLine> {
        let Kind { group, code, end } = json::read(line)?;
        let (read, content) = match (group.is_some(), code.is_some(), end.is_some()) {
            (true, false, false) => {
                let (operation, content) = read_operation(line)?;
                (Self::Operation(operation), content)
            }
            (false, true, false) => {
                let (outcome, content) = read_outcome(line)?;
                (Self::Outcome(outcome), content)
            }
            (false, false, true) => {
                let EndLine { end } = json::read(line)?;
                (Self::End(end), false)
            }
            _ => return Err(BadPeerLine::Neither),
        };
        match content {
            true => Err(BadPeerLine::Content),
            false => Ok(read),
        }
    }
}
