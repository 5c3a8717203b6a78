//! How a plain connection begins: with a request of HTTP/1.1, or with the preface of HTTP/2
//! (RFC 9113, section 3.3, prior knowledge).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// The beginning of the preface. No method of HTTP/1.1 begins with it, so that it decides.
const PREFACE: &[u8] = b"PRI * HTTP/2";

/// A stream of which the first bytes were read already.
pub(super) struct Begun<S> {
    stream: S,
    first: Vec<u8>,
}

impl<S: AsyncRead + Unpin> Begun<S> {
    /// Reads until the protocol is certain. Returns whether it is HTTP/2. Set a time limit.
    pub(super) async fn read(mut stream: S) -> io::Result<(Self, bool)> {
        let mut first = Vec::new();
        while first.len() < PREFACE.len() && PREFACE.starts_with(&first) {
            let mut limited = (&mut stream).take((PREFACE.len() - first.len()) as u64);
            if limited.read_buf(&mut first).await? == 0 {
                break;
            }
        }
        let is_http2 = first == PREFACE;
        Ok((Self { stream, first }, is_http2))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let (taken, _) = self
            .first
            .split_at(self.first.len().min(buffer.remaining()));
        buffer.put_slice(taken);
        let taken = taken.len();
        self.first.drain(..taken);
        if self.first.is_empty() {
            self.first = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn begun(parts: &[&[u8]]) -> (Vec<u8>, bool) {
        let (near, mut far) = tokio::io::duplex(1);
        let sending = async {
            for part in parts {
                far.write_all(part).await.unwrap();
            }
            drop(far);
        };
        let reading = async {
            let (mut stream, is_http2) = Begun::read(near).await.unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            (all, is_http2)
        };
        let ((), read) = tokio::join!(sending, reading);
        read
    }

    #[tokio::test]
    async fn the_preface_tells_the_protocol_and_no_byte_is_lost() {
        for (bytes, is_http2) in [
            (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrest"[..], true),
            (b"POST /authenticate HTTP/1.1\r\n", false),
            (b"PRI * HTTP/1.1\r\n", false),
            (b"PR", false),
            (b"", false),
        ] {
            let (read, found) = begun(&[bytes]).await;
            assert_eq!((read.as_slice(), found), (bytes, is_http2));
        }
    }
}
