//! What a provider answers itself. Each is the same bytes each time, for every client.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

/// How an edition rejects presentations and requests, and writes what the provider answers itself.
pub trait Rejection: Sized + Send {
    /// The type of an acknowledgement.
    const ACCEPTED: &'static str;
    /// The type of all other answers.
    const PROBLEM: &'static str;
    /// A presentation that cannot be read.
    const UNREADABLE: Self;
    /// A request that is not verified.
    const UNVERIFIED: Self;
    /// A request that came before.
    const REPLAYED: Self;

    /// The HTTP status.
    fn status(&self) -> StatusCode;

    /// The content.
    fn body(&self) -> String;

    /// The challenge that belongs to a 401.
    fn challenge(&self) -> Option<String>;

    /// The content for something that is no rejection: a stable code, and what it means.
    fn problem(status: StatusCode, code: &str, title: &str) -> String;
}

/// An answer that does not come from the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply<R> {
    /// As the protocol rejects.
    Rejected(R),
    /// Tickets are presented with POST.
    Method,
    /// The content is longer than is read.
    TooLong,
    /// The content did not come in time.
    TooSlow,
    /// Tickets or requests cannot be remembered, or too many presentations wait already, so none is accepted.
    Busy,
}

impl<R> From<R> for Reply<R> {
    fn from(rejection: R) -> Self {
        Self::Rejected(rejection)
    }
}

impl<R: Rejection> Reply<R> {
    fn status(&self) -> StatusCode {
        match self {
            Self::Rejected(rejection) => rejection.status(),
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn body(&self) -> String {
        let (code, title) = match self {
            Self::Rejected(rejection) => return rejection.body(),
            Self::Method => ("method", "tickets are presented with POST"),
            Self::TooLong => ("too-long", "the content is too long"),
            Self::TooSlow => ("too-slow", "the content did not come in time"),
            Self::Busy => ("busy", "nothing can be accepted now"),
        };
        R::problem(self.status(), code, title)
    }

    /// A field that belongs to the status.
    fn field(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Rejected(rejection) => {
                let challenge = HeaderValue::try_from(rejection.challenge()?).ok()?;
                Some((header::WWW_AUTHENTICATE, challenge))
            }
            Self::Method => Some((header::ALLOW, HeaderValue::from_static("POST"))),
            Self::Busy => Some((header::RETRY_AFTER, HeaderValue::from_static("1"))),
            Self::TooLong | Self::TooSlow => None,
        }
    }

    pub(super) fn response(&self) -> Response<Bytes> {
        let mut response = with_type(self.body(), R::PROBLEM);
        *response.status_mut() = self.status();
        response.headers_mut().extend(self.field());
        response
    }
}

/// The answer to a ticket that was accepted.
pub(super) fn acknowledged<R: Rejection>(answer: String) -> Response<Bytes> {
    with_type(answer, R::ACCEPTED)
}

fn with_type(body: String, kind: &'static str) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let no_store = HeaderValue::from_static("no-store");
    fields.insert(header::CACHE_CONTROL, no_store);
    response
}
