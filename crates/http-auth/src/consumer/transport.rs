//! The HTTP client that a consumer uses: reqwest, or a `tower` service.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};

use super::ConsumerError;
use crate::content::ReadError;

/// One request of the application, and the client that sends it.
pub trait Transport: Send {
    /// The response that the application gets.
    type Response: Send;
    /// The error that it gets otherwise.
    type Error: From<ConsumerError>;

    /// Sends a message of the dialog and reads the response, at most `max_len` bytes.
    fn exchange(
        &mut self,
        message: Request<Bytes>,
        max_len: usize,
    ) -> impl Future<Output = Result<(StatusCode, Bytes), Failure>> + Send;

    /// Sends the application's request with these additional headers.
    fn send(
        &mut self,
        fields: HeaderMap,
    ) -> impl Future<Output = Result<Self::Response, Self::Error>> + Send;

    /// Status and headers of a response.
    fn head(response: &Self::Response) -> (StatusCode, &HeaderMap);
}

/// Why a message has no response.
pub enum Failure {
    /// The response is too long.
    TooLong,
    /// The HTTP client's error.
    Unreachable(String),
}

impl Failure {
    /// Includes all causes: the text of the outermost error often says only that the request
    /// failed.
    pub(crate) fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let causes = std::iter::successors(error.source(), |cause| cause.source());
        let texts = std::iter::once(error)
            .chain(causes)
            .map(ToString::to_string);
        Self::Unreachable(texts.collect::<Vec<_>>().join(": "))
    }
}

impl From<ReadError> for Failure {
    fn from(unread: ReadError) -> Self {
        match unread {
            ReadError::TooLong => Self::TooLong,
            ReadError::Interrupted(error) => Self::of(&*error),
        }
    }
}
