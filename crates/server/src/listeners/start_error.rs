//! Why a server could not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use countersign_proto::uri::BadSiteUri;

use crate::descriptors::TooFew;
use crate::tls::certificate_source::BadHttpCertificate;

/// Why a server could not start. No listener or file is left open.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address of a listener is in use or not an address of this machine. Choose another address; port
    /// 0 takes a free port.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The requested address.
        address: SocketAddr,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// The public host is not valid in a URI.
    #[error("the public host {host}: {cause}")]
    PublicHost {
        /// The public host.
        host: String,
        /// The error in it.
        cause: BadSiteUri,
    },
    /// The host that tickets name for devices is not valid in a URI.
    #[error("the device host {host} is neither a DNS name nor an IP address")]
    DeviceHost {
        /// The host.
        host: String,
    },
    /// The HTTP listener is for other machines and has no TLS, and no proxy of another machine is
    /// trusted: clients would send their credentials in the clear.
    #[error("{address} is an address for other machines, and HTTP on it would have no TLS")]
    NoTls {
        /// The address of the HTTP listener.
        address: SocketAddr,
    },
    /// The certificate of the HTTP listener cannot be used.
    #[error(transparent)]
    Certificate(#[from] BadHttpCertificate),
    /// The admin socket cannot be created.
    #[error("cannot create the admin socket {path}: {cause}", path = path.display())]
    AdminSocket {
        /// The path of the socket. A path longer than about 100 bytes is not possible.
        path: PathBuf,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// This process may open too few files.
    #[error(transparent)]
    Descriptors(#[from] TooFew),
}
