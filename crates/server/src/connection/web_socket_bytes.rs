//! The bytes of a session in a WebSocket (RFC 6455): its binary messages, joined.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use countersign_proto::session::MAX_SESSION_MESSAGE;
use futures_util::Sink;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::socket::{Readable, Socket};
use crate::web_socket::{Messages, failed};

/// A WebSocket as a stream of bytes. One task reads and writes.
pub(crate) struct WebSocketBytes<S> {
    messages: Messages<S>,
    /// A message that was received and not read completely.
    input: Bytes,
    /// The bytes of a message that was passed on and is not sent completely. The caller has not been
    /// told that they are written.
    sending: Option<Bytes>,
    /// Why what arrives cannot be read any more: the code for the client.
    fault: Option<CloseCode>,
    has_ended: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocketBytes<S> {
    /// A WebSocket over a connection on which the request to upgrade was answered.
    pub(crate) async fn over(stream: S) -> Self {
        Self {
            messages: Messages::over(stream, MAX_SESSION_MESSAGE).await,
            input: Bytes::new(),
            sending: None,
            fault: None,
            has_ended: false,
        }
    }

    /// Waits for input, or the end.
    fn poll_input(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.input.is_empty() && !self.has_ended {
            match ready!(self.messages.poll_next(context))? {
                Some(Ok(Message::Binary(bytes))) => self.input = bytes,
                Some(Ok(Message::Text(_))) => {
                    return Poll::Ready(Err(
                        self.refuse(CloseCode::Unsupported, "a message must be binary".into())
                    ));
                }
                Some(Ok(
                    Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_),
                )) => {}
                None => self.has_ended = true,
                Some(Err(Error::Io(error))) => {
                    self.has_ended = true;
                    return Poll::Ready(Err(error));
                }
                Some(Err(error)) => {
                    let code = match &error {
                        Error::Capacity(_) => CloseCode::Size,
                        _ => CloseCode::Protocol,
                    };
                    return Poll::Ready(Err(self.refuse(code, error.into())));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn refuse(
        &mut self,
        code: CloseCode,
        problem: Box<dyn std::error::Error + Send + Sync>,
    ) -> io::Error {
        self.fault = Some(code);
        self.has_ended = true;
        io::Error::new(io::ErrorKind::InvalidData, problem)
    }

    /// Takes at most `most` bytes of the input.
    fn take_input(&mut self, most: usize) -> Bytes {
        let length = self.input.len().min(most);
        self.input.split_to(length)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocketBytes<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_input(context))?;
        let taken = self.take_input(buffer.remaining());
        buffer.put_slice(&taken);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocketBytes<S> {
    /// Reports bytes as written when the connection has taken their message: nothing flushes later.
    ///
    /// A caller may drop a write that waits and write something else, such as an error after a timeout.
    /// The message of the dropped write is then completed before the new one begins.
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let continues = |sending: &Bytes| bytes.starts_with(sending);
        if !self.sending.as_ref().is_some_and(continues) {
            // Flushes what a dropped write left.
            ready!(self.messages.poll_flush(context))?;
            let (part, _) = bytes.split_at(bytes.len().min(MAX_SESSION_MESSAGE));
            let part = Bytes::copy_from_slice(part);
            self.messages
                .socket()
                .start_send(Message::binary(part.clone()))
                .map_err(failed)?;
            self.sending = Some(part);
        }
        ready!(self.messages.poll_flush(context))?;
        let sent = self.sending.take();
        Poll::Ready(Ok(sent.map_or(0, |sent| sent.len())))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.messages.poll_flush(context)
    }

    /// Sends the close frame, and does not wait for the client's.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let code = self.fault.unwrap_or(CloseCode::Normal);
        self.messages.poll_close(code, context)
    }
}

/// Both halves of a WebSocket. They are used by one task, so the lock is always free.
pub(crate) struct WebSocketHalf<'a, S>(Arc<Mutex<&'a mut WebSocketBytes<S>>>);

impl<'a, S> WebSocketHalf<'a, S> {
    fn locked(&self) -> MutexGuard<'_, &'a mut WebSocketBytes<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for WebSocketBytes<S> {
    type Reader<'a>
        = WebSocketHalf<'a, S>
    where
        Self: 'a;
    type Writer<'a>
        = WebSocketHalf<'a, S>
    where
        Self: 'a;

    fn halves(&mut self) -> (WebSocketHalf<'_, S>, WebSocketHalf<'_, S>) {
        let shared = Arc::new(Mutex::new(self));
        (WebSocketHalf(shared.clone()), WebSocketHalf(shared))
    }

    fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match ready!(self.poll_input(context)) {
            Ok(()) if !self.input.is_empty() => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Readable for WebSocketHalf<'_, S> {
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.locked().poll_input(context)
    }

    fn try_read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let mut socket = self.locked();
        if socket.input.is_empty() && !socket.has_ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = socket.take_input(buffer.capacity() - buffer.len());
        buffer.extend_from_slice(&taken);
        Ok(taken.len())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocketHalf<'_, S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut **self.locked()).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut **self.locked()).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut **self.locked()).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;
    use crate::web_socket::READ_BUFFER;

    const BUFFER: usize = 8 * 1024;

    /// A WebSocket over a pipe with two buffers of [`BUFFER`] bytes, and its other end.
    fn web_socket() -> (WebSocketBytes<DuplexStream>, DuplexStream) {
        let (near, far) = tokio::io::duplex(BUFFER);
        let bytes = WebSocketBytes::over(near).now_or_never();
        (bytes.unwrap(), far)
    }

    /// A frame of a client, with a mask of zeros.
    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0x80 | kind, 0x80 | length, 0, 0, 0, 0], payload].concat()
    }

    /// The bytes that arrived.
    fn received(far: &mut DuplexStream) -> Vec<u8> {
        let mut bytes = vec![0; BUFFER];
        let read = far.read(&mut bytes).now_or_never();
        bytes.truncate(read.map_or(0, Result::unwrap));
        bytes
    }

    // SES-90
    #[test]
    fn a_client_that_reads_no_pongs_of_a_session_is_read_no_further() {
        let (mut bytes, mut far) = web_socket();
        let ping = frame(0x9, &[b'x'; 120]);
        let mut sent = 0;
        while let Some(written) = far.write(&ping).now_or_never() {
            sent += written.unwrap();
            assert!(sent < 1 << 20, "the pings of a client fill the memory");
            assert!(bytes.read(&mut [0; 16]).now_or_never().is_none());
        }
        assert!(sent <= 2 * BUFFER + READ_BUFFER + 2 * ping.len());
    }

    // SES-87
    #[test]
    fn the_borders_of_messages_mean_nothing() {
        let (mut bytes, mut far) = web_socket();
        for part in [&b"ab"[..], b"", b"c"] {
            let sent = far.write_all(&frame(0x2, part)).now_or_never();
            sent.unwrap().unwrap();
        }
        let (mut reader, _writer) = bytes.halves();
        let mut all = Vec::with_capacity(3);
        while let Some(Ok(())) = poll_fn(|context| reader.poll_readable(context)).now_or_never() {
            reader.try_read(&mut all).unwrap();
        }
        assert_eq!(all, b"abc");
        let nothing = reader.try_read(&mut Vec::with_capacity(1));
        assert_eq!(nothing.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    /// A login that waits learns that its client has gone, and loses no bytes that arrive meanwhile.
    // SES-87
    #[test]
    fn a_closed_web_socket_is_noticed_unless_bytes_wait_to_be_read() {
        let closed = |bytes: &mut WebSocketBytes<DuplexStream>| {
            poll_fn(|context| bytes.poll_closed(context)).now_or_never()
        };
        let (mut bytes, mut far) = web_socket();
        assert_eq!(closed(&mut bytes), None);
        let sent = far.write_all(&frame(0x2, b"early")).now_or_never();
        sent.unwrap().unwrap();
        assert_eq!(closed(&mut bytes), None);
        let mut early = [0; 5];
        bytes
            .read_exact(&mut early)
            .now_or_never()
            .unwrap()
            .unwrap();
        assert_eq!(&early, b"early");
        drop(far);
        assert_eq!(closed(&mut bytes), Some(()));
    }

    // SES-87
    #[test]
    fn long_output_is_sent_in_messages_and_reported_when_it_is_sent() {
        let (mut bytes, mut far) = web_socket();
        let output = vec![7; MAX_SESSION_MESSAGE + 1];
        assert!(bytes.write(&output).now_or_never().is_none());
        let mut arrived = received(&mut far).len();
        let written = loop {
            match bytes.write(&output).now_or_never() {
                Some(written) => break written.unwrap(),
                None => arrived += received(&mut far).len(),
            }
        };
        arrived += received(&mut far).len();
        assert_eq!(written, MAX_SESSION_MESSAGE);
        assert_eq!(arrived, MAX_SESSION_MESSAGE + 4);
    }

    /// A login that timed out while its reply waited was followed by an error. The error's write
    /// reported the length of the reply, and `write_all` panicked.
    // SES-87
    #[test]
    fn a_write_after_a_dropped_one_reports_its_own_length() {
        let (mut bytes, mut far) = web_socket();
        let reply = vec![7; MAX_SESSION_MESSAGE];
        assert!(bytes.write(&reply).now_or_never().is_none());
        let mut arrived = received(&mut far);
        let mut error = Box::pin(bytes.write_all(b"ERROR"));
        while error.as_mut().now_or_never().is_none() {
            arrived.extend(received(&mut far));
        }
        arrived.extend(received(&mut far));
        let length = u16::try_from(MAX_SESSION_MESSAGE).unwrap().to_be_bytes();
        let expected = [&[0x82, 126], &length[..], &reply, &[0x82, 5], b"ERROR"].concat();
        assert_eq!(arrived, expected);
    }
}
