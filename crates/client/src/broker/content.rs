//! Reading content whole, up to a limit.

use bytes::Bytes;
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::BoxError;

/// Why content was not read.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is longer than may be.
    TooLong,
    /// It broke off, or something else happened to it.
    Broken(BoxError),
}

/// Reads all of it, `longest` bytes at most.
pub(super) async fn read<B>(body: B, longest: usize) -> Result<Bytes, Unread>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let least = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if least > longest {
        return Err(Unread::TooLong);
    }
    match Limited::new(body, longest).collect().await {
        Ok(content) => Ok(content.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Unread::TooLong),
        Err(error) => Err(Unread::Broken(error)),
    }
}
