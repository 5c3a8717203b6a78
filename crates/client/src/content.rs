//! Content: a byte stream of any length that follows an operation or its result.

use std::io;

use countersign_net::content::{ContentError, Incoming, Pump};
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::error::CallError;

/// Bytes that are read from an upload at a time.
const READ_SIZE: usize = 64 * 1024;

/// The content in transit over one connection.
pub(crate) type Streams = Pump<BoxStream<'static, io::Result<Vec<u8>>>>;

impl From<ContentError> for CallError {
    fn from(broken: ContentError) -> Self {
        match broken {
            ContentError::Cancelled => Self::IncompleteContent,
            ContentError::Lost => Self::Lost,
            ContentError::Ended(reason) => Self::Ended(reason),
        }
    }
}

/// The content of a result. Flow control stops the site when the application does not read; other
/// content is not affected. Dropping it cancels the rest.
pub struct Download(pub(crate) Incoming);

impl Download {
    /// The next piece; `None` when the content is complete and its digest verified.
    ///
    /// # Errors
    /// [`CallError::IncompleteContent`] if the sender cancelled it; another error if the session
    /// ended. Pieces received before an error must not be used as the complete content.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, CallError>> {
        let piece = self.0.next().await?;
        Some(piece.map_err(CallError::from))
    }

    /// Reads the complete content, at most `max_len` bytes.
    ///
    /// # Errors
    /// As [`Self::next`]; [`CallError::IncompleteContent`] also if it is longer than `max_len`.
    pub async fn all(mut self, max_len: usize) -> Result<Vec<u8>, CallError> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await {
            all.extend_from_slice(&piece?);
            if all.len() > max_len {
                return Err(CallError::IncompleteContent);
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

/// The content of an operation, from any reader.
pub struct Upload(pub(crate) BoxStream<'static, io::Result<Vec<u8>>>);

impl Upload {
    /// Reads the content from `from` to its end. A read error cancels the upload.
    #[must_use]
    pub fn new(from: impl AsyncRead + Send + 'static) -> Self {
        let pieces = stream::try_unfold(Box::pin(from), |mut from| async move {
            let mut piece = Vec::with_capacity(READ_SIZE);
            let read = from.read_buf(&mut piece).await?;
            Ok((read > 0).then_some((piece, from)))
        });
        Self(pieces.boxed())
    }

    /// Reads the content from a stream of pieces to its end. An error cancels the upload.
    #[must_use]
    pub fn from_pieces(pieces: impl Stream<Item = io::Result<Vec<u8>>> + Send + 'static) -> Self {
        Self(pieces.boxed())
    }

    /// Content in memory.
    #[must_use]
    pub fn of(bytes: Vec<u8>) -> Self {
        Self::new(io::Cursor::new(bytes))
    }
}
