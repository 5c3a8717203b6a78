//! Connects to the device port of a site.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use countersign_crypto::device_key::DeviceIdentity;
use countersign_crypto::sign::VerifyingKey;
use countersign_net::lines::Lines;
use countersign_net::tls::{ConnectError, Connector, TlsSetupError, TlsStream};
use countersign_proto::device::{BadWelcome, DeviceWelcome, Hello, MAX_WELCOME};
use countersign_proto::enrolment::client::EnrolmentError;
use countersign_proto::name::AccountName;
use countersign_proto::site_identity::{KeyEventsError, KnownSite};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connection::DeviceConnection;
use super::enrolling::Enrolment;
use super::site_keys::{self, SitePin};

/// The default timeout for connecting and for the first lines together.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);

/// Why a device is not connected or not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The connection failed.
    #[error(
        "cannot reach {address}: {cause}; check that the site runs and that the address is right"
    )]
    Unreachable {
        /// Host and port that were tried.
        address: String,
        /// The operating system's error.
        cause: io::Error,
    },
    /// The site did not reply before the timeout.
    #[error("{address} did not respond in time; try again")]
    Timeout {
        /// Host and port that were tried.
        address: String,
    },
    /// The server does not prove the pinned site key. Nothing was sent to it.
    #[error("{address} does not prove the site's key; it is another site, or an attack")]
    WrongSite {
        /// Host and port that were tried.
        address: String,
    },
    /// The site's key events contradict what is known of it. Do not try again: this can be an
    /// attack. Nothing was sent.
    #[error(transparent)]
    KeyEvents(KeyEventsError),
    /// The connection ended during the handshake.
    #[error(
        "{address} ended the TLS handshake: {cause}; check that it is the device port of a site"
    )]
    Handshake {
        /// Host and port that were tried.
        address: String,
        /// The error of the stream.
        cause: io::Error,
    },
    /// The site closed a device connection without a reply. It never says why.
    #[error(
        "{address} did not accept this device: it was revoked or never enrolled, the id is another person's, \
         the account is locked, or the site is short of something for a while"
    )]
    Refused {
        /// Host and port that were tried.
        address: String,
    },
    /// The first line of the site is invalid.
    #[error(transparent)]
    Welcome(#[from] BadWelcome),
    /// The device was not enrolled.
    #[error(transparent)]
    Enrolment(#[from] EnrolmentError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Setup(#[from] TlsSetupError),
}

/// Opens device connections to one site. It remembers what it learns of the site; clones share it.
#[derive(Debug, Clone)]
pub struct DeviceConnector {
    address: String,
    site: SitePin,
    identity: Arc<DeviceIdentity>,
    timeout: Duration,
}

impl DeviceConnector {
    /// Connects to `host` (a DNS name, an IPv4 address, or an IPv6 address in brackets) and `port`,
    /// accepts the site with this signing key and no other, and proves the device's key. The
    /// default timeout is 20 s.
    #[must_use]
    pub fn new(host: &str, port: u16, site: VerifyingKey, identity: Arc<DeviceIdentity>) -> Self {
        Self {
            address: format!("{host}:{port}"),
            site: SitePin::new(site),
            identity,
            timeout: TIMEOUT,
        }
    }

    /// The same for the address and the site in the result of an enrolment.
    #[must_use]
    pub fn from_enrolment(enrolment: &Enrolment, identity: Arc<DeviceIdentity>) -> Self {
        let (reply, site) = (&enrolment.reply, enrolment.site);
        let key = site.keys().signing;
        Self::new(reply.host(), reply.port(), key, identity).expect(site)
    }

    /// Expects the site of which this is known, which replaces the pinned key.
    #[must_use]
    pub fn expect(self, known: KnownSite) -> Self {
        self.site.known.remember(known);
        self
    }

    /// What is known of the site: store it for [`Self::expect`] after each connection, since the
    /// site may have replaced its key. `None` if only its key is known.
    #[must_use]
    pub fn known_site(&self) -> Option<KnownSite> {
        self.site.known.get()
    }

    /// Sets the timeout for connecting until the welcome: 20 s by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Connects as the device of the person with this id.
    ///
    /// # Errors
    /// [`DeviceError`]. After [`DeviceError::WrongSite`], nothing was sent.
    pub async fn connect(&self, id: AccountName) -> Result<DeviceConnection, DeviceError> {
        let connecting = self.connect_without_timeout(id);
        in_time(&self.address, self.timeout, connecting).await
    }

    async fn connect_without_timeout(
        &self,
        id: AccountName,
    ) -> Result<DeviceConnection, DeviceError> {
        let identity = Some(self.identity.clone());
        let mut stream = site_keys::open(&self.address, &self.site, identity).await?;
        let refused = || DeviceError::Refused {
            address: self.address.clone(),
        };
        // The site may close at once; what follows from it is found when the welcome is read.
        let _ = stream.write_all(Hello { id }.to_line().as_bytes()).await;
        let _ = stream.flush().await;
        // What follows the welcome stays in the stream for the connection.
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            if line.len() == MAX_WELCOME {
                return Err(BadWelcome::TooLong.into());
            }
            line.push(stream.read_u8().await.map_err(|_| refused())?);
        }
        let welcome = DeviceWelcome::read(&line)?;
        Ok(DeviceConnection::over(stream, welcome))
    }
}

/// Connects to a site that the connector accepts.
pub(super) async fn open(
    address: &str,
    connector: Connector,
) -> Result<TlsStream<TcpStream>, DeviceError> {
    let unreachable = |cause| DeviceError::Unreachable {
        address: address.to_owned(),
        cause,
    };
    let socket = TcpStream::connect(address).await.map_err(unreachable)?;
    socket.set_nodelay(true).map_err(unreachable)?;
    connector
        .connect(socket)
        .await
        .map_err(|error| match error {
            ConnectError::WrongSite => DeviceError::WrongSite {
                address: address.to_owned(),
            },
            ConnectError::Io(cause) => DeviceError::Handshake {
                address: address.to_owned(),
                cause,
            },
        })
}

pub(super) async fn in_time<T>(
    address: &str,
    limit: Duration,
    attempt: impl Future<Output = Result<T, DeviceError>>,
) -> Result<T, DeviceError> {
    let late = || DeviceError::Timeout {
        address: address.to_owned(),
    };
    timeout(limit, attempt)
        .await
        .unwrap_or_else(|_| Err(late()))
}

/// The lines of a connection.
pub(super) type DeviceLines = Lines<tokio::io::ReadHalf<TlsStream<TcpStream>>>;
