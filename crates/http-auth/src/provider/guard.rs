//! A provider of either edition, as its layer sees it.

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;

use crate::BoxError;

/// What becomes of a request.
pub(crate) enum Passage {
    /// The service sees it.
    Through(Request<Full<Bytes>>),
    /// It is answered before.
    Answered(Response<Bytes>),
}

/// Stands before a service.
pub(crate) trait Guard: Clone + Send + Sync + 'static {
    /// The scheme of its challenges: a service that passes one of somebody else on would have its callers take
    /// that for ours.
    const SCHEME: &'static str;

    /// Takes tickets, and lets through what may be.
    fn pass<B>(&self, request: Request<B>) -> impl Future<Output = Passage> + Send
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>;
}
