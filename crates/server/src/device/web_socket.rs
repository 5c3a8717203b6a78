//! The lines of a device connection in a WebSocket (RFC 6455): each text message is one line.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::task::{Context, Poll, ready};

use countersign_core::sessions::CloseReason;
use countersign_proto::device::DEVICE_SUBPROTOCOL;
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::handshake::Stream as TlsStream;
use crate::web_socket::{Messages, READ_BUFFER, failed};

/// How the WebSocket ends, shared with the session that decides it.
#[derive(Clone)]
pub(super) struct Closing(Arc<AtomicU16>);

impl Closing {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicU16::new(0)))
    }

    /// Sets the close code, unless the WebSocket itself failed before.
    pub(super) fn ended(&self, reason: CloseReason) {
        self.set(match reason {
            CloseReason::Goodbye => CloseCode::Normal,
            CloseReason::SiteStopping => CloseCode::Away,
            CloseReason::ProtocolFault => CloseCode::Protocol,
            _ => CloseCode::Policy,
        });
    }

    fn set(&self, code: CloseCode) {
        let code = u16::from(code);
        let _ = self
            .0
            .compare_exchange(0, code, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn code(&self) -> CloseCode {
        match self.0.load(Ordering::Relaxed) {
            0 => CloseCode::Normal,
            code => CloseCode::from(code),
        }
    }
}

/// A WebSocket as a stream of lines. One task reads and writes: a flush that a ping causes wakes the task
/// that wrote last.
pub(super) struct WebSocketLines<S = TlsStream> {
    messages: Messages<S>,
    /// A line that was received, and how much of it was read.
    input: (Vec<u8>, usize),
    /// Bytes to send that are not in a message yet, and how many of them have no line end.
    output: (Vec<u8>, usize),
    closing: Closing,
    /// What arrives cannot be read as messages any more.
    has_failed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocketLines<S> {
    /// Answers the request (RFC 6455, section 4.2.2). Messages have at most `most` bytes.
    pub(super) async fn answer(
        mut stream: S,
        key: &str,
        most: usize,
        closing: Closing,
    ) -> io::Result<Self> {
        let accept = derive_accept_key(key.as_bytes());
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-accept: {accept}\r\nsec-websocket-protocol: {DEVICE_SUBPROTOCOL}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        stream.flush().await?;
        Ok(Self {
            messages: Messages::over(stream, most).await,
            input: (Vec::new(), 0),
            output: (Vec::new(), 0),
            closing,
            has_failed: false,
        })
    }

    /// Sends the whole lines of the output, each as one message.
    fn poll_lines(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut sent = 0;
        let polled = self.poll_lines_from(&mut sent, context);
        // Once for all lines: the bytes after them move to the front.
        self.output.0.drain(..sent);
        polled
    }

    /// Like [`Self::poll_lines`], but leaves the lines in the output. Adds their length to `sent`.
    fn poll_lines_from(
        &mut self,
        sent: &mut usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let (output, searched) = &mut self.output;
        loop {
            let unsent = output.get(*sent..).unwrap_or_default();
            let unsearched = unsent.get(*searched..).unwrap_or_default();
            let Some(end) = unsearched.iter().position(|byte| *byte == b'\n') else {
                *searched = unsent.len();
                return Poll::Ready(Ok(()));
            };
            ready!(self.messages.socket().poll_ready(context)).map_err(failed)?;
            let (line, _) = unsent.split_at(*searched + end);
            let text = str::from_utf8(line).map_err(io::Error::other)?;
            self.messages
                .socket()
                .start_send(Message::text(text))
                .map_err(failed)?;
            *sent += line.len() + 1;
            *searched = 0;
        }
    }

    /// Takes a message; `None` if it has no line.
    fn line(&self, message: Message) -> io::Result<Option<Vec<u8>>> {
        match message {
            Message::Text(text) => {
                let mut line = text.as_bytes().to_vec();
                // In JSON a line end is white space, and may stand between members.
                line.iter_mut()
                    .filter(|byte| **byte == b'\n')
                    .for_each(|byte| *byte = b' ');
                line.push(b'\n');
                Ok(Some(line))
            }
            Message::Binary(_) => {
                self.closing.set(CloseCode::Unsupported);
                let problem = "a message must be text; a binary message is not taken";
                Err(io::Error::new(io::ErrorKind::InvalidData, problem))
            }
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => Ok(None),
        }
    }

    /// Discards what arrives until the client answers the close frame. The caller limits the time.
    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.has_failed {
            match ready!(self.messages.socket().poll_next(context)) {
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(()),
                Some(Ok(_)) => {}
                Some(Err(_)) => self.has_failed = true,
            }
        }
        let mut discarded = [0; READ_BUFFER];
        loop {
            let mut buffer = ReadBuf::new(&mut discarded);
            match ready!(
                Pin::new(self.messages.socket().get_mut().get_mut())
                    .poll_read(context, &mut buffer)
            ) {
                Ok(()) if !buffer.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
    }

    fn fault(&self, error: Error) -> io::Error {
        let code = match &error {
            Error::Capacity(_) => CloseCode::Size,
            Error::Utf8(_) => CloseCode::Invalid,
            _ => CloseCode::Protocol,
        };
        match error {
            Error::Io(error) => error,
            other => {
                self.closing.set(code);
                io::Error::new(io::ErrorKind::InvalidData, other)
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocketLines<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let (line, read) = &self.input;
            let unread = line.get(*read..).unwrap_or_default();
            if !unread.is_empty() {
                let (taken, _) = unread.split_at(unread.len().min(buffer.remaining()));
                buffer.put_slice(taken);
                self.input.1 += taken.len();
                return Poll::Ready(Ok(()));
            }
            // An idle connection holds no line.
            self.input = (Vec::new(), 0);
            match ready!(self.messages.poll_next(context))? {
                Some(Ok(message)) => {
                    if let Some(line) = self.line(message)? {
                        self.input = (line, 0);
                    }
                }
                None => return Poll::Ready(Ok(())),
                Some(Err(error)) => {
                    self.has_failed = true;
                    return Poll::Ready(Err(self.fault(error)));
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocketLines<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_lines(context))?;
        self.output.0.extend_from_slice(bytes);
        match self.poll_lines(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // What is left is sent by the next call, or when the stream is flushed.
            _ => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_lines(context))?;
        self.messages.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_lines(context))?;
        let code = self.closing.code();
        let _ = ready!(self.messages.poll_close(code, context));
        // A connection that is closed with unread bytes is reset, and the client loses the close frame.
        ready!(self.poll_rest(context));
        Pin::new(self.messages.socket().get_mut().get_mut()).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, DuplexStream};

    use super::*;

    const SAMPLE_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    // DEV-48
    #[test]
    fn an_upgrade_is_answered_as_rfc_6455_says() {
        let (near, mut far) = tokio::io::duplex(BUFFER);
        // RFC 6455, section 1.3.
        let lines = WebSocketLines::answer(near, SAMPLE_KEY, 1 << 20, Closing::new());
        let _lines = lines.now_or_never().unwrap().unwrap();
        assert_eq!(
            String::from_utf8(received(&mut far)).unwrap(),
            "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
             sec-websocket-protocol: countersign.device.1\r\n\r\n"
        );
    }

    const BUFFER: usize = 8 * 1024;

    /// A WebSocket over a pipe with two buffers of [`BUFFER`] bytes, and its other end after the answer.
    fn web_socket() -> (WebSocketLines<DuplexStream>, DuplexStream) {
        let (near, mut far) = tokio::io::duplex(BUFFER);
        let lines = WebSocketLines::answer(near, SAMPLE_KEY, 1 << 20, Closing::new());
        let lines = lines.now_or_never().unwrap().unwrap();
        assert!(received(&mut far).starts_with(b"HTTP/1.1 101"));
        (lines, far)
    }

    /// The bytes that arrived.
    fn received(far: &mut DuplexStream) -> Vec<u8> {
        let mut bytes = vec![0; BUFFER];
        let read = far.read(&mut bytes).now_or_never();
        bytes.truncate(read.map_or(0, Result::unwrap));
        bytes
    }

    /// A client sent pings and read nothing: the site kept a pong for each in memory, without a limit.
    // DEV-48
    #[test]
    fn a_client_that_reads_no_pongs_is_read_no_further() {
        let (mut lines, mut far) = web_socket();
        // Two bytes of header, the mask, and the masked payload.
        let ping = [&[0x89, 0x80 + 120, 0, 0, 0, 0][..], &[b'x'; 120]].concat();
        let mut pings = Vec::new();
        let mut line = [0; 16];
        while let Some(written) = far.write(&ping).now_or_never() {
            pings.push(written.unwrap());
            assert!(
                pings.len() < 10_000,
                "the pings of a client fill the memory"
            );
            assert!(lines.read(&mut line).now_or_never().is_none());
        }
        assert!(pings.iter().sum::<usize>() <= 2 * BUFFER + READ_BUFFER + 2 * ping.len());
        // It reads again, and gets the pong of each whole ping.
        let mut pongs = Vec::new();
        loop {
            let some = received(&mut far);
            if some.is_empty() {
                break;
            }
            pongs.extend(some);
            assert!(lines.read(&mut line).now_or_never().is_none());
        }
        let pong = [&[0x8a, 120][..], &[b'x'; 120]].concat();
        let whole = pings.iter().sum::<usize>() / ping.len();
        assert_eq!(pongs, pong.repeat(whole));
    }

    #[test]
    fn lines_arrive_as_messages_whatever_their_number_and_wherever_they_are_split() {
        let (mut lines, mut far) = web_socket();
        let sent: String = (0..2_000).map(|number| format!("{number}\n")).collect();
        let mut expected = Vec::new();
        for line in sent.lines() {
            let length = u8::try_from(line.len()).unwrap();
            expected.extend([0x81, length]);
            expected.extend(line.as_bytes());
        }
        let mut messages = Vec::new();
        for part in sent.as_bytes().chunks(1_777) {
            while lines.flush().now_or_never().is_none() {
                messages.extend(received(&mut far));
            }
            lines.write_all(part).now_or_never().unwrap().unwrap();
        }
        while lines.flush().now_or_never().is_none() {
            messages.extend(received(&mut far));
        }
        messages.extend(received(&mut far));
        assert_eq!(messages, expected);
    }
}
