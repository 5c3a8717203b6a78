//! The messages of a WebSocket (RFC 6455), on the side of the server.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

/// The buffer for reading, in bytes: most lines and a first flight fit, and there may be many idle
/// connections.
pub(crate) const READ_BUFFER: usize = 4 * 1024;

/// The messages of a WebSocket. One task reads and writes.
pub(crate) struct Messages<S> {
    socket: WebSocketStream<S>,
    /// A ping was received, and the connection has not taken its pong yet.
    owes_pong: bool,
    has_closed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Messages<S> {
    /// The messages, of at most `most` bytes each, over a connection on which the request to upgrade
    /// was answered.
    pub(crate) async fn over(stream: S, most: usize) -> Self {
        let mut config = WebSocketConfig::default();
        config.read_buffer_size = READ_BUFFER;
        config.write_buffer_size = 0;
        config.max_message_size = Some(most);
        config.max_frame_size = Some(most);
        Self {
            socket: WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await,
            owes_pong: false,
            has_closed: false,
        }
    }

    /// What sends messages, and reads them without answering pings.
    pub(crate) fn socket(&mut self) -> Pin<&mut WebSocketStream<S>> {
        Pin::new(&mut self.socket)
    }

    /// Waits for the next message; `None` after the last one. Fails if a ping cannot be answered.
    pub(crate) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Option<Result<Message, Error>>>> {
        // Pongs have no limit of their own. A client that sends pings and reads no pong is read no
        // further.
        if self.owes_pong {
            ready!(self.poll_flush(context))?;
            self.owes_pong = false;
        }
        let next = ready!(self.socket().poll_next(context));
        self.owes_pong = matches!(next, Some(Ok(Message::Ping(_))));
        Poll::Ready(Ok(next.filter(|next| {
            let has_ended = matches!(next, Err(Error::ConnectionClosed | Error::AlreadyClosed));
            !has_ended
        })))
    }

    /// Waits until the connection has taken what was sent.
    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_flush(context).map_err(failed)
    }

    /// Sends the close frame once, and does not wait for the client's.
    pub(crate) fn poll_close(
        &mut self,
        code: CloseCode,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.has_closed {
            ready!(self.socket().poll_ready(context)).ok();
            self.has_closed = true;
            let reason = "".into();
            let frame = Message::Close(Some(CloseFrame { code, reason }));
            // The client may have closed it first.
            let _ = self.socket().start_send(frame);
        }
        self.poll_flush(context)
    }
}

/// A failure to send.
pub(crate) fn failed(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::other(other),
    }
}
