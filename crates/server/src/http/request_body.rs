//! The body of a request. Over HTTP/1.1 the next request comes after it, also if its handler answers
//! without reading it: what has arrived of it is discarded then, and otherwise the response says that
//! the connection closes.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::EXPECT;
use hyper::{Request, Version};
use tokio::task::yield_now;

/// The most bytes of a body that are discarded.
const MAX_DISCARDED: usize = 64 * 1024;

/// The body of a request, which goes to its [`Unread`] when it is dropped before its end.
pub(super) struct RequestBody {
    /// `None` only while it is dropped.
    body: Option<Incoming>,
    unread: Option<Arc<Mutex<Option<Incoming>>>>,
}

/// What the handler of a request leaves of its body.
pub(super) struct Unread {
    left: Arc<Mutex<Option<Incoming>>>,
    /// The client waits until the site asks for the body (RFC 9110, section 10.1.1).
    is_expecting: bool,
}

/// The request with its body, and what its handler will leave of it. Over HTTP/2 it leaves nothing: the
/// bytes of a body are in a stream of their own, and one that is dropped is cancelled.
pub(super) fn followed(request: Request<Incoming>) -> (Request<RequestBody>, Unread) {
    let unread = Unread {
        left: Arc::default(),
        is_expecting: request.headers().contains_key(EXPECT),
    };
    let is_http2 = request.version() == Version::HTTP_2;
    let request = request.map(|body| RequestBody {
        body: Some(body),
        unread: (!is_http2).then(|| Arc::clone(&unread.left)),
    });
    (request, unread)
}

impl Unread {
    /// Discards what has arrived. Returns whether nothing is left, so that the next request can be read. It
    /// waits for no client.
    pub(super) async fn discard(self) -> bool {
        let left = self.left.lock();
        let left = left.unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut body) = left else {
            return true;
        };
        if self.is_expecting {
            return false;
        }
        let mut room = MAX_DISCARDED;
        loop {
            // The connection passes on what has arrived when it runs next, which is in the same task.
            let frame = tokio::select! {
                biased;
                frame = body.frame() => frame,
                () = yield_now() => return false,
            };
            let frame = match frame {
                None => return true,
                Some(Err(_)) => return false,
                Some(Ok(frame)) => frame,
            };
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            let Some(rest) = room.checked_sub(bytes) else {
                return false;
            };
            room = rest;
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let body = self.body.take().filter(|body| !body.is_end_stream());
        if let (Some(body), Some(unread)) = (body, &self.unread) {
            *unread.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, Body::size_hint)
    }
}
