//! The configuration of a server, and its start.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use countersign_core::engine::{Endpoints, Site};
use countersign_core::public_url::PublicUrl;
use countersign_proto::uri::SiteUri;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tracing::info;

use super::admin::AdminSocket;
use super::tasks::Tasks;
use super::{Reloader, Server, StartError};
use crate::accept_loop::{self, Access, Connections};
use crate::admission::{Admission, reject};
use crate::connection;
use crate::console_files::ConsoleFiles;
use crate::delivery::{Channels, Worker};
use crate::descriptors::{Reserve, fit};
use crate::device;
use crate::health::{Health, self_check};
use crate::http;
use crate::limits::Limits;
use crate::peer::{Listening, PeerAddress, PeerServer};
use crate::proxies::Proxies;
use crate::public_address::{PublicAddress, reachable};
use crate::runtime::shared::Shared;
use crate::tls::certificate_source::{CertificateSource, HttpTls};

/// The configuration of a server, from [`Server::builder`].
pub struct Builder {
    site: Site,
    limits: Limits,
    session: Option<SocketAddr>,
    http: Option<SocketAddr>,
    device: Option<SocketAddr>,
    health: Option<SocketAddr>,
    enrolment_address: PublicAddress,
    device_address: PublicAddress,
    peer: Option<SocketAddr>,
    peer_address: PublicAddress,
    peer_connections: usize,
    proxies: Proxies,
    http_origins: Vec<String>,
    public_url: Option<PublicUrl>,
    http_tls: HttpTls,
    console: Option<ConsoleFiles>,
    admin_socket: Option<PathBuf>,
    database: Option<PathBuf>,
    public_host: Option<String>,
    channels: Channels,
}

impl Builder {
    pub(super) fn new(site: Site) -> Self {
        Self {
            site,
            limits: Limits::default(),
            session: None,
            http: None,
            device: None,
            health: None,
            enrolment_address: PublicAddress::default(),
            device_address: PublicAddress::default(),
            peer: None,
            peer_address: PublicAddress::default(),
            peer_connections: usize::MAX,
            proxies: Proxies::default(),
            http_origins: Vec::new(),
            public_url: None,
            http_tls: HttpTls::default(),
            console: None,
            admin_socket: None,
            database: None,
            public_host: None,
            channels: Channels::default(),
        }
    }

    /// Sets limits other than the defaults.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Serves the session protocol on this address; port 0 takes a free port. Default: not served.
    #[must_use]
    pub fn session(mut self, address: SocketAddr) -> Self {
        self.session = Some(address);
        self
    }

    /// Serves HTTP for applications on this address; port 0 takes a free port. Default: not served.
    #[must_use]
    pub fn http(mut self, address: Option<SocketAddr>) -> Self {
        self.http = address;
        self
    }

    /// Serves enrolment and device connections on this address; port 0 takes a free port. Default: not
    /// served.
    #[must_use]
    pub fn device(mut self, address: Option<SocketAddr>) -> Self {
        self.device = address;
        self
    }

    /// Sets the host and port under which new devices reach the device listener, for tickets. Default: the
    /// public host, or else the host of the device listener; and its port.
    #[must_use]
    pub fn enrolment_address(mut self, host: Option<String>, port: Option<u16>) -> Self {
        self.enrolment_address = PublicAddress { host, port };
        self
    }

    /// Sets the host and port under which enrolled devices reach the device listener, for replies to
    /// enrolments. Default: as for [`Self::enrolment_address`].
    #[must_use]
    pub fn device_address(mut self, host: Option<String>, port: Option<u16>) -> Self {
        self.device_address = PublicAddress { host, port };
        self
    }

    /// Serves peers on this address, once an admin has started the peer server; port 0 takes a free
    /// port. Default: peers are not served.
    #[must_use]
    pub fn peer(mut self, address: Option<SocketAddr>) -> Self {
        self.peer = address;
        self
    }

    /// Sets the host and port under which peers reach the peer listener. Default: the public host, or else
    /// the host of the peer listener; and its port.
    #[must_use]
    pub fn peer_address(mut self, host: Option<String>, port: Option<u16>) -> Self {
        self.peer_address = PublicAddress { host, port };
        self
    }

    /// Opens at most so many connections to peers at a time; further peers wait for their turn. Default: as
    /// many as the limit on file descriptors allows, at most 128.
    #[must_use]
    pub fn peer_connections(mut self, most: usize) -> Self {
        self.peer_connections = most;
        self
    }

    /// Serves health and metrics on this address; port 0 takes a free port. Every client that reaches it
    /// can read them. Default: not served.
    #[must_use]
    pub fn health(mut self, address: Option<SocketAddr>) -> Self {
        self.health = address;
        self
    }

    /// Sets the trusted proxies in front of the HTTP listener. Default: none.
    #[must_use]
    pub fn proxies(mut self, proxies: Proxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Lets web pages of these origins (such as `https://site.example`) open sessions over HTTP. Default:
    /// those of the listener's own address.
    #[must_use]
    pub fn http_origins(mut self, origins: Vec<String>) -> Self {
        self.http_origins = origins;
        self
    }

    /// Sets the URL under which browsers reach the HTTP listener, for `site status`. Default: none.
    #[must_use]
    pub fn public_url(mut self, url: Option<PublicUrl>) -> Self {
        self.public_url = url;
        self
    }

    /// Sets whether the HTTP listener has TLS. Default: [`HttpTls::Off`].
    #[must_use]
    pub fn http_tls(mut self, tls: HttpTls) -> Self {
        self.http_tls = tls;
        self
    }

    /// Serves the web console below `/console/` of the HTTP listener. Default: not served.
    #[must_use]
    pub fn console(mut self, files: Option<ConsoleFiles>) -> Self {
        self.console = files;
        self
    }

    /// Serves the admin socket at this path. Default: not served.
    #[must_use]
    pub fn admin_socket(mut self, path: &Path) -> Self {
        self.admin_socket = Some(path.to_owned());
        self
    }

    /// Observes the size of this file, which is the database, and the free space on its disk. Default: not
    /// observed.
    #[must_use]
    pub fn database(mut self, path: &Path) -> Self {
        self.database = Some(path.to_owned());
        self
    }

    /// Sets the host under which clients reach this site, for its URI. Default: the address of the session
    /// listener.
    #[must_use]
    pub fn public_host(mut self, host: Option<String>) -> Self {
        self.public_host = host;
        self
    }

    /// Delivers alarms over these channels. Default: to open connections alone.
    #[must_use]
    pub fn channels(mut self, channels: Channels) -> Self {
        self.channels = channels;
        self
    }

    /// Binds the listeners and starts to serve.
    ///
    /// # Errors
    /// [`StartError`] if a listener cannot be bound.
    pub async fn start(self) -> Result<Server, StartError> {
        let reserve = Reserve::count()?;
        let session = listen(self.session)?;
        let certificate = match self.http {
            Some(address) => {
                if !self.http_tls.protects(address, &self.proxies) {
                    return Err(StartError::NoTls { address });
                }
                CertificateSource::open(&self.http_tls)?
            }
            None => None,
        };
        let http = listen(self.http)?;
        let device = listen(self.device)?;
        let health = listen(self.health)?;
        let admin = match &self.admin_socket {
            Some(path) => {
                Some(
                    AdminSocket::bind(path).map_err(|cause| StartError::AdminSocket {
                        path: path.clone(),
                        cause,
                    })?,
                )
            }
            None => None,
        };
        let session_address = session.as_ref().map(|(_, bound)| *bound);
        let http_address = http.as_ref().map(|(_, bound)| *bound);
        let device_address = device.as_ref().map(|(_, bound)| *bound);
        let health_address = health.as_ref().map(|(_, bound)| *bound);
        let public_host = self.public_host.as_deref();
        let of_devices = |configured: PublicAddress| {
            let address = device_address.map(|bound| configured.or_of(public_host, bound));
            let address = address.transpose();
            address.map_err(|host| StartError::DeviceHost { host })
        };
        let enrolment = of_devices(self.enrolment_address)?;
        let device_connection = of_devices(self.device_address)?;
        let peer_address = PeerAddress {
            listen: self.peer,
            public: self.peer_address,
            public_host: self.public_host.clone(),
        };
        self.site.announce(Endpoints {
            peer_listener: None,
            peer: None,
            uri: session_address
                .map(|bound| {
                    let host = self.public_host.unwrap_or_else(|| reachable(bound.ip()));
                    SiteUri::new(&host, bound.port(), self.site.public_key())
                        .map_err(|cause| StartError::PublicHost { host, cause })
                })
                .transpose()?
                .map(|uri| uri.to_string()),
            session: session_address,
            http: http_address,
            public_url: self.public_url,
            http_protection: certificate.as_ref().map(CertificateSource::protection),
            device_listener: device_address,
            enrolment,
            device: device_connection,
            admin_socket: self.admin_socket,
        });
        let (stop, stopping) = watch::channel(false);
        let mut limits = self.limits;
        if http.is_none() {
            limits.proxied_connections = 0;
            limits.proxied_sessions = 0;
        }
        let limits = fit(&limits, &reserve);
        let proxies = self.proxies;
        let delivery = Worker::new(self.site.clone(), self.channels);
        let shared = Shared::new(self.site, limits, stopping, proxies);
        let shared = shared.with_origins(self.http_origins);
        let shared = shared.with_certificate(certificate);
        let shared = Arc::new(shared.with_console(self.console));
        // The listeners share the limits on connections.
        let limits = shared.limits();
        let clients = Admission::new(&limits, shared.site.throttle().clone());
        let proxies = Admission::for_proxies(&limits, clients.clone());
        let room = Admission::room([&clients, &proxies]);
        let mut tasks = Tasks::default();
        let connections = Connections::default();
        if let Some((listener, address)) = session {
            info!(%address, "listening for sessions");
            let (shared, clients) = (shared.clone(), clients.clone());
            let service =
                move |(socket, peer): (TcpStream, SocketAddr)| match clients.admit_from(peer) {
                    Ok(admitted) => {
                        let _ = socket.set_nodelay(true);
                        Some(connection::serve(socket, peer, admitted, shared.clone()))
                    }
                    Err(reason) => {
                        reject(&socket, peer, reason);
                        None
                    }
                };
            let (room, connections) = (room.clone(), connections.clone());
            let accept = accept_loop::run(listener, Access::Clients, room, connections, service);
            tasks.spawn("the session listener", accept);
        }
        if let Some((listener, address)) = http {
            info!(%address, "listening for HTTP: applications, the API, the console");
            let admissions = http::Admissions {
                clients: clients.clone(),
                proxies: proxies.clone(),
            };
            let (shared, connections) = (shared.clone(), connections.clone());
            let accept = http::accept(listener, room.clone(), connections, shared, admissions);
            tasks.spawn("the HTTP listener", accept);
        }
        if let Some((listener, address)) = device {
            info!(%address, "listening for devices");
            let (shared, connections) = (shared.clone(), connections.clone());
            let accept =
                device::accept(listener, room.clone(), connections, shared, clients.clone());
            tasks.spawn("the device listener", accept);
        }
        if let Some((listener, address)) = health {
            info!(%address, "listening for health checks");
            let admissions = [clients.clone(), proxies.clone()];
            let folder = self.database.as_deref().and_then(Path::parent);
            let health = Health::new(
                &shared,
                folder.map(Path::to_owned),
                tasks.any_ended(),
                admissions,
            );
            // It tells monitoring that the server is stopping, while other connections end.
            let accept = health.accept(listener, room.clone(), Connections::default());
            tasks.spawn_to_the_end("the health listener", accept);
        }
        let listening = Listening {
            room: room.clone(),
            connections: connections.clone(),
            clients: clients.clone(),
        };
        let peers = PeerServer::new(
            &shared,
            &peer_address,
            reserve.peers.min(self.peer_connections),
        );
        tasks.spawn("the peer server", peers.run(peer_address, listening));
        tasks.spawn(
            "the task that closes expired sessions",
            shared.clone().close_expired(),
        );
        tasks.spawn(
            "the task that writes counted events",
            shared.clone().keep_counted(),
        );
        tasks.spawn(
            "the task that delivers alarms",
            delivery.clone().run(connections.clone()),
        );
        tasks.spawn(
            "the task that checks the site",
            self_check::run(self.database, shared.clone()),
        );
        if let Some(admin) = admin {
            let (shared, connections) = (shared.clone(), connections.clone());
            let places = reserve.admin_socket;
            let accept = admin.accept(room, connections, shared, places);
            tasks.spawn("the admin socket", accept);
        }
        let reloader = Reloader {
            shared: Arc::downgrade(&shared),
            reserve,
            admissions: [clients, proxies],
            serves_http: http_address.is_some(),
            delivery: Arc::downgrade(&delivery),
        };
        Ok(Server {
            shared,
            session_address,
            http_address,
            device_address,
            health_address,
            stop,
            tasks,
            connections,
            reloader,
        })
    }
}

/// Binds a listener. Returns it with its address, which has the actual port.
fn listen(address: Option<SocketAddr>) -> Result<Option<(TcpListener, SocketAddr)>, StartError> {
    let Some(address) = address else {
        return Ok(None);
    };
    let failed = |cause| StartError::Listen { address, cause };
    let listener = accept_loop::listen(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok(Some((listener, bound)))
}
