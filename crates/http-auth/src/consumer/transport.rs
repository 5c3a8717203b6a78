//! What sends a consumer's requests: reqwest, or any service of `tower`.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};

use super::ConsumerError;
use crate::content::Unread;

/// One request of the application, and the client that it goes through.
pub trait Transport: Send {
    /// What the application is given.
    type Response: Send;
    /// What it is told otherwise.
    type Error: From<ConsumerError>;

    /// Sends a message of the dialog, and reads what is answered, `longest` bytes at most.
    fn exchange(
        &mut self,
        message: Request<Bytes>,
        longest: usize,
    ) -> impl Future<Output = Result<(StatusCode, Bytes), Failure>> + Send;

    /// Sends the application's request with these fields.
    fn send(
        &mut self,
        fields: HeaderMap,
    ) -> impl Future<Output = Result<Self::Response, Self::Error>> + Send;

    /// What a response begins with.
    fn head(response: &Self::Response) -> (StatusCode, &HeaderMap);
}

/// Why there is no answer to a message.
pub enum Failure {
    /// It is too long.
    TooLong,
    /// What the client says.
    Unreachable(String),
}

impl Failure {
    /// With all causes: a client's own text often says no more than that it failed.
    pub(crate) fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let causes = std::iter::successors(error.source(), |cause| cause.source());
        let told = std::iter::once(error)
            .chain(causes)
            .map(ToString::to_string);
        Self::Unreachable(told.collect::<Vec<_>>().join(": "))
    }
}

impl From<Unread> for Failure {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::TooLong => Self::TooLong,
            Unread::Broken(error) => Self::of(&*error),
        }
    }
}
