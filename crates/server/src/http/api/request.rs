//! The parts of a request: path, query and body.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use countersign_core::content::{Content, ContentBroken};
use countersign_core::engine::rest;
use futures_util::stream;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName};

use super::super::problem::Problem;
use super::super::request_body::RequestBody;
use super::running::Running;
use crate::clock;
use crate::runtime::shared::Shared;

/// How long the site waits for [`MIN_ARRIVED`] bytes of content, as for a client that reads a response.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// The fewest bytes of content that a client sends in [`MAX_WAIT`]: 1 KiB/s.
const MIN_ARRIVED: usize = 60 * 1024;

/// The decoded parameters of a query.
pub(super) fn query(query: Option<&str>) -> Result<Vec<(String, String)>, Problem> {
    rest::query(query).map_err(|error| Problem::bad_request(error.to_string(), ""))
}

/// Reads a body of JSON text; empty if the request has none. What has arrived is kept for `running`.
pub(super) async fn json(
    headers: &HeaderMap,
    body: RequestBody,
    running: &mut Running,
    shared: &Shared,
) -> Result<String, Problem> {
    expect_no_encoding(headers)?;
    if body.is_end_stream() {
        return Ok(String::new());
    }
    let limits = shared.limits();
    let most = limits.params_bytes;
    if body.size_hint().lower() > most as u64 {
        return Err(Problem::too_large(most));
    }
    expect_json(headers)?;
    let mut body = Limited::new(body, most);
    let read = async {
        // One buffer: keeping many short frames would need many times their length.
        let mut text = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| match error.is::<LengthLimitError>() {
                true => Problem::too_large(most),
                false => Problem::bad_request("the body is malformed or incomplete", ""),
            })?;
            let piece = frame.into_data().unwrap_or_default();
            running.keep(piece.len()).map_err(Problem::over)?;
            text.extend_from_slice(&piece);
        }
        let invalid = |_| Problem::bad_request("the body is not UTF-8", "");
        String::from_utf8(text).map_err(invalid)
    };
    let read = tokio::time::timeout(limits.unauthenticated_timeout, read).await;
    read.unwrap_or_else(|_| Err(Problem::timeout()))
}

/// The body as the content of an operation.
pub(super) fn content(headers: &HeaderMap, body: RequestBody) -> Result<Content, Problem> {
    expect_no_encoding(headers)?;
    let arriving = Arriving::new(body);
    Ok(Content::new(stream::unfold(
        Some(arriving),
        |arriving| async move {
            let mut arriving = arriving?;
            match arriving.next().await? {
                Ok(bytes) => Some((Ok(bytes), Some(arriving))),
                Err(broken) => Some((Err(broken), None)),
            }
        },
    )))
}

/// Content that must arrive in time. The time in which the operation does not ask for it does not count.
struct Arriving<B> {
    body: B,
    /// How long the site waited for the bytes in `arrived`.
    waited: Duration,
    arrived: usize,
}

impl<B> Arriving<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
{
    const fn new(body: B) -> Self {
        Self {
            body,
            waited: Duration::ZERO,
            arrived: 0,
        }
    }

    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Option<Result<Vec<u8>, ContentBroken>> {
        loop {
            let begun = clock::monotonic();
            let left = MAX_WAIT.saturating_sub(self.waited);
            let Ok(frame) = tokio::time::timeout(left, self.body.frame()).await else {
                let problem = "less than 60 KiB of the content arrived in 60 s";
                return Some(Err(ContentBroken(problem.to_owned())));
            };
            self.waited += clock::monotonic().saturating_duration_since(begun);
            let frame = match frame? {
                Ok(frame) => frame,
                Err(error) => return Some(Err(ContentBroken(error.to_string()))),
            };
            // Not the fields after the content.
            let Ok(bytes) = frame.into_data() else {
                continue;
            };
            self.arrived += bytes.len();
            if self.arrived >= MIN_ARRIVED {
                (self.waited, self.arrived) = (Duration::ZERO, 0);
            }
            return Some(Ok(bytes.to_vec()));
        }
    }
}

/// Refuses a body for an operation whose request has none.
pub(super) fn expect_no_body(body: &RequestBody) -> Result<(), Problem> {
    match body.is_end_stream() {
        true => Ok(()),
        false => Err(Problem::bad_request(
            "a request with this method has no body; its parameters are in path and query",
            "",
        )),
    }
}

fn expect_no_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    match encodings.all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        true => Ok(()),
        false => Err(Problem::unsupported_body("the body is encoded")),
    }
}

/// Refuses a body that is declared as something else than JSON in UTF-8 (RFC 8259, section 8.1).
fn expect_json(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let mut parts = kind.unwrap_or_default().split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    if !is_json {
        return Err(Problem::unsupported_body(
            "the body is not declared as JSON",
        ));
    }
    let is_other = |(name, value): (&str, &str)| {
        let value = value.trim_matches('"');
        name.eq_ignore_ascii_case("charset") && !value.eq_ignore_ascii_case("utf-8")
    };
    match parts.filter_map(|part| part.split_once('=')).any(is_other) {
        true => Err(Problem::unsupported_body(
            "the body is declared in another character set than UTF-8",
        )),
        false => Ok(()),
    }
}

/// The value of a field that a request has at most once.
pub(super) fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    let text = value.map(|value| value.to_str().ok()).unwrap_or_default();
    match (value, values.next()) {
        (None, _) => Ok(None),
        (Some(_), None) if text.is_some() => Ok(text),
        _ => {
            let problem = format!("the field {name} is given twice, or is not ASCII");
            Err(Problem::bad_request(problem, name.as_str()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    /// Pieces of content, each after this time.
    fn arriving(
        length: usize,
        pause: Duration,
    ) -> Arriving<impl Body<Data = Bytes, Error = Infallible> + Unpin> {
        let pieces = stream::unfold(0, move |sent| async move {
            tokio::time::sleep(pause).await;
            let frame = Frame::data(Bytes::from(vec![7; length]));
            (sent < 120).then_some((Ok::<_, Infallible>(frame), sent + 1))
        });
        Arriving::new(StreamBody::new(Box::pin(pieces)))
    }

    /// Each piece had a minute of its own: one byte in 59 s kept an operation for ever.
    #[tokio::test(start_paused = true)]
    async fn content_that_arrives_slower_than_1_kib_a_second_is_broken() {
        let mut slow = arriving(1, Duration::from_secs(59));
        assert_eq!(slow.next().await, Some(Ok(vec![7])));
        let broken = slow.next().await.unwrap().unwrap_err();
        assert!(broken.to_string().contains("60 KiB"), "{broken}");
        let mut right = arriving(1_100, Duration::from_secs(1));
        for _ in 0..120 {
            assert_eq!(right.next().await, Some(Ok(vec![7; 1_100])));
        }
        assert_eq!(right.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_operation_does_not_break_its_content() {
        let mut content = arriving(1, Duration::from_millis(1));
        for _ in 0..120 {
            assert_eq!(content.next().await, Some(Ok(vec![7])));
            tokio::time::sleep(MAX_WAIT).await;
        }
        assert_eq!(content.next().await, None);
    }
}
