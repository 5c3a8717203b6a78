//! The site's side of the enrolment dialog: bytes in, a request or a refusal out.
//!
//! ```text
//! AwaitingRequest --receive: part of the line--> AwaitingRequest
//!       |-- receive: the whole line ----------> Request: look its token up, then verify it
//!       `-- receive, closed ------------------> RequestRefused: close without an answer
//! ```
//!
//! The site reads at most [`MAX_REQUEST`] bytes and nothing after the line.

use countersign_crypto::secret::SecretBytes;

use super::{BadRequest, MAX_REQUEST, Request};

/// The request has not arrived completely.
#[derive(Debug)]
pub struct AwaitingRequest {
    /// It holds the token.
    line: SecretBytes,
}

/// What became of the bytes that arrived.
#[derive(Debug)]
pub enum RequestStep {
    /// The line is incomplete: read at most [`AwaitingRequest::room`] bytes more.
    More(AwaitingRequest),
    /// The line is complete: read nothing more.
    Request(Box<Request>),
}

/// Why there is no request. Each is answered alike: with nothing, after the same time.
#[derive(Debug, thiserror::Error)]
pub enum RequestRefused {
    /// The first [`MAX_REQUEST`] bytes have no line end.
    #[error("the request is too long")]
    TooLong,
    /// The connection ended before the line did.
    #[error("the connection ended before the request did")]
    Closed,
    /// The line is no request.
    #[error(transparent)]
    Malformed(#[from] BadRequest),
}

impl AwaitingRequest {
    /// Nothing has arrived.
    #[must_use]
    pub fn new() -> Self {
        Self {
            line: Vec::new().into(),
        }
    }

    /// How many bytes may still be read: at least 1.
    #[must_use]
    pub fn room(&self) -> usize {
        MAX_REQUEST - self.line.expose().len()
    }

    /// Takes bytes that arrived, of which those after the line or beyond [`Self::room`] do not count.
    ///
    /// # Errors
    /// [`RequestRefused`].
    pub fn receive(self, bytes: &[u8]) -> Result<RequestStep, RequestRefused> {
        let room = self.room();
        let (bytes, _) = bytes.split_at(bytes.len().min(room));
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (line, _) = bytes.split_at(end.unwrap_or(bytes.len()));
        // A copy, so that the former buffer is wiped.
        let line = SecretBytes::from([self.line.expose(), line].concat());
        match end {
            Some(_) => Ok(RequestStep::Request(Box::new(Request::read(
                line.expose(),
            )?))),
            None if line.expose().len() == MAX_REQUEST => Err(RequestRefused::TooLong),
            None => Ok(RequestStep::More(Self { line })),
        }
    }

    /// The connection ended.
    #[must_use]
    pub fn closed(self) -> RequestRefused {
        RequestRefused::Closed
    }
}

impl Default for AwaitingRequest {
    fn default() -> Self {
        Self::new()
    }
}
