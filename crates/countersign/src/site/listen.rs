//! Flags for the listeners. They override the configuration file.

use std::net::SocketAddr;

use clap::Args;
use countersign_server::Proxies;

use crate::address;
use crate::config::{Config, PublicHost};
use crate::failure::Failure;
use crate::input;

/// Flags for the listeners.
#[derive(Debug, Clone, Args)]
pub(crate) struct Listen {
    /// Address or local host name of the session listener; port 0 takes a free port.
    #[arg(long, env = "COUNTERSIGN_SESSION_LISTEN", value_name = "ADDRESS:PORT", value_parser = address::parse)]
    pub(crate) session_listen: Option<SocketAddr>,
    /// Address of the HTTP listener, on which applications request tickets; port 0 takes a free port.
    #[arg(long, env = "COUNTERSIGN_HTTP_LISTEN", value_name = "ADDRESS:PORT", value_parser = address::parse)]
    pub(crate) http_listen: Option<SocketAddr>,
    /// Address of the device listener, on which devices enrol and connect; port 0 takes a free port.
    #[arg(long, env = "COUNTERSIGN_DEVICE_LISTEN", value_name = "ADDRESS:PORT", value_parser = address::parse)]
    pub(crate) device_listen: Option<SocketAddr>,
    /// Address of the peer listener, on which other sites connect; port 0 takes a free port.
    #[arg(long, env = "COUNTERSIGN_PEER_LISTEN", value_name = "ADDRESS:PORT", value_parser = address::parse)]
    pub(crate) peer_listen: Option<SocketAddr>,
    /// Address of `/livez`, `/readyz` and `/metrics`; port 0 takes a free port. Not served by default.
    #[arg(long, env = "COUNTERSIGN_HEALTH_LISTEN", value_name = "ADDRESS:PORT", value_parser = address::parse)]
    pub(crate) health_listen: Option<SocketAddr>,
    /// Host under which clients reach this site; it appears in the site's URI.
    #[arg(long, env = "COUNTERSIGN_PUBLIC_HOST", value_name = "HOST", value_parser = input::trimmed::<PublicHost>)]
    pub(crate) public_host: Option<PublicHost>,
}

/// The trusted proxies of the configuration.
pub(super) fn proxies(config: &Config) -> Proxies {
    Proxies {
        addresses: config.listen.http_proxies.clone(),
        trust_forwarded: config.listen.http_forwarded,
    }
}

/// Applies flags to the configuration.
pub(super) fn apply_flags(config: &mut Config, listen: Listen) -> Result<(), Failure> {
    if let Some(address) = listen.session_listen {
        config.listen.session = address;
    }
    if listen.http_listen.is_some() {
        config.listen.http = listen.http_listen;
    }
    if listen.device_listen.is_some() {
        config.listen.device = listen.device_listen;
    }
    if listen.peer_listen.is_some() {
        config.listen.peer = listen.peer_listen;
    }
    if listen.health_listen.is_some() {
        config.listen.health = listen.health_listen;
    }
    if listen.public_host.is_some() {
        config.listen.public_host = listen.public_host;
    }
    config.check_listeners()
}
