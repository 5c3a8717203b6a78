//! A TLS connection after its handshake.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use countersign_crypto::device_key::DeviceKey;
use countersign_proto::enrolment::{EXPORTER_LABEL, Exporter};
use rustls::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::configuration::HTTP_2;
use super::pinned::key_of;

/// A TLS connection over a stream `S`. Shutting it down tells the peer that no more follows.
#[derive(Debug)]
pub struct TlsStream<S>(tokio_rustls::TlsStream<S>);

impl<S> TlsStream<S> {
    pub(super) fn new(stream: tokio_rustls::TlsStream<S>) -> Self {
        Self(stream)
    }

    /// The key that the peer proved to hold; `None` for a client that presented none.
    ///
    /// # Errors
    /// The key cannot be read, which the handshake has excluded.
    pub fn peer_key(&self) -> io::Result<Option<DeviceKey>> {
        let (_, connection) = self.0.get_ref();
        let certificate = connection.peer_certificates().and_then(<[_]>::first);
        certificate.map(key_of).transpose().map_err(invalid)
    }

    /// Whether the two ends chose HTTP/2 in the handshake.
    #[must_use]
    pub fn is_http2(&self) -> bool {
        let (_, connection) = self.0.get_ref();
        connection.alpn_protocol() == Some(HTTP_2)
    }

    /// The value that the proof of an enrolment signs.
    ///
    /// # Errors
    /// The handshake is not complete, which it is once there is a stream.
    pub fn enrolment_exporter(&self) -> io::Result<Exporter> {
        let value = [0; 32];
        let exported = match &self.0 {
            tokio_rustls::TlsStream::Client(stream) => {
                let (_, connection) = stream.get_ref();
                connection.export_keying_material(value, EXPORTER_LABEL, None)
            }
            tokio_rustls::TlsStream::Server(stream) => {
                let (_, connection) = stream.get_ref();
                connection.export_keying_material(value, EXPORTER_LABEL, None)
            }
        };
        exported.map(Exporter).map_err(invalid)
    }

    /// The stream below, for its address.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        self.0.get_ref().0
    }

    /// The group that the keys were agreed in.
    #[cfg(test)]
    pub(super) fn group(&self) -> Option<rustls::NamedGroup> {
        let (_, connection) = self.0.get_ref();
        let group = connection.negotiated_key_exchange_group();
        group.map(rustls::crypto::SupportedKxGroup::name)
    }

    /// Whether the handshake was a whole one.
    #[cfg(test)]
    pub(super) fn handshake_kind(&self) -> Option<rustls::HandshakeKind> {
        let (_, connection) = self.0.get_ref();
        connection.handshake_kind()
    }
}

fn invalid(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
