//! The lines of a device connection: over TLS directly, or in a WebSocket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::web_socket::{Closing, WebSocketLines};
use crate::handshake::Stream;

/// A stream of lines.
pub(super) enum DeviceStream {
    Lines(Stream),
    WebSocket(Box<WebSocketLines>),
}

impl DeviceStream {
    /// Answers the request for a WebSocket with this key, if there is one. Messages have at most `most`
    /// bytes.
    pub(super) async fn open(
        stream: Stream,
        key: Option<String>,
        most: usize,
        closing: &Closing,
    ) -> io::Result<Self> {
        Ok(match key {
            None => Self::Lines(stream),
            Some(key) => {
                let socket = WebSocketLines::answer(stream, &key, most, closing.clone());
                Self::WebSocket(Box::new(socket.await?))
            }
        })
    }
}

impl AsyncRead for DeviceStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Lines(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::WebSocket(socket) => Pin::new(&mut **socket).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for DeviceStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Lines(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::WebSocket(socket) => Pin::new(&mut **socket).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Lines(stream) => Pin::new(stream).poll_flush(context),
            Self::WebSocket(socket) => Pin::new(&mut **socket).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Lines(stream) => Pin::new(stream).poll_shutdown(context),
            Self::WebSocket(socket) => Pin::new(&mut **socket).poll_shutdown(context),
        }
    }
}
