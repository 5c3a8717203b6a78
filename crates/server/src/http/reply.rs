//! HTTP responses.

use countersign_proto::problem;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use hyper::{Response, StatusCode};

use super::body::ReplyBody;
use super::framing::Fault;
use super::problem::Problem;

pub(super) type Reply = Response<ReplyBody>;

pub(super) const JSON: &str = "application/json; charset=utf-8";

/// A response with a body.
pub(super) fn reply(status: StatusCode, kind: &'static str, body: impl Into<ReplyBody>) -> Reply {
    let mut reply = Response::new(body.into());
    *reply.status_mut() = status;
    let fields = reply.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// A successful response.
pub(super) fn granted(body: String) -> Reply {
    reply(StatusCode::OK, JSON, body)
}

/// A refusal of edition v1.
pub(super) fn refused_v1(status: u16, body: String) -> Reply {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply(status, JSON, body)
}

/// A refusal of edition v2: a problem (RFC 9457).
pub(super) fn refused(status: u16, body: String) -> Reply {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply(status, problem::MEDIA_TYPE, body)
}

/// The path does not exist.
pub(super) fn not_found() -> Reply {
    Problem::not_found().into_reply()
}

/// The path exists, but does not allow the method.
pub(super) fn not_allowed(methods: &'static str) -> Reply {
    Problem::not_allowed(methods).into_reply()
}

/// The response to OPTIONS: the methods that a path allows.
pub(super) fn options(methods: &str) -> Reply {
    let mut reply = Response::new(ReplyBody::default());
    *reply.status_mut() = StatusCode::NO_CONTENT;
    let fields = reply.headers_mut();
    fields.extend(HeaderValue::from_str(methods).map(|methods| (ALLOW, methods)));
    reply
}

/// The reply with the time after which the client may repeat its request, in seconds.
pub(super) fn after(mut reply: Reply, seconds: u32) -> Reply {
    let fields = reply.headers_mut();
    fields.insert(RETRY_AFTER, HeaderValue::from(seconds));
    reply
}

/// The request opens a WebSocket (RFC 6455, section 4.2.2).
pub(super) fn web_socket(accept: &str, subprotocol: &'static str) -> Reply {
    let Ok(accept) = HeaderValue::from_str(accept) else {
        return busy();
    };
    let mut reply = options("");
    *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let fields = reply.headers_mut();
    fields.clear();
    fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
    fields.insert(SEC_WEBSOCKET_ACCEPT, accept);
    fields.insert(
        SEC_WEBSOCKET_PROTOCOL,
        HeaderValue::from_static(subprotocol),
    );
    reply
}

/// A session through a trusted proxy that does not name the client.
pub(super) fn client_unknown() -> Reply {
    let problem = Problem::new(
        StatusCode::FORBIDDEN,
        "client_unknown",
        "a proxy forwarded this request, and the site does not know the client",
        "the operator of the site can set `listen.http_forwarded` if the proxy sets x-forwarded-for",
    );
    problem.into_reply()
}

/// The path is a WebSocket, and the request opens none.
pub(super) fn upgrade_required() -> Reply {
    let problem = Problem::new(
        StatusCode::UPGRADE_REQUIRED,
        "upgrade_required",
        "this path is a WebSocket (RFC 6455)",
        "offer the subprotocol countersign.session.1 or countersign.registration.1",
    );
    let mut reply = problem.into_reply();
    let fields = reply.headers_mut();
    fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
    reply
}

/// A page of another origin sent the request.
pub(super) fn foreign_origin() -> Reply {
    let problem = Problem::new(
        StatusCode::FORBIDDEN,
        "foreign_origin",
        "pages of this origin may not open sessions",
        "an operator can allow it with `listen.http_origins`; `web_origins` of the site is for the REST API alone",
    );
    problem.into_reply()
}

/// A page in a browser sent a ticket request.
pub(super) fn sent_by_a_page() -> Reply {
    let problem = Problem::new(
        StatusCode::FORBIDDEN,
        "sent_by_a_page",
        "a page in a browser sent the ticket request",
        "send it from the machine of the application",
    );
    problem.into_reply()
}

/// A request that the site does not read as one.
pub(super) fn malformed(fault: Fault) -> Reply {
    let (detail, hint, field) = fault.text();
    let problem = Problem::new(fault.status(), "malformed", detail, hint);
    problem.of_field(field).into_reply()
}

/// The request names another host than that of the listener.
pub(super) fn misdirected() -> Reply {
    let problem = Problem::new(
        StatusCode::MISDIRECTED_REQUEST,
        "misdirected",
        "the request names another host than that of this listener",
        "open the console at the address that `countersign console` printed",
    );
    problem.into_reply()
}

/// The relay does not reach the site.
pub(super) fn unreachable() -> Reply {
    let problem = Problem::new(
        StatusCode::BAD_GATEWAY,
        "unreachable",
        "the site cannot be reached",
        "check its address and that it runs",
    );
    problem.into_reply()
}

/// The site cannot serve it now: too many requests wait, or the store failed.
pub(super) fn busy() -> Reply {
    Problem::busy().into_reply()
}

/// The source has a penalty, which ends after this many seconds.
pub(super) fn source_refused(seconds: u64) -> Reply {
    Problem::source_refused(seconds).into_reply()
}

/// The site is in lockdown.
pub(super) fn lockdown() -> Reply {
    Problem::lockdown().into_reply()
}

/// The site is sealed.
pub(super) fn sealed() -> Reply {
    Problem::sealed().into_reply()
}
