//! The addresses of the site. Core opens no sockets, so the server announces them for
//! `site.status`.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::PoisonError;

use countersign_proto::uri::SiteUri;

use crate::engine::Site;
use crate::public_url::PublicUrl;

/// Where clients connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAddress {
    /// A DNS name, an IPv4 address, or an IPv6 address in brackets.
    pub host: String,
    /// The port, not 0.
    pub port: u16,
}

/// The certificate with which the HTTP listener protects requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpProtection {
    /// One of the site key.
    Site,
    /// One of the operator.
    Files {
        /// SHA-256 of its public key (SubjectPublicKeyInfo).
        pin: [u8; 32],
        /// Why the files as they are cannot be used, so that an earlier certificate is in use.
        problem: Option<String>,
    },
}

/// The listeners of a running site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// The value for `--site`: address and pinned key.
    pub uri: Option<String>,
    /// The address of the session listener, with the actual port.
    pub session: Option<SocketAddr>,
    /// The address of the HTTP listener, with the actual port.
    pub http: Option<SocketAddr>,
    /// The URL under which browsers reach the HTTP listener, if the operator gave one.
    pub public_url: Option<PublicUrl>,
    /// The TLS of the HTTP listener; `None` if it has none.
    pub http_protection: Option<HttpProtection>,
    /// The address of the device listener, with the actual port.
    pub device_listener: Option<SocketAddr>,
    /// Where devices enrol, as tickets name it; `None` while no listener takes enrolments.
    pub enrolment: Option<ClientAddress>,
    /// Where enrolled devices connect, as the answer to an enrolment names it.
    pub device: Option<ClientAddress>,
    /// The address of the peer listener, with the actual port; `None` while it does not run.
    pub peer_listener: Option<SocketAddr>,
    /// Where peers connect, as tickets name it; `None` while the peer server does not run.
    pub peer: Option<ClientAddress>,
    /// The path of the local admin socket.
    pub admin_socket: Option<PathBuf>,
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Site {
    /// Sets the addresses.
    pub fn announce(&self, endpoints: Endpoints) {
        *self
            .0
            .endpoints
            .write()
            .unwrap_or_else(PoisonError::into_inner) = endpoints;
    }

    /// Sets where peers connect; `None` when the peer server stops. Peers that know another address
    /// are told the new one.
    pub fn announce_peer(&self, peer: Option<(SocketAddr, ClientAddress)>) {
        {
            let endpoints = self.0.endpoints.write();
            let mut endpoints = endpoints.unwrap_or_else(PoisonError::into_inner);
            endpoints.peer_listener = peer.as_ref().map(|(bound, _)| *bound);
            endpoints.peer = peer.map(|(_, address)| address);
        }
        self.wake_peers();
    }

    /// Sets the certificate of the HTTP listener.
    pub fn announce_http(&self, protection: Option<HttpProtection>) {
        let endpoints = self.0.endpoints.write();
        let mut endpoints = endpoints.unwrap_or_else(PoisonError::into_inner);
        endpoints.http_protection = protection;
    }

    /// Returns the addresses; empty while no server runs. The URI has the present site key, also if
    /// that was replaced after the server announced it.
    #[must_use]
    pub fn endpoints(&self) -> Endpoints {
        let announced = self.0.endpoints.read();
        let announced = announced.unwrap_or_else(PoisonError::into_inner).clone();
        let uri = announced.uri.map(|text| match text.parse::<SiteUri>() {
            Ok(uri) => uri.with_key(self.public_key()).to_string(),
            Err(_) => text,
        });
        Endpoints { uri, ..announced }
    }
}
