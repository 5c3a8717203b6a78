//! What a provider answers itself, as Serveros does. Each is the same bytes each time, whoever asks.

use bytes::Bytes;
use countersign_proto::broker::v1::Refusal;
use countersign_proto::broker::v1::hawk::HawkError;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

/// An answer that does not come from the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// A presentation, as the protocol refuses.
    Presentation(Refusal),
    /// A request that nobody has proved to have signed.
    Unauthorized,
    /// A request that was signed by whoever its ticket names, and is refused all the same.
    Signed(HawkError),
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
        Self::Presentation(refusal)
    }
}

impl Reply {
    fn status(&self) -> StatusCode {
        match self {
            Self::Presentation(refusal) => {
                StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
            Self::Unauthorized | Self::Signed(_) => StatusCode::UNAUTHORIZED,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn body(&self) -> String {
        let message = match self {
            Self::Presentation(refusal) => return refusal.body(),
            Self::Unauthorized => HawkError::None.to_string(),
            Self::Signed(error) => error.to_string(),
            Self::Method => "Tickets are presented with POST.".to_owned(),
            Self::TooLong => "The content is too long.".to_owned(),
            Self::TooSlow => "The content did not come in time.".to_owned(),
            Self::Busy => "Nothing can be accepted now.".to_owned(),
        };
        serde_json::json!({ "status": self.status().as_u16(), "message": message }).to_string()
    }

    /// A field that belongs to the status.
    fn field(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Unauthorized => {
                let challenge = HeaderValue::from_static("Hawk");
                Some((header::WWW_AUTHENTICATE, challenge))
            }
            Self::Signed(error) => {
                let challenge = HeaderValue::try_from(format!("Hawk error=\"{error}\"")).ok()?;
                Some((header::WWW_AUTHENTICATE, challenge))
            }
            Self::Method => Some((header::ALLOW, HeaderValue::from_static("POST"))),
            Self::Busy => Some((header::RETRY_AFTER, HeaderValue::from_static("1"))),
            _ => None,
        }
    }

    // Takes itself by value, as `acknowledged` does.
    #[allow(clippy::needless_pass_by_value, reason = "what `map_or_else` takes")]
    pub(super) fn response(self) -> Response<Bytes> {
        let mut response = acknowledged(self.body());
        *response.status_mut() = self.status();
        response.headers_mut().extend(self.field());
        response
    }
}

/// What an accepted ticket is answered with.
pub(super) fn acknowledged(answer: String) -> Response<Bytes> {
    let mut response = Response::new(answer.into());
    let fields = response.headers_mut();
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    fields.insert(header::CONTENT_TYPE, json);
    let no_store = HeaderValue::from_static("no-store");
    fields.insert(header::CACHE_CONTROL, no_store);
    response
}
