//! Content: bytes of any number behind an operation or its result, a piece at a time.

use std::io;

use countersign_net::content::{Broken, Incoming, Pump};
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::error::CallError;

/// Bytes that are read of an upload at a time.
const READ_AT_A_TIME: usize = 64 * 1024;

/// The content that is under way over one connection.
pub(crate) type Streams = Pump<BoxStream<'static, io::Result<Vec<u8>>>>;

impl From<Broken> for CallError {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Cancelled => Self::Broken,
            Broken::Lost => Self::Lost,
            Broken::Ended(reason) => Self::Ended(reason),
        }
    }
}

/// The content of a result as it comes. The site sends no more than is read here: whoever does not read
/// makes only this content wait. Dropping it cancels the rest.
pub struct Download(pub(crate) Incoming);

impl Download {
    /// The next piece; `None` when the content is whole and its digest right.
    ///
    /// # Errors
    /// [`CallError::Broken`] when it ended before it was whole; the others when the session did. What came
    /// before must not be taken for the whole.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, CallError>> {
        let piece = self.0.next().await?;
        Some(piece.map_err(CallError::from))
    }

    /// All of it, when it is at most `longest` bytes.
    ///
    /// # Errors
    /// As for [`Self::next`]; [`CallError::Broken`] also when it is longer.
    pub async fn all(mut self, longest: usize) -> Result<Vec<u8>, CallError> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await {
            all.extend_from_slice(&piece?);
            if all.len() > longest {
                return Err(CallError::Broken);
            }
        }
        Ok(all)
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// The content of an operation: anything that can be read.
pub struct Upload(pub(crate) BoxStream<'static, io::Result<Vec<u8>>>);

impl Upload {
    /// Reads the content from there to its end. An error in between cancels the upload.
    #[must_use]
    pub fn new(from: impl AsyncRead + Send + 'static) -> Self {
        let pieces = stream::try_unfold(Box::pin(from), |mut from| async move {
            let mut piece = Vec::with_capacity(READ_AT_A_TIME);
            let read = from.read_buf(&mut piece).await?;
            Ok((read > 0).then_some((piece, from)))
        });
        Self(pieces.boxed())
    }

    /// Content that is all there.
    #[must_use]
    pub fn of(bytes: Vec<u8>) -> Self {
        Self::new(io::Cursor::new(bytes))
    }
}
