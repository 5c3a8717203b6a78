//! Calls from web pages of other origins (CORS, the Fetch standard). They are off: a browser lets no
//! page read a response, until an admin names the origin of the page in the setting `web_origins`.

use countersign_core::engine::Site;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderMap, HeaderValue, ORIGIN, VARY,
};

/// The fields of a request that a page may set.
const REQUEST: &str = "authorization, content-type, idempotency-key, if-match, last-event-id";
/// The fields of a response that a page may read.
const RESPONSE: &str = "etag, location, retry-after, request-id, idempotency-replayed";
/// How long a browser may keep the answer to its question, in seconds. A removed origin is refused
/// after that.
const MAX_AGE: &str = "300";

/// The origin of the page that sends a request, if it is one that an admin named.
pub(super) fn permitted(headers: &HeaderMap, site: &Site) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    let config = site.config();
    let mut named = config.web_origins.iter();
    let is_named = named.any(|named| named.as_str().as_bytes() == origin.as_bytes());
    is_named.then(|| origin.clone())
}

/// Adds the fields that let a page with a permitted origin read a response. Credentials of the
/// browser are never allowed: the API has no cookies, and refuses a page on a connection with the key
/// of a device. That a page must not read a response would not keep its request from having an effect.
pub(super) fn allow(reply: &mut HeaderMap, origin: Option<HeaderValue>) {
    reply.append(VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        reply.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let exposed = HeaderValue::from_static(RESPONSE);
        reply.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
}

/// Adds the fields that answer the question of a browser (a preflight request).
pub(super) fn answer_preflight(reply: &mut HeaderMap, methods: &str) {
    let fields = [
        (ACCESS_CONTROL_ALLOW_METHODS, methods),
        (ACCESS_CONTROL_ALLOW_HEADERS, REQUEST),
        (ACCESS_CONTROL_MAX_AGE, MAX_AGE),
    ];
    for (name, value) in fields {
        reply.extend(HeaderValue::from_str(value).map(|value| (name, value)));
    }
}
