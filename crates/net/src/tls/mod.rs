//! TLS between a site and its devices (`docs/protocol/device.md`, TLS): version 1.3 only, X25519 with
//! ML-KEM-768 first, and both ends known by their keys.
//!
//! - [`Acceptor`]: the site's end. It has a self-signed certificate of its Ed25519 key, and asks for a
//!   certificate without insisting on one.
//! - [`Connector`]: the device's end. It pins the site's key, and may present its own.
//! - [`TlsStream`]: the connection, with the peer's key and the exporter of the enrolment dialog.
//!
//! No session is resumed and no early data is sent: each connection proves both keys. No clock is
//! read: certificates carry keys, and their dates mean nothing.

mod configuration;
mod https;
mod pinned;
mod signer;
mod stream;

use std::io;
use std::sync::Arc;

use countersign_crypto::device_key::DeviceIdentity;
use countersign_crypto::sign::VerifyingKey;
use countersign_crypto::site_key::SiteKey;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, Error, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake, TlsAcceptor, TlsConnector};

pub use https::{BadCertificate, Https};
pub use stream::TlsStream;

/// The provider of primitives cannot do what these connections need: this program was built wrongly.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be set up: {0}")]
pub struct TlsSetupError(#[from] Error);

/// The site's end of TLS. It is cheap to clone.
#[derive(Clone)]
pub struct Acceptor {
    tls: TlsAcceptor,
    /// Whether its key is the Ed25519 key of a site.
    is_of_site: bool,
}

impl Acceptor {
    /// Proves the key of `site` to each client.
    ///
    /// # Errors
    /// [`TlsSetupError`].
    pub fn new(site: Arc<SiteKey>) -> Result<Self, TlsSetupError> {
        let configuration = configuration::of_site(site)?;
        Ok(Self {
            tls: Arc::new(configuration).into(),
            is_of_site: true,
        })
    }

    /// Does the handshake. It waits for the client as long as that takes: set a time limit.
    ///
    /// # Errors
    /// Those of the stream; [`io::ErrorKind::InvalidData`] when the client breaks the protocol,
    /// presents a key of another kind, or does not prove that it holds its key.
    pub async fn accept<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let accepted = self.tls.accept(stream).await?;
        Ok(TlsStream::new(accepted.into()))
    }

    /// Waits for the first message of the handshake, without public-key work, so that a caller can
    /// limit how many handshakes compute at a time. Set a time limit.
    ///
    /// # Errors
    /// As [`Self::accept`].
    pub async fn client_hello<S>(&self, stream: S) -> io::Result<ClientHello<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
        Ok(ClientHello {
            start,
            acceptor: self.clone(),
        })
    }
}

/// The first message of a client, which the site has not answered.
pub struct ClientHello<S> {
    start: StartHandshake<S>,
    acceptor: Acceptor,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ClientHello<S> {
    /// Whether the client offers to verify signatures by the key of the site. Browsers do not verify
    /// those of Ed25519. `true` for the certificate of an operator, whose key may be of any kind.
    #[must_use]
    pub fn can_verify(&self) -> bool {
        let hello = self.start.client_hello();
        let mut schemes = hello.signature_schemes().iter();
        !self.acceptor.is_of_site || schemes.any(|scheme| *scheme == SignatureScheme::ED25519)
    }

    /// Answers it. The key agreement and the site's signature are computed before this returns; the
    /// returned future waits for the rest of the handshake and verifies the client's signature.
    ///
    /// # Errors
    /// As [`Acceptor::accept`].
    pub fn answer(self) -> impl Future<Output = io::Result<TlsStream<S>>> {
        let accepting = self.start.into_stream(self.acceptor.tls.config().clone());
        async move { Ok(TlsStream::new(accepting.await?.into())) }
    }
}

/// The device's end of TLS. It is cheap to clone.
#[derive(Clone)]
pub struct Connector(TlsConnector);

/// Why there is no TLS connection to the site.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The other end has another key than the pinned one, or does not prove to hold it.
    #[error("the server does not prove the site's key; it is another site, or an attacker")]
    WrongSite,
    /// The stream failed, or the other end does not speak TLS 1.3.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Connector {
    /// Connects to the site with this key and to no other, presenting `identity` if there is one.
    ///
    /// # Errors
    /// [`TlsSetupError`].
    pub fn new(
        site: VerifyingKey,
        identity: Option<Arc<DeviceIdentity>>,
    ) -> Result<Self, TlsSetupError> {
        let configuration = configuration::of_device(site, identity)?;
        Ok(Self(Arc::new(configuration).into()))
    }

    /// Connects to the peer with this key and to no other, and proves the key of `own`.
    ///
    /// # Errors
    /// [`TlsSetupError`].
    pub fn of_peer(pinned: VerifyingKey, own: Arc<SiteKey>) -> Result<Self, TlsSetupError> {
        let configuration = configuration::of_peer(pinned, own)?;
        Ok(Self(Arc::new(configuration).into()))
    }

    /// Connects to a site with any key, which [`TlsStream::peer_key`] then gives: only to ask it
    /// for its key events, which authenticate themselves. Send no secret.
    ///
    /// # Errors
    /// [`TlsSetupError`].
    pub fn any_site() -> Result<Self, TlsSetupError> {
        let configuration = configuration::of_any_site()?;
        Ok(Self(Arc::new(configuration).into()))
    }

    /// Does the handshake. It waits for the site as long as that takes: set a time limit.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect<S>(&self, stream: S) -> Result<TlsStream<S>, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        // It is neither sent nor checked.
        let name = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
        match self.0.connect(name, stream).await {
            Ok(connected) => Ok(TlsStream::new(connected.into())),
            Err(error) if is_of_certificate(&error) => Err(ConnectError::WrongSite),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether it was this end that did not accept the other's certificate, or the signature by its key.
fn is_of_certificate(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|error| error.downcast_ref());
    matches!(
        inner,
        Some(Error::InvalidCertificate(
            CertificateError::ApplicationVerificationFailure | CertificateError::BadSignature
        ))
    )
}

/// Whether the peer ended a handshake with an alert: for a site, that a client does not accept its
/// key.
#[must_use]
pub fn is_alert(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|error| error.downcast_ref());
    matches!(inner, Some(Error::AlertReceived(_)))
}

/// Whether the two ends of a handshake have no version, key agreement or signature in common.
#[must_use]
pub fn is_incompatible(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|error| error.downcast_ref());
    matches!(inner, Some(Error::PeerIncompatible(_)))
}

#[cfg(test)]
mod tests;
