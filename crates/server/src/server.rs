//! A running server: its listeners, and how it starts and stops.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use countersign_core::site::{Endpoints, Site};
use countersign_crypto::entropy::{SystemEntropy, fresh};
use countersign_proto::uri::SiteUri;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use crate::admin::AdminSocket;
use crate::admission::{Admission, TurnedAway};
use crate::clock;
use crate::connection;
use crate::events::Events;
use crate::http;
use crate::limits::Limits;
use crate::shared::Shared;

/// How long a listener waits after the operating system refused it a connection.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why a server does not start. Nothing was left behind.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The session listener's address cannot be had: something else listens there, or it is not this
    /// machine's. Choose another address; port 0 takes a free one.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the operating system says.
        cause: io::Error,
    },
    /// The admin socket cannot be made in the site's folder.
    #[error("cannot make the admin socket {path}: {cause}", path = path.display())]
    AdminSocket {
        /// The socket's path; at most about 100 bytes long.
        path: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
}

/// Who asks for others over HTTP.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// Their addresses: what comes from there counts for nobody, unless it is believed whom they name.
    pub addresses: Vec<IpAddr>,
    /// Whether the last address in `x-forwarded-for` is believed to be whom they ask for. They must set the
    /// field themselves then: whoever may write it chooses whom their faults count for.
    pub believed: bool,
}

/// What a server is started with.
pub struct Builder {
    site: Site,
    limits: Limits,
    events: Events,
    session: Option<SocketAddr>,
    http: Option<SocketAddr>,
    proxies: Proxies,
    admin_socket: Option<PathBuf>,
    public_host: Option<String>,
}

impl Builder {
    /// Limits in place of the defaults.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The way to the open sessions, when the program has made it before the server.
    #[must_use]
    pub fn events(mut self, events: Events) -> Self {
        self.events = events;
        self
    }

    /// Listens for sessions on this address; port 0 takes a free one.
    #[must_use]
    pub fn session(mut self, address: SocketAddr) -> Self {
        self.session = Some(address);
        self
    }

    /// Listens for applications over HTTP on this address; port 0 takes a free one.
    #[must_use]
    pub fn http(mut self, address: Option<SocketAddr>) -> Self {
        self.http = address;
        self
    }

    /// Proxies before that listener.
    #[must_use]
    pub fn proxies(mut self, proxies: Proxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Listens for local admins on this socket.
    #[must_use]
    pub fn admin_socket(mut self, path: &Path) -> Self {
        self.admin_socket = Some(path.to_owned());
        self
    }

    /// The name under which clients reach this machine, for the site's URI; the listener's own address
    /// if none is given.
    #[must_use]
    pub fn public_host(mut self, host: Option<String>) -> Self {
        self.public_host = host;
        self
    }

    /// Binds the listeners and serves from now on.
    ///
    /// # Errors
    /// A [`StartError`].
    pub async fn start(self) -> Result<Server, StartError> {
        let session = listen(self.session).await?;
        let http = listen(self.http).await?;
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
        self.site.announce(Endpoints {
            uri: session_address
                .and_then(|bound| {
                    let host = self.public_host.unwrap_or_else(|| reachable(bound.ip()));
                    SiteUri::new(&host, bound.port(), self.site.public_key()).ok()
                })
                .map(|uri| uri.to_string()),
            session: session_address,
            http: http_address,
            admin_socket: self.admin_socket,
        });
        let (stop, stopping) = watch::channel(false);
        let proxies = self.proxies;
        let shared = Shared::new(self.site, self.limits, self.events, stopping, proxies);
        let shared = Arc::new(shared);
        // One for all listeners: what one has is not another's too.
        let admission = Admission::new(shared.limits.clone(), shared.site.guard().clone());
        let mut listeners = JoinSet::new();
        let connections = Connections::default();
        if let Some((listener, address)) = session {
            info!(%address, "listening for sessions");
            let served = (shared.clone(), connections.clone(), admission.clone());
            listeners.spawn(accept(listener, served.0, served.1, served.2));
        }
        if let Some((listener, address)) = http {
            info!(%address, "listening for applications");
            let served = (shared.clone(), connections.clone(), admission);
            listeners.spawn(http::accept(listener, served.0, served.1, served.2));
        }
        listeners.spawn(shared.clone().close_forsaken());
        listeners.spawn(shared.clone().keep_counted());
        if let Some(admin) = admin {
            listeners.spawn(admin.serve(shared.clone()));
        }
        Ok(Server {
            shared,
            session_address,
            http_address,
            stop,
            listeners,
            connections,
        })
    }
}

/// Binds a listener; the address that it was given, its port resolved.
async fn listen(
    address: Option<SocketAddr>,
) -> Result<Option<(TcpListener, SocketAddr)>, StartError> {
    let Some(address) = address else {
        return Ok(None);
    };
    let failed = |cause| StartError::Listen { address, cause };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok(Some((listener, bound)))
}

/// How a client on this machine writes the address that a listener was bound to.
fn reachable(bound: IpAddr) -> String {
    match bound {
        IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
        IpAddr::V6(any) if any.is_unspecified() => format!("[{}]", Ipv6Addr::LOCALHOST),
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// Counts the connections that are being served, so that a stop can wait for them.
#[derive(Clone, Default)]
pub(crate) struct Connections(Arc<tokio::sync::Mutex<JoinSet<()>>>);

impl Connections {
    /// Serves one more, and lets go of those that are over.
    pub(crate) async fn spawn(&self, served: impl Future<Output = ()> + Send + 'static) {
        let mut running = self.0.lock().await;
        while running.try_join_next().is_some() {}
        running.spawn(served);
    }
}

/// A server that runs until it is stopped or dropped.
pub struct Server {
    shared: Arc<Shared>,
    session_address: Option<SocketAddr>,
    http_address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    listeners: JoinSet<()>,
    connections: Connections,
}

impl Server {
    /// Starts to put a server for `site` together.
    #[must_use]
    pub fn builder(site: Site) -> Builder {
        Builder {
            site,
            limits: Limits::default(),
            events: Events::default(),
            session: None,
            http: None,
            proxies: Proxies::default(),
            admin_socket: None,
            public_host: None,
        }
    }

    /// The address that the session listener was given, its port resolved.
    #[must_use]
    pub fn session_address(&self) -> Option<SocketAddr> {
        self.session_address
    }

    /// The address that the HTTP listener was given, its port resolved.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http_address
    }

    /// The way to the open sessions.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.shared.events
    }

    /// Stops: takes no more connections, says goodbye to every session, and waits for what is under way
    /// for as long as the limits allow.
    pub async fn stop(mut self) {
        self.listeners.shutdown().await;
        let _ = self.stop.send(true);
        let mut connections = self.connections.0.lock().await;
        let all = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(self.shared.limits.stop_patience, all)
            .await
            .is_err()
        {
            warn!("some connections did not end in time");
            connections.shutdown().await;
        }
        self.shared.close_parked().await;
        self.shared.write_all_counted().await;
        info!("stopped");
    }
}

async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    connections: Connections,
    admission: Arc<Admission>,
) {
    loop {
        let (socket, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, mostly: it passes when connections end.
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let dice = u32::from_be_bytes(fresh(&mut SystemEntropy));
        match admission.admit(peer.ip().into(), clock::now(), dice) {
            Ok(admitted) => {
                let _ = socket.set_nodelay(true);
                let served = connection::serve(socket, peer, admitted, shared.clone());
                connections.spawn(served).await;
            }
            Err(reason) => turn_away(&socket, peer, reason),
        }
    }
}

/// Tells a peer that is not let in, at the cost of one small write.
fn turn_away(socket: &TcpStream, peer: SocketAddr, reason: TurnedAway) {
    debug!(%peer, %reason, "turned away");
    let _ = socket.try_write(&countersign_proto::session::WireError::Busy.to_wire());
}
