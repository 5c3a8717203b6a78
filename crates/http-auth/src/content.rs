//! Reads the complete content of a message, up to a maximum length.

use bytes::{Buf, BufMut, Bytes};
use http_body::Body;
use http_body_util::BodyExt;

use super::BoxError;

/// The content of a request or response.
pub trait Content: Body<Data: Send, Error: Into<BoxError>> + Send {}

impl<B: Body<Data: Send, Error: Into<BoxError>> + Send> Content for B {}

/// Why content could not be read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// It exceeds the maximum length.
    TooLong,
    /// The body failed, for example because the connection ended.
    Interrupted(BoxError),
}

/// Maximum capacity that is allocated because a size is announced, in bytes.
const MAX_INITIAL_CAPACITY: usize = 8 * 1024;

/// Reads the complete content, at most `max_len` bytes.
pub(super) async fn read(body: impl Content, max_len: usize) -> Result<Bytes, ReadError> {
    let least = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if least > max_len {
        return Err(ReadError::TooLong);
    }
    let mut body = std::pin::pin!(body);
    // One contiguous buffer: a list of many short frames would take many times their length.
    let mut content = Vec::with_capacity(least.min(MAX_INITIAL_CAPACITY));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ReadError::Interrupted(error.into()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if content.len() + data.remaining() > max_len {
            return Err(ReadError::TooLong);
        }
        content.put(data);
    }
    Ok(content.into())
}
