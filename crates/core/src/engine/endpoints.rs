//! Where the site is reached. Core opens no socket: whoever does says so here, for `site.status`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::PoisonError;

use super::Site;

/// Where clients connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAddress {
    /// A DNS name, an IPv4 address, or an IPv6 address in brackets.
    pub host: String,
    /// The port, not 0.
    pub port: u16,
}

/// The listeners of a running site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// What `--site` takes: address and pinned key.
    pub uri: Option<String>,
    /// The session listener's address, its port resolved.
    pub session: Option<SocketAddr>,
    /// The address of the HTTP listener, its port resolved.
    pub http: Option<SocketAddr>,
    /// Where devices enrol, as tickets name it; `None` while no listener takes enrolments.
    pub enrolment: Option<ClientAddress>,
    /// Where enrolled devices connect, as the answer to an enrolment names it.
    pub device: Option<ClientAddress>,
    /// The local admin socket.
    pub admin_socket: Option<PathBuf>,
}

impl Site {
    /// Tells where the site is reached from now on.
    pub fn announce(&self, endpoints: Endpoints) {
        *self
            .0
            .endpoints
            .write()
            .unwrap_or_else(PoisonError::into_inner) = endpoints;
    }

    /// Where the site is reached; nothing while no server serves it.
    #[must_use]
    pub fn endpoints(&self) -> Endpoints {
        self.0
            .endpoints
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
