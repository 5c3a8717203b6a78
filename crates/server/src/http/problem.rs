//! Refusals over HTTP as problems (RFC 9457).

use countersign_core::engine::Refusal;
use countersign_proto::operation::{Code, Outcome};
use countersign_proto::problem::MEDIA_TYPE;
use hyper::StatusCode;
use hyper::header::{ALLOW, CONNECTION, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::reply::{self, Reply};
use super::request_id::RequestId;

/// How long a client waits that is refused by a lockdown, or because the site is sealed, in seconds: a person
/// has to end that.
const UNTIL_A_PERSON_ACTS: u64 = 60;

/// Where a program that calls the API finds the parameters of an operation.
const PARAMETERS: &str = "/api/v1/docs describes the parameters of each path";

/// What a request without a valid credential has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GivenCredential {
    /// No credential.
    None,
    /// An access token, or another one in `authorization`.
    Token,
    /// A signature.
    Signature,
    /// The key that the client proved in the handshake.
    Device,
}

impl GivenCredential {
    const fn hint(self) -> &'static str {
        match self {
            Self::None => {
                "send an access token as `Authorization: Bearer cst_…`, sign the request with the key of a service, or connect with the key of a device"
            }
            Self::Token => "send a valid access token as `Authorization: Bearer cst_…`",
            Self::Signature => {
                "compare what the signature covers, the URI with scheme and host, `keyid`, `tag` and the clock; use a new nonce for each request"
            }
            Self::Device => "connect with the key of a device that is enrolled",
        }
    }
}

/// A limit of one account over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AccountLimit {
    /// Requests at a time.
    Requests,
    /// Requests of one credential at a time.
    CredentialRequests,
    /// Bytes of bodies that arrive, and of responses that its clients have not read.
    Bytes,
    /// The same bytes of one credential.
    CredentialBytes,
    /// Connections on which its requests arrive.
    Connections,
    /// Connections on which requests of one credential arrive.
    CredentialConnections,
    /// Event streams.
    EventStreams,
    /// Event streams of one credential.
    CredentialEventStreams,
    /// Event streams through trusted proxies.
    ProxiedEventStreams,
    /// Event streams of one credential through trusted proxies.
    CredentialProxiedEventStreams,
    /// Signed requests in the time in which nonces are remembered.
    Nonces,
}

impl AccountLimit {
    /// What is the case, what to do, and after how many seconds.
    const fn text(self) -> (&'static str, &'static str, u64) {
        match self {
            Self::Requests => (
                "the account has as many requests at a time as `limits.operations_in_flight` permits",
                "repeat the request when another one has ended",
                1,
            ),
            Self::CredentialRequests => (
                "the credential has half of the requests at a time that `limits.operations_in_flight` permits",
                "repeat the request when another one has ended",
                1,
            ),
            Self::Bytes => (
                "bodies that arrive and responses that were not read hold `limits.unsent_bytes` of the account",
                "read the responses, or end their connections, and repeat the request",
                1,
            ),
            Self::CredentialBytes => (
                "bodies that arrive and responses that were not read hold half of `limits.unsent_bytes` for the credential",
                "read the responses, or end their connections, and repeat the request",
                1,
            ),
            Self::Connections => (
                "requests of the account arrive on as many connections as it may use",
                "use the connections that are open, or close some",
                1,
            ),
            Self::CredentialConnections => (
                "requests of the credential arrive on half of the connections that its account may use",
                "use the connections that are open, or close some",
                1,
            ),
            Self::EventStreams => (
                "the account has as many event streams as `limits.event_streams_per_account` permits",
                "end one of them, or share one among programs",
                10,
            ),
            Self::CredentialEventStreams => (
                "the credential has half of the event streams that `limits.event_streams_per_account` permits",
                "end one of them, or share one among programs",
                10,
            ),
            Self::CredentialProxiedEventStreams => (
                "the credential has half of the event streams through trusted proxies that its account may have",
                "end one of them, or share one among programs",
                10,
            ),
            Self::ProxiedEventStreams => (
                "the account has as many event streams through trusted proxies as it may have",
                "end one of them, or share one among programs",
                10,
            ),
            Self::Nonces => (
                "the site remembers as many nonces of signed requests as it can",
                "repeat the request with a new nonce; a program with many requests can use an access token",
                60,
            ),
        }
    }
}

/// Why a request has no effect.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    status: StatusCode,
    code: Box<str>,
    detail: String,
    hint: Box<str>,
    field: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A refusal as an operation returns it.
#[derive(Deserialize)]
struct Refused {
    code: String,
    message: String,
    #[serde(default)]
    hint: String,
    field: Option<String>,
    retry_after_ms: Option<u64>,
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        code: &str,
        detail: impl Into<String>,
        hint: &str,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            detail: detail.into(),
            hint: hint.into(),
            field: None,
            headers: Vec::new(),
        }
    }

    /// The problem of an operation that was refused.
    pub(super) fn of_outcome(outcome: &Outcome) -> Self {
        let refused = serde_json::from_str(outcome.data.get()).unwrap_or_else(|_| Refused {
            code: outcome.code.name().unwrap_or("unnamed").to_owned(),
            message: String::new(),
            hint: String::new(),
            field: None,
            retry_after_ms: None,
        });
        let limited = refused.retry_after_ms.is_some();
        let problem = Self {
            status: status(outcome.code, &refused.code, limited),
            code: refused.code.into(),
            detail: refused.message,
            hint: match refused.hint.as_str() {
                Refusal::PARAMETERS => PARAMETERS.into(),
                _ => refused.hint.into(),
            },
            field: refused.field,
            headers: Vec::new(),
        };
        match (outcome.code, refused.retry_after_ms) {
            (_, Some(wait)) => problem.retry_after(wait.div_ceil(1_000)),
            (Code::SEALED | Code::LOCKDOWN, None) => problem.retry_after(UNTIL_A_PERSON_ACTS),
            (Code::BUSY, None) => problem.retry_after(1),
            _ => problem,
        }
    }

    /// The problem of a request that is no operation.
    pub(super) fn of_refusal(refusal: &Refusal) -> Self {
        Self::of_outcome(&refusal.outcome(0))
    }

    /// The path does not exist.
    pub(super) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "unknown_path",
            "this path does not exist",
            "/api/v1/openapi.json lists the paths of the API",
        )
    }

    /// The path exists, but does not have the method.
    pub(super) fn not_allowed(allow: &str) -> Self {
        let problem = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "this path does not have this method",
            "the field `allow` lists its methods",
        );
        problem.with(ALLOW, allow)
    }

    /// No credential, or one that is not valid. The same for every reason.
    pub(super) fn not_authenticated(given: GivenCredential) -> Self {
        let detail = match given {
            GivenCredential::None => "this request has no credential",
            _ => "the credential of this request is not valid",
        };
        let challenge = match given {
            GivenCredential::Token => "Bearer realm=\"countersign\", error=\"invalid_token\"",
            _ => "Bearer realm=\"countersign\"",
        };
        let problem = Self::new(
            StatusCode::UNAUTHORIZED,
            "not_authenticated",
            detail,
            given.hint(),
        );
        problem.with(WWW_AUTHENTICATE, challenge)
    }

    /// The connection may be read on its way.
    pub(super) fn tls_required() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "tls_required",
            "this listener accepts credentials from this machine and from trusted proxies alone, because the request did not come over TLS",
            "the operator sets `listen.http_tls`, or names a proxy with TLS in `listen.http_proxies`; replace an access token that was sent",
        )
    }

    /// A page in a browser could use a key that the browser has.
    pub(super) fn sent_by_a_page() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "sent_by_a_page",
            "a browser sent the request with the key of a device, perhaps for a page of another site",
            "use the key of a device in a program that is no browser; a page uses an access token",
        )
    }

    /// A lockdown of the site refuses it.
    pub(super) fn lockdown() -> Self {
        let problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "lockdown",
            "the site is in lockdown",
            "an admin lifts it at the site's local admin socket",
        );
        problem.retry_after(UNTIL_A_PERSON_ACTS)
    }

    /// The site is sealed.
    pub(super) fn sealed() -> Self {
        let problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "sealed",
            "the site is sealed",
            "an admin unseals it at the site's local admin socket",
        );
        problem.retry_after(UNTIL_A_PERSON_ACTS)
    }

    /// The site cannot serve it now: too many requests wait, the store failed, or it stops.
    pub(super) fn busy() -> Self {
        Self::unavailable("the site is busy").retry_after(1)
    }

    /// The source has a penalty, which ends after this many seconds.
    pub(super) fn source_refused(seconds: u64) -> Self {
        let problem = Self::unavailable(
            "the site refuses this source for a while, because of invalid credentials or requests",
        );
        problem.retry_after(seconds)
    }

    /// The site has as many event streams as it may have.
    pub(super) fn all_event_streams() -> Self {
        let detail = "the site has as many event streams as `limits.event_streams` permits";
        Self::unavailable(detail).retry_after(10)
    }

    fn unavailable(detail: &str) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            detail,
            "repeat the request after the time in `retry-after`",
        )
    }

    /// The account is at a limit of its own.
    pub(super) fn over(limit: AccountLimit) -> Self {
        let (detail, hint, seconds) = limit.text();
        Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", detail, hint).retry_after(seconds)
    }

    pub(super) fn bad_request(detail: impl Into<String>, field: &str) -> Self {
        let problem = Self::new(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            detail,
            "/api/v1/docs describes the request",
        );
        problem.of_field(field)
    }

    pub(super) fn unsupported_body(detail: &str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            detail,
            "send `content-type: application/json` and no `content-encoding`",
        )
    }

    pub(super) fn too_large(most: usize) -> Self {
        let problem = Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("the body has more than {most} bytes"),
            "send less in one request",
        );
        problem.with(CONNECTION, "close")
    }

    pub(super) fn timeout() -> Self {
        let problem = Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            "the body did not arrive in time",
            "send the request again",
        );
        problem.with(CONNECTION, "close")
    }

    /// Names the part of the request that is wrong.
    pub(super) fn of_field(mut self, field: &str) -> Self {
        self.field = Some(field.to_owned()).filter(|field| !field.is_empty());
        self
    }

    /// Tells the client after how many seconds it may repeat the request.
    pub(super) fn retry_after(self, seconds: u64) -> Self {
        self.with(RETRY_AFTER, &seconds.to_string())
    }

    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        self.headers
            .extend(HeaderValue::from_str(value).map(|value| (name, value)));
        self
    }

    /// The status of the response.
    pub(super) const fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable code.
    pub(super) fn code(&self) -> &str {
        &self.code
    }

    /// The response to a request of the listener that has no id yet.
    pub(super) fn into_reply(self) -> Reply {
        self.reply(RequestId::new())
    }

    /// The response to the request with this id.
    pub(super) fn reply(self, id: RequestId) -> Reply {
        let title = self.code.replace('_', " ");
        let mut body = Map::new();
        body.insert(
            "type".to_owned(),
            format!("urn:countersign:{}", self.code).into(),
        );
        body.insert("title".to_owned(), title.into());
        body.insert("status".to_owned(), self.status.as_u16().into());
        body.insert("code".to_owned(), self.code.as_ref().into());
        body.insert("detail".to_owned(), self.detail.into());
        if !self.hint.is_empty() {
            body.insert("hint".to_owned(), self.hint.as_ref().into());
        }
        if let Some(field) = self.field {
            body.insert("field".to_owned(), field.into());
        }
        body.insert("request_id".to_owned(), id.to_string().into());
        let body = Value::Object(body).to_string();
        let mut reply = reply::reply(self.status, MEDIA_TYPE, body);
        reply.headers_mut().extend(self.headers);
        id.add_to(&mut reply);
        reply
    }
}

/// The HTTP status of a refused operation.
fn status(kind: Code, code: &str, limited: bool) -> StatusCode {
    match kind {
        Code::MALFORMED | Code::INVALID_PARAMS => StatusCode::BAD_REQUEST,
        Code::NOT_PERMITTED => StatusCode::FORBIDDEN,
        Code::UNKNOWN_OPERATION | Code::NOT_FOUND => StatusCode::NOT_FOUND,
        Code::CONFLICT if code == "precondition_failed" => StatusCode::PRECONDITION_FAILED,
        Code::CONFLICT => StatusCode::CONFLICT,
        Code::BUSY if limited => StatusCode::TOO_MANY_REQUESTS,
        Code::SEALED | Code::LOCKDOWN | Code::BUSY => StatusCode::SERVICE_UNAVAILABLE,
        Code::INTERNAL => StatusCode::INTERNAL_SERVER_ERROR,
        // An operation of an embedding application.
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}
