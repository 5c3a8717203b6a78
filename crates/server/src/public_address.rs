//! Addresses under which clients reach a listener.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use countersign_core::engine::ClientAddress;
use countersign_proto::uri::is_host;

/// A configured address under which clients reach a listener.
#[derive(Default)]
pub(crate) struct PublicAddress {
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
}

impl PublicAddress {
    /// Fills in what is not configured from the public host and the listener's address.
    ///
    /// # Errors
    /// The host, if it is neither a DNS name nor an IP address.
    pub(crate) fn or_of(
        self,
        public_host: Option<&str>,
        bound: SocketAddr,
    ) -> Result<ClientAddress, String> {
        let host = self.host.or_else(|| public_host.map(str::to_owned));
        let host = host.unwrap_or_else(|| reachable(bound.ip()));
        let port = self.port.unwrap_or_else(|| bound.port());
        match is_host(&host) {
            true => Ok(ClientAddress { host, port }),
            false => Err(host),
        }
    }
}

/// The host with which a client on this machine reaches a bound address, as it appears in a URI.
pub(crate) fn reachable(bound: IpAddr) -> String {
    match bound {
        IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
        IpAddr::V6(any) if any.is_unspecified() => format!("[{}]", Ipv6Addr::LOCALHOST),
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}
