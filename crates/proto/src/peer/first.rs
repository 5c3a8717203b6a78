//! The first line of a client without a certificate on the peer port.
//!
//! ```text
//! AwaitingFirst --receive: part of the line--> AwaitingFirst
//!       |-- receive: the whole line ---------> Join: open it, look its token up, then verify it
//!       |                                      KeyEvents: answer with the site's key events
//!       `-- receive, closed -----------------> FirstRefused: close without an answer
//! ```

use super::SealedJoin;
use crate::enrolment::line::{LineStep, PartialLine};
use crate::json;
use crate::site_identity::KeyEventsRequest;

/// The longest line, in bytes with its line end: a sealed request with the most key events.
pub const MAX_FIRST: usize = 68 * 1024;

/// The line has not arrived completely.
#[derive(Debug, Default)]
pub struct AwaitingFirst {
    line: PartialLine<MAX_FIRST>,
}

/// The result of bytes that arrived.
#[derive(Debug)]
pub enum FirstStep {
    /// The line is incomplete: read at most [`AwaitingFirst::room`] bytes more.
    More(AwaitingFirst),
    /// Another site wants to become a peer: read nothing more.
    Join(SealedJoin),
    /// A client asks for key events: read nothing more.
    KeyEvents(KeyEventsRequest),
}

/// Why there is no request. Each is answered alike: with nothing, after the same time.
#[derive(Debug, thiserror::Error)]
pub enum FirstRefused {
    /// The line has no end within the greatest length.
    #[error("the first line is too long")]
    TooLong,
    /// The connection ended before the line did.
    #[error("the connection ended before the first line did")]
    Closed,
    /// The line is no request.
    #[error("the first line is no request: {0}")]
    Malformed(#[from] serde_json::Error),
}

impl AwaitingFirst {
    /// Nothing has arrived.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes may still be read: at least 1.
    #[must_use]
    pub fn room(&self) -> usize {
        self.line.room()
    }

    /// Takes bytes that arrived, of which those after the line or beyond [`Self::room`] do not
    /// count.
    ///
    /// # Errors
    /// [`FirstRefused`].
    pub fn receive(self, bytes: &[u8]) -> Result<FirstStep, FirstRefused> {
        let line = match self.line.receive(bytes) {
            LineStep::More(line) => return Ok(FirstStep::More(Self { line })),
            LineStep::TooLong => return Err(FirstRefused::TooLong),
            LineStep::Line(line) => line,
        };
        // The members of the line tell which request it is. No line is both.
        match KeyEventsRequest::read(line.expose()) {
            Some(asked) => Ok(FirstStep::KeyEvents(asked)),
            None => Ok(FirstStep::Join(json::read(line.expose())?)),
        }
    }

    /// The connection ended.
    #[must_use]
    pub fn closed(self) -> FirstRefused {
        FirstRefused::Closed
    }
}
