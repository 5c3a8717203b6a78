//! The response of an operation.

use countersign_core::content::Content;
use countersign_core::engine::Entry;
use countersign_core::engine::rest::BASE;
use countersign_proto::operation::{Code, Operation, Outcome};
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, LOCATION};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::super::body::ReplyBody;
use super::super::problem::Problem;
use super::super::reply::{self, JSON, Reply};
use super::conditions::entity_tag;
use super::running::Running;

/// What is encoded in a segment of a path: all but the unreserved characters of RFC 3986 and `@`.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'@');

/// The response to what an operation returned.
pub(super) fn to(
    entry: &Entry,
    operation: &Operation,
    outcome: Outcome,
    content: Option<Content>,
    running: Running,
) -> Result<Reply, Problem> {
    if outcome.code != Code::SUCCESS {
        return Err(Problem::of_outcome(&outcome));
    }
    let Some(content) = content else {
        let data = Box::<str>::from(outcome.data).into_string();
        return Ok(with(entry, operation, (status(entry), data), running));
    };
    let mut reply = Reply::new(ReplyBody::content(content, running));
    let fields = reply.headers_mut();
    let bytes = HeaderValue::from_static("application/octet-stream");
    fields.insert(CONTENT_TYPE, bytes);
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(reply)
}

/// The status of an operation that succeeded.
pub(super) fn status(entry: &Entry) -> StatusCode {
    let creates = entry.rest().route().and_then(|route| route.creates);
    match creates {
        Some(_) => StatusCode::CREATED,
        None => StatusCode::OK,
    }
}

/// The response with the data of a result. It counts as unsent until the client has read it.
pub(super) fn with(
    entry: &Entry,
    operation: &Operation,
    (status, data): (StatusCode, String),
    running: Running,
) -> Reply {
    let tag = match entry.shows_entity_tag() {
        true => entity_tag(&data),
        false => None,
    };
    let creates = entry.rest().route().and_then(|route| route.creates);
    let parsed = |text| serde_json::from_str::<Value>(text).unwrap_or_default();
    let location =
        creates.and_then(|path| location(path, &parsed(&data), &parsed(operation.params.get())));
    let length = data.len();
    let unsent = ReplyBody::unsent(data, running.answered(length));
    let mut reply = reply::reply(status, JSON, unsent);
    let fields = reply.headers_mut();
    for (name, text) in [(ETAG, tag), (LOCATION, location)] {
        let value = text.and_then(|text| HeaderValue::from_str(&text).ok());
        fields.extend(value.map(|value| (name, value)));
    }
    reply
}

/// The path of what was created. Each segment in braces is a field of the result, or else of the
/// parameters.
fn location(path: &str, data: &Value, params: &Value) -> Option<String> {
    let mut location = BASE.to_owned();
    for segment in path.split('/').skip(1) {
        location.push('/');
        let name = segment
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        match name {
            Some(name) => {
                let value = data.get(name).or_else(|| params.get(name))?.as_str()?;
                location.extend(utf8_percent_encode(value, SEGMENT));
            }
            None => location.push_str(segment),
        }
    }
    Some(location)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_location_has_fields_of_the_result_or_of_the_parameters() {
        let data = json!({ "name": "maria@example.org", "id": "a/b?" });
        let at = |path| location(path, &data, &json!({ "other": "x" }));
        assert_eq!(
            at("/persons/{name}").as_deref(),
            Some("/api/v1/persons/maria@example.org")
        );
        assert_eq!(at("/apps/{id}").as_deref(), Some("/api/v1/apps/a%2Fb%3F"));
        assert_eq!(at("/of/{other}").as_deref(), Some("/api/v1/of/x"));
        assert_eq!(at("/of/{missing}"), None);
    }
}
