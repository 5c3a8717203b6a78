//! A connection on which the other end can send only so much.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes that a mail server may send in one conversation, certificates included. A conversation needs
/// about 10 KiB.
const MAX_RECEIVED: usize = 256 * 1024;

/// A connection that fails when the other end has sent too much: a line without an end would fill the
/// memory.
#[derive(Debug)]
pub(super) struct Limited {
    stream: TcpStream,
    left: usize,
}

impl Limited {
    pub(super) const fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            left: MAX_RECEIVED,
        }
    }
}

impl AsyncTokioStream for Limited {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

impl AsyncRead for Limited {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            let problem = format!("the server sent more than {MAX_RECEIVED} bytes");
            return Poll::Ready(Err(io::Error::other(problem)));
        }
        let mut part = buffer.take(self.left);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut part))?;
        let (read, initialized) = (part.filled().len(), part.initialized().len());
        // The bytes are in the front of the same memory.
        buffer.initialize_unfilled_to(initialized);
        buffer.advance(read);
        self.left = self.left.saturating_sub(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Limited {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
