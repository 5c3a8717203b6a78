//! The site's side of the enrolment dialog: bytes in, a request or a refusal out.
//!
//! ```text
//! AwaitingRequest --receive: part of the line--> AwaitingRequest
//!       |-- receive: the whole line ----------> Request, Registration: look its token up, then verify it
//!       |-- receive: key events, once --------> KeyEvents: answer, then AwaitingRequest
//!       `-- receive, closed ------------------> RequestRefused: close without an answer
//! ```
//!
//! The site reads at most [`MAX_REQUEST`] bytes of each line and nothing after the request.

use super::line::{LineStep, PartialLine};
use super::passphrase::RegistrationRequest;
use super::{BadRequest, EnrolmentRequest, MAX_REQUEST};
use crate::site_identity::KeyEventsRequest;

/// The request has not arrived completely.
#[derive(Debug, Default)]
pub struct AwaitingRequest {
    /// It holds the token.
    line: PartialLine<MAX_REQUEST>,
    /// Whether the client has requested key events, which it may do once.
    key_events_given: bool,
}

/// The result of bytes that arrived.
#[derive(Debug)]
pub enum RequestStep {
    /// The line is incomplete: read at most [`AwaitingRequest::room`] bytes more.
    More(AwaitingRequest),
    /// The line asks to enrol a device: read nothing more.
    Request(Box<EnrolmentRequest>),
    /// The line asks to set a pass phrase: read nothing more before the challenge was sent.
    Registration(Box<RegistrationRequest>),
    /// The line requests key events: answer it, then wait for the next line.
    KeyEvents(KeyEventsRequest, AwaitingRequest),
}

/// Why there is no request. Each is answered alike: with nothing, after the same time.
#[derive(Debug, thiserror::Error)]
pub enum RequestRefused {
    /// The line has no end within the greatest length.
    #[error("the request is too long")]
    TooLong,
    /// The connection ended before the line did.
    #[error("the connection ended before the request did")]
    Closed,
    /// The client requested key events and nothing else.
    #[error("the client requested key events and nothing else")]
    OnlyKeyEvents,
    /// The line is no request.
    #[error(transparent)]
    Malformed(#[from] BadRequest),
}

impl AwaitingRequest {
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
    /// [`RequestRefused`].
    pub fn receive(self, bytes: &[u8]) -> Result<RequestStep, RequestRefused> {
        match self.line.receive(bytes) {
            LineStep::More(line) => Ok(RequestStep::More(Self { line, ..self })),
            LineStep::TooLong => Err(RequestRefused::TooLong),
            LineStep::Line(line) => Self::read(line.expose(), self.key_events_given),
        }
    }

    /// The members of the line tell which request it is. No line is two of them.
    fn read(line: &[u8], key_events_given: bool) -> Result<RequestStep, RequestRefused> {
        if let (Some(request), false) = (KeyEventsRequest::read(line), key_events_given) {
            let waiting = Self {
                key_events_given: true,
                ..Self::default()
            };
            return Ok(RequestStep::KeyEvents(request, waiting));
        }
        let not_of_device = match EnrolmentRequest::read(line) {
            Ok(request) => return Ok(RequestStep::Request(Box::new(request))),
            Err(problem @ BadRequest::Json(_)) => problem,
            Err(problem) => return Err(problem.into()),
        };
        match RegistrationRequest::read(line) {
            Ok(request) => Ok(RequestStep::Registration(Box::new(request))),
            Err(_) => Err(not_of_device.into()),
        }
    }

    /// The connection ended.
    #[must_use]
    pub fn closed(self) -> RequestRefused {
        match self.key_events_given && self.line.is_empty() {
            true => RequestRefused::OnlyKeyEvents,
            false => RequestRefused::Closed,
        }
    }
}
