//! The body of a response: bytes in memory, the content of an operation as it is made, or events.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use countersign_core::content::{Content, ContentBroken};
use futures_util::stream::Stream;
use hyper::body::{Body, Frame, SizeHint};

use super::api::EventStream;

/// The body of a response.
pub(super) enum ReplyBody {
    /// Bytes in memory; `None` once they were taken.
    Whole(Option<Bytes>),
    /// The content of a result. If it breaks, the connection ends before the last chunk, so that the
    /// client does not take the received part for the whole.
    Content(Streamed),
    /// Events, as they are published.
    Events(Box<EventStream>),
}

/// Content, and what must live until its end.
pub(super) struct Streamed {
    content: Content,
    /// Counts the request as running.
    _running: Box<dyn Send + Sync>,
}

impl ReplyBody {
    /// Bytes in memory. `running` is dropped when the operating system has taken the last of them, or
    /// the connection ended.
    pub(super) fn unsent(bytes: String, running: impl Send + 'static) -> Self {
        Self::from(Bytes::from_owner(Unsent {
            bytes,
            _running: running,
        }))
    }

    /// Content. `running` is dropped with it.
    pub(super) fn content(content: Content, running: impl Send + Sync + 'static) -> Self {
        Self::Content(Streamed {
            content,
            _running: Box::new(running),
        })
    }
}

/// Bytes, and what must live until they were sent.
struct Unsent<R> {
    bytes: String,
    _running: R,
}

impl<R> AsRef<[u8]> for Unsent<R> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_bytes()
    }
}

impl Default for ReplyBody {
    fn default() -> Self {
        Self::Whole(None)
    }
}

impl<T: Into<Bytes>> From<T> for ReplyBody {
    fn from(bytes: T) -> Self {
        let bytes = bytes.into();
        Self::Whole((!bytes.is_empty()).then_some(bytes))
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = ContentBroken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ContentBroken>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Content(streamed) => {
                let next = ready!(Pin::new(&mut streamed.content).poll_next(context));
                Poll::Ready(next.map(|piece| Ok(Frame::data(Bytes::from(piece?)))))
            }
            Self::Events(events) => {
                let next = ready!(events.poll_next(context));
                Poll::Ready(next.map(|text| Ok(Frame::data(Bytes::from(text)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Content(_) | Self::Events(_) => SizeHint::default(),
        }
    }
}
