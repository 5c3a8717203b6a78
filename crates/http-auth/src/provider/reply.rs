//! The responses that the provider sends itself. Each kind has the same bytes for every client.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

/// Why an edition rejects presentations and requests, and the format of the provider's responses.
pub trait Rejection: Sized + Send {
    /// Media type of an acknowledgement.
    const ACCEPTED: &'static str;
    /// Media type of all other responses.
    const PROBLEM: &'static str;
    /// A presentation that cannot be parsed, or whose ticket is void.
    const UNREADABLE: Self;
    /// A request without a valid signature.
    const UNVERIFIED: Self;
    /// A request that was accepted before.
    const REPLAYED: Self;

    /// The HTTP status.
    fn status(&self) -> StatusCode;

    /// The response's content.
    fn body(&self) -> String;

    /// The challenge of a 401.
    fn challenge(&self) -> Option<String>;

    /// The content of a response that is not a rejection by the protocol: a stable code and a
    /// title.
    fn problem(status: StatusCode, code: &str, title: &str) -> String;
}

/// A response of the provider instead of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply<R> {
    /// A rejection by the protocol.
    Rejected(R),
    /// A presentation with another method than POST.
    Method,
    /// The content exceeds the maximum length.
    TooLong,
    /// The content did not arrive before the timeout.
    TooSlow,
    /// The ticket store fails or is full, or too many presentations wait already.
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
            Self::Method => ("method", "tickets have to be presented with POST"),
            Self::TooLong => ("too-long", "the content is too long"),
            Self::TooSlow => (
                "too-slow",
                "the content did not arrive in time; send it again",
            ),
            Self::Busy => ("busy", "the provider is overloaded; try again later"),
        };
        R::problem(self.status(), code, title)
    }

    /// The header that the status requires.
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

/// The response to an accepted ticket.
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
