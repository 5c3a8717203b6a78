//! Refusals of the API as problems (RFC 9457).

use std::fmt;

use countersign_core::engine::Refusal;
use countersign_proto::operation::{Code, Outcome};
use countersign_proto::problem::MEDIA_TYPE;
use hyper::StatusCode;
use hyper::header::{ALLOW, CONNECTION, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::reply::{self, Reply};

/// Names one request in the log and in its problem.
#[derive(Clone, Copy)]
pub(super) struct RequestId(pub(super) [u8; 16]);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
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
            hint: refused.hint.into(),
            field: refused.field,
            headers: Vec::new(),
        };
        match (problem.status, refused.retry_after_ms) {
            (_, Some(wait)) => problem.retry_after(wait.div_ceil(1_000)),
            (StatusCode::SERVICE_UNAVAILABLE, None) => problem.retry_after(1),
            _ => problem,
        }
    }

    /// The problem of a request that is no operation.
    pub(super) fn of_refusal(refusal: &Refusal) -> Self {
        Self::of_outcome(&refusal.outcome(0))
    }

    pub(super) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "unknown_path",
            "this path does not exist",
            "/api/v1/openapi.json lists the paths",
        )
    }

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
    pub(super) fn not_authenticated(given: bool) -> Self {
        let (detail, challenge) = match given {
            true => (
                "the credential of this request is not valid",
                "Bearer realm=\"countersign\", error=\"invalid_token\"",
            ),
            false => (
                "this request has no credential",
                "Bearer realm=\"countersign\"",
            ),
        };
        let problem = Self::new(
            StatusCode::UNAUTHORIZED,
            "not_authenticated",
            detail,
            "send a valid access token as `Authorization: Bearer cst_…`",
        );
        problem.with(WWW_AUTHENTICATE, challenge)
    }

    /// The connection may be read on its way.
    pub(super) fn tls_required() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "tls_required",
            "this listener accepts credentials from this machine and from trusted proxies alone, because it has no TLS",
            "call the site through a proxy with TLS that `listen.http_proxies` names; replace an access token that was sent",
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

    /// A lockdown of the site refuses every operation over HTTP.
    pub(super) fn lockdown() -> Self {
        let problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "lockdown",
            "the site is in lockdown",
            "an admin lifts it at the site's local admin socket",
        );
        problem.retry_after(60)
    }

    pub(super) fn busy() -> Self {
        let problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "the site is busy, or rejects this source for a while",
            "repeat the request later",
        );
        problem.retry_after(1)
    }

    pub(super) fn too_many_requests() -> Self {
        let problem = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "busy",
            "too many requests of this account run at the same time",
            "repeat the request when another one has ended",
        );
        problem.retry_after(1)
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

    pub(super) fn retry_after(self, seconds: u64) -> Self {
        self.with(RETRY_AFTER, &seconds.to_string())
    }

    fn with(mut self, name: HeaderName, value: &str) -> Self {
        self.headers
            .extend(HeaderValue::from_str(value).map(|value| (name, value)));
        self
    }

    /// The stable code.
    pub(super) fn code(&self) -> &str {
        &self.code
    }

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
