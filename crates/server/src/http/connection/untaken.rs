//! The responses of a connection of HTTP/2 that their client does not take. Flow control lets a client
//! read the connection and take nothing of a response, which [`Stalled`](super::stalled::Stalled) does
//! not see.
//!
//! ```text
//!            ┌──────────── a piece is handed out: 60 s, and 1 s for each KiB ◀────┐
//!            ▼                                                                    │
//!  made ─▶ waits for the client ──the library asks for more, there is none──▶ waits for the site
//!            │ its time is over
//!            ▼
//!      the connection ends
//! ```
//!
//! The library asks for the next piece only once the client has room for the pieces before it.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use countersign_core::content::ContentBroken;
use hyper::body::{Body, Frame, SizeHint};

use crate::clock;
use crate::http::body::ReplyBody;

/// How long a client may leave a response or a piece of it, and longer for a great piece.
const MAX_LEFT: Duration = Duration::from_secs(60);
/// The rate at which a client takes a great piece, in bytes a second.
const RATE: usize = 1_024;

/// The responses of a connection.
#[derive(Default)]
pub(super) struct Untaken(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    made: u64,
    /// When the time of each response is over; `None` if it waits for the site.
    until: HashMap<u64, Option<Instant>>,
}

impl Untaken {
    /// Follows a response until it was sent or given up.
    pub(super) fn follow(self: &Arc<Self>) -> Followed {
        let mut waiting = self.waiting();
        waiting.made += 1;
        let id = waiting.made;
        waiting.until.insert(id, Some(end_of(0)));
        let all = self.clone();
        Followed(Arc::new(Place { all, id }))
    }

    /// Whether the client left a response for too long; for a connection that carries the requests of
    /// many clients, whether all of its responses were.
    pub(super) fn is_left(&self, by_all: bool) -> bool {
        let now = clock::monotonic();
        let waiting = self.waiting();
        let mut left = waiting
            .until
            .values()
            .map(|until| until.is_some_and(|until| until <= now));
        match by_all {
            true => !waiting.until.is_empty() && left.all(|left| left),
            false => left.any(|left| left),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Each change under the lock is a single step, so a panic elsewhere leaves a valid state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A response that is followed.
pub(super) struct Followed(Arc<Place>);

struct Place {
    all: Arc<Untaken>,
    id: u64,
}

impl Place {
    fn set(&self, until: Option<Instant>) {
        self.all.waiting().until.insert(self.id, until);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.all.waiting().until.remove(&self.id);
    }
}

/// A piece of a response. The library drops it when it was sent.
struct Piece {
    bytes: Bytes,
    _place: Arc<Place>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Followed {
    fn hand_out(&self, bytes: Bytes) -> Bytes {
        self.0.set(Some(end_of(bytes.len())));
        let _place = self.0.clone();
        Bytes::from_owner(Piece { bytes, _place })
    }
}

/// When the time for a piece of this length is over.
fn end_of(length: usize) -> Instant {
    let seconds = u64::try_from(length / RATE).unwrap_or(u64::MAX);
    clock::monotonic() + MAX_LEFT.saturating_add(Duration::from_secs(seconds))
}

/// A body with what must live as long.
pub(super) struct FollowedBody<R> {
    body: ReplyBody,
    /// `None` over HTTP/1.1.
    followed: Option<Followed>,
    _running: R,
}

impl<R> FollowedBody<R> {
    /// The body of a response that is followed over HTTP/2. `running` is dropped with it.
    pub(super) const fn new(body: ReplyBody, followed: Option<Followed>, running: R) -> Self {
        Self {
            body,
            followed,
            _running: running,
        }
    }
}

impl<R: Unpin> Body for FollowedBody<R> {
    type Data = Bytes;
    type Error = ContentBroken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ContentBroken>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(context);
        let Some(followed) = &this.followed else {
            return polled;
        };
        match polled {
            Poll::Pending => {
                followed.0.set(None);
                Poll::Pending
            }
            Poll::Ready(Some(Ok(frame))) => {
                let frame = frame.map_data(|bytes| followed.hand_out(bytes));
                Poll::Ready(Some(Ok(frame)))
            }
            ended => ended,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_response_is_left_when_no_more_is_taken_for_a_minute() {
        let untaken = Arc::new(Untaken::default());
        let [one, other] = [untaken.follow(), untaken.follow()];
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!untaken.is_left(false));
        // Asked for more, of which there is none: it waits for the site.
        other.0.set(None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(untaken.is_left(false) && !untaken.is_left(true));
        // 10 KiB may take 10 s more, also after the end of the body.
        let piece = one.hand_out(Bytes::from(vec![7; 10_240]));
        drop((one, other));
        tokio::time::advance(Duration::from_secs(69)).await;
        assert!(!untaken.is_left(false));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(untaken.is_left(false) && untaken.is_left(true));
        drop(piece);
        assert!(!untaken.is_left(false) && !untaken.is_left(true));
    }
}
