//! What a provider answers itself. Each is the same bytes each time, whoever asks.

use bytes::Bytes;
use countersign_proto::broker::v2::Refusal;
use countersign_proto::broker::v2::signature::SignatureError;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use crate::refusal::challenge;

/// An answer that does not come from the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// As the protocol refuses.
    Refused(Refusal),
    /// Tickets are presented with POST.
    Method,
    /// The content is longer than is read.
    TooLong,
    /// The content did not come in time.
    TooSlow,
    /// Tickets or requests cannot be remembered, or too many presentations wait already, so none is accepted.
    Busy,
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<SignatureError> for Reply {
    fn from(error: SignatureError) -> Self {
        Self::Refused(match error {
            SignatureError::Fields | SignatureError::NotVerified => Refusal::NotVerified,
            SignatureError::Clock => Refusal::Clock,
            SignatureError::Expired => Refusal::Expired,
        })
    }
}

impl Reply {
    fn status(self) -> StatusCode {
        match self {
            Self::Refused(refusal) => {
                StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::UNAUTHORIZED)
            }
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn body(self) -> String {
        let (code, title) = match self {
            Self::Refused(refusal) => return refusal.body(),
            Self::Method => ("method", "tickets are presented with POST"),
            Self::TooLong => ("too-long", "the content is too long"),
            Self::TooSlow => ("too-slow", "the content did not come in time"),
            Self::Busy => ("busy", "nothing can be accepted now"),
        };
        serde_json::json!({
            "type": format!("urn:countersign:broker:{code}"),
            "title": title,
            "status": self.status().as_u16(),
            "code": code,
        })
        .to_string()
    }

    /// A field that belongs to the status.
    fn field(self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Refused(refusal) if self.status() == StatusCode::UNAUTHORIZED => {
                let challenge = HeaderValue::try_from(challenge(refusal)).ok()?;
                Some((header::WWW_AUTHENTICATE, challenge))
            }
            Self::Method => Some((header::ALLOW, HeaderValue::from_static("POST"))),
            Self::Busy => Some((header::RETRY_AFTER, HeaderValue::from_static("1"))),
            _ => None,
        }
    }

    pub(super) fn response<B: From<Bytes>>(self) -> Response<B> {
        let body = Bytes::from(self.body());
        let mut response = with_type(body, "application/problem+json");
        *response.status_mut() = self.status();
        response.headers_mut().extend(self.field());
        response
    }
}

/// What an accepted ticket is answered with.
pub(super) fn acknowledged<B: From<Bytes>>(answer: String) -> Response<B> {
    with_type(answer.into(), "application/json")
}

fn with_type<B: From<Bytes>>(body: Bytes, kind: &'static str) -> Response<B> {
    let mut response = Response::new(body.into());
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let no_store = HeaderValue::from_static("no-store");
    fields.insert(header::CACHE_CONTROL, no_store);
    response
}
