//! HTTP responses.

use countersign_proto::problem::{self, Problem};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use hyper::{Response, StatusCode};

use super::body::ReplyBody;

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

fn named(status: StatusCode, code: &str, title: &str) -> Reply {
    let problem = Problem {
        namespace: "urn:countersign",
        code,
        title,
        status: status.as_u16(),
    };
    reply(status, problem::MEDIA_TYPE, problem.body())
}

/// The path does not exist.
pub(super) fn not_found() -> Reply {
    named(
        StatusCode::NOT_FOUND,
        "not-found",
        "this path does not exist",
    )
}

/// The path exists, but does not allow the method.
pub(super) fn not_allowed(methods: &'static str) -> Reply {
    let mut reply = named(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "this path does not allow this method",
    );
    let fields = reply.headers_mut();
    fields.insert(ALLOW, HeaderValue::from_static(methods));
    reply
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
    named(
        StatusCode::FORBIDDEN,
        "client-unknown",
        "a proxy forwarded this request, and the site does not know the client; the operator of the \
         site can set listen.http_forwarded if the proxy sets x-forwarded-for",
    )
}

/// The path is a WebSocket, and the request opens none.
pub(super) fn upgrade_required() -> Reply {
    let mut reply = named(
        StatusCode::UPGRADE_REQUIRED,
        "upgrade-required",
        "this path is a WebSocket (RFC 6455) with the subprotocol countersign.session.1 or countersign.registration.1",
    );
    let fields = reply.headers_mut();
    fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
    reply
}

/// A page of another origin sent the request.
pub(super) fn foreign_origin() -> Reply {
    named(
        StatusCode::FORBIDDEN,
        "foreign-origin",
        "pages of this origin may not open sessions; an operator can allow it with listen.http_origins",
    )
}

/// A page in a browser sent a ticket request.
pub(super) fn sent_by_a_page() -> Reply {
    named(
        StatusCode::FORBIDDEN,
        "sent-by-a-page",
        "pages in browsers send no ticket requests; an application sends them from its own machine",
    )
}

/// A request that the site does not read as one.
pub(super) fn malformed(status: StatusCode) -> Reply {
    named(
        status,
        "malformed",
        "the request has too many fields, two lengths, or two authorities",
    )
}

/// The request names another host than that of the listener.
pub(super) fn misdirected() -> Reply {
    named(
        StatusCode::MISDIRECTED_REQUEST,
        "misdirected",
        "open the console at the address that `countersign console` printed",
    )
}

/// The relay does not reach the site.
pub(super) fn unreachable() -> Reply {
    named(
        StatusCode::BAD_GATEWAY,
        "unreachable",
        "the site cannot be reached; check its address and that it runs",
    )
}

/// The site is overloaded, the source has a penalty, or the store failed.
pub(super) fn busy() -> Reply {
    let mut reply = named(
        StatusCode::SERVICE_UNAVAILABLE,
        "busy",
        "the site is busy; try again later",
    );
    reply
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    reply
}

/// The site is in lockdown.
pub(super) fn lockdown() -> Reply {
    named(
        StatusCode::SERVICE_UNAVAILABLE,
        "lockdown",
        "the site is in lockdown",
    )
}

/// The site is sealed.
pub(super) fn sealed() -> Reply {
    named(
        StatusCode::SERVICE_UNAVAILABLE,
        "sealed",
        "the site is sealed",
    )
}
