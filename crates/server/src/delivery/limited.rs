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

/// The first byte of a TLS connection: the record type "handshake" (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// A connection that fails when the other end has sent too much: a line without an end would fill the
/// memory.
///
/// With STARTTLS, it also keeps plaintext out of the encrypted conversation. `lettre` reads ahead into a
/// buffer and keeps the buffer when encryption begins, so that an attacker in the network could append
/// replies to the reply to STARTTLS, and they would count as replies of the authenticated server
/// (CVE-2011-0411 was the same fault in servers). Until the client begins TLS, this connection therefore
/// hands out one byte for each read: the buffer is empty at the end of each line. Appended bytes reach
/// TLS, which fails.
#[derive(Debug)]
pub(super) struct Limited {
    stream: TcpStream,
    left: usize,
    /// Whether the client speaks plaintext and will begin TLS later.
    before_tls: bool,
}

impl Limited {
    pub(super) const fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            left: MAX_RECEIVED,
            before_tls: false,
        }
    }

    /// A connection on which the client begins TLS after some commands in plaintext.
    pub(super) fn until_tls(stream: TcpStream) -> Self {
        Self {
            before_tls: true,
            ..Self::new(stream)
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
        let most = if self.before_tls { 1 } else { self.left };
        let mut part = buffer.take(most);
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
        // A command begins with a letter.
        if bytes.first() == Some(&TLS_HANDSHAKE) {
            self.before_tls = false;
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
