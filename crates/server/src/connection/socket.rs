//! What carries the bytes of a session: a TCP connection, or a WebSocket.

use std::io;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

/// A connection that carries the bytes of a session.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Unpin + Send {
    /// The half that is read.
    type Reader<'a>: Readable
    where
        Self: 'a;
    /// The half that is written.
    type Writer<'a>: AsyncWrite + Unpin + Send
    where
        Self: 'a;

    /// Both halves, for one task.
    fn halves(&mut self) -> (Self::Reader<'_>, Self::Writer<'_>);

    /// Becomes ready when the client has closed the connection or it broke; never if the client has
    /// sent more data.
    fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()>;
}

/// A half that is read only when bytes have arrived, so that an idle session holds no buffer.
pub(crate) trait Readable: Send {
    /// Becomes ready when bytes have arrived or the connection has ended.
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Reads what has arrived into the free capacity of `buffer`. Returns 0 at the end.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if nothing has arrived.
    fn try_read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize>;
}

impl Socket for TcpStream {
    type Reader<'a> = ReadHalf<'a>;
    type Writer<'a> = WriteHalf<'a>;

    fn halves(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        self.split()
    }

    fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut byte = [0];
        match ready!(self.poll_peek(context, &mut ReadBuf::new(&mut byte))) {
            Ok(0) | Err(_) => Poll::Ready(()),
            Ok(_) => Poll::Pending,
        }
    }
}

impl Readable for ReadHalf<'_> {
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.as_ref().poll_read_ready(context)
    }

    fn try_read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        self.try_read_buf(buffer)
    }
}
