//! A stream whose peer must read: a client that takes too few bytes of a response loses its connection,
//! so that it does not keep a place and the memory of the response.
//!
//! ```text
//!          a write waits              MIN_TAKEN bytes, or all
//!  free ────────────────▶ watched ─────────────────────────────▶ free
//!                            │ 60 s
//!                            ▼
//!                    the connection ends
//! ```

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long a client may take fewer than [`MIN_TAKEN`] bytes of a response that waits.
const MAX_STALL: Duration = Duration::from_secs(60);
/// The fewest bytes that a client takes in [`MAX_STALL`]: 1 KiB/s, less than any network carries today.
const MIN_TAKEN: usize = 60 * 1024;

/// A stream with a limit on the time that a write waits.
pub(in crate::http) struct Stalled<S> {
    stream: S,
    /// Runs from the first write that waits; with the bytes that were written since.
    waiting: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<S> Stalled<S> {
    pub(in crate::http) const fn new(stream: S) -> Self {
        Self {
            stream,
            waiting: None,
        }
    }
}

impl<S: Unpin> Stalled<S> {
    /// Writes bytes; the result is their number.
    fn written(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let written = write(Pin::new(&mut self.stream), context);
        let Poll::Ready(Ok(bytes)) = written else {
            return self.watched(context, written);
        };
        if let Some((_, taken)) = &mut self.waiting {
            *taken = taken.saturating_add(bytes);
            if *taken >= MIN_TAKEN {
                self.waiting = None;
            }
        }
        written
    }

    /// Flushes or shuts down. When that is done, the client has taken all.
    fn emptied(
        &mut self,
        context: &mut Context<'_>,
        empty: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        let emptied = empty(Pin::new(&mut self.stream), context);
        if emptied.is_ready() {
            self.waiting = None;
        }
        self.watched(context, emptied)
    }

    /// Fails if it waits for too long.
    fn watched<T>(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            return polled;
        }
        let begin = || (Box::pin(tokio::time::sleep(MAX_STALL)), 0);
        let (waiting, _) = self.waiting.get_or_insert_with(begin);
        waiting.as_mut().poll(context).map(|()| {
            let problem = "the client took less than 60 KiB of the response in 60 s";
            Err(io::Error::new(io::ErrorKind::TimedOut, problem))
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stalled<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stalled<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.written(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.written(context, |stream, context| {
            stream.poll_write_vectored(context, parts)
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.emptied(context, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.emptied(context, AsyncWrite::poll_shutdown)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Writes in the background, and reads 1 KiB every `pause` until the writer is done.
    async fn read_slowly(bytes: usize, pause: Duration) -> io::Result<()> {
        let (near, mut far) = tokio::io::duplex(1_024);
        let mut near = Stalled::new(near);
        let reading = async {
            let mut piece = [0; 1_024];
            while far.read_exact(&mut piece).await.is_ok() {
                tokio::time::sleep(pause).await;
            }
        };
        let writing = async {
            near.write_all(&vec![7; bytes]).await?;
            near.flush().await
        };
        tokio::select! {
            written = writing => written,
            () = reading => Ok(()),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_for_a_minute_loses_its_connection() {
        let (near, _far) = tokio::io::duplex(16);
        let mut near = Stalled::new(near);
        near.write_all(&[7; 16]).await.unwrap();
        #[allow(clippy::disallowed_methods, reason = "the paused time of this test")]
        let begun = tokio::time::Instant::now();
        let error = near.write_all(&[7; 16]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= MAX_STALL);
    }

    /// A client kept its connection and the response by taking one byte a minute.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_less_than_1_kib_a_second_loses_its_connection() {
        let whole = 256 * 1_024;
        let slow = read_slowly(whole, Duration::from_millis(1_100)).await;
        assert_eq!(slow.unwrap_err().kind(), io::ErrorKind::TimedOut);
        read_slowly(whole, Duration::from_millis(900))
            .await
            .unwrap();
    }

    /// Time between responses does not count.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_each_short_response_keeps_its_connection() {
        let (near, mut far) = tokio::io::duplex(16);
        let mut near = Stalled::new(near);
        for _ in 0..4 {
            let mut read = [0; 32];
            let (written, _) = tokio::join!(near.write_all(&[7; 32]), far.read_exact(&mut read));
            written.unwrap();
            near.flush().await.unwrap();
            tokio::time::sleep(MAX_STALL).await;
        }
    }
}
