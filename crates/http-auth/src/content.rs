//! Reading content whole, up to a limit.

use bytes::{Buf, Bytes};
use http_body::Body;
use http_body_util::BodyExt;

use super::BoxError;

/// The content of a request or response.
pub trait Content: Body<Data: Send, Error: Into<BoxError>> + Send {}

impl<B: Body<Data: Send, Error: Into<BoxError>> + Send> Content for B {}

/// Why content was not read.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is longer than may be.
    TooLong,
    /// It broke off, or something else happened to it.
    Broken(BoxError),
}

/// Bytes that room is made for because a head announces them.
const BELIEVED: usize = 8 * 1024;

/// Reads all of it, `longest` bytes at most.
pub(super) async fn read(body: impl Content, longest: usize) -> Result<Bytes, Unread> {
    let least = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if least > longest {
        return Err(Unread::TooLong);
    }
    let mut body = std::pin::pin!(body);
    // Into one piece of memory: a piece for each of many short ones would cost many times their length.
    let mut content = Vec::with_capacity(least.min(BELIEVED));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Unread::Broken(error.into()))?;
        let Ok(mut data) = frame.into_data() else {
            continue;
        };
        if content.len() + data.remaining() > longest {
            return Err(Unread::TooLong);
        }
        while data.has_remaining() {
            let piece = data.chunk();
            content.extend_from_slice(piece);
            let length = piece.len();
            data.advance(length);
        }
    }
    Ok(content.into())
}
