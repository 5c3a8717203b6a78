//! A running server: its listeners, and how it starts and stops.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use countersign_core::engine::{Endpoints, Site};
use countersign_net::listener::{self, Access, Connections};
use countersign_net::proxies::Proxies;
use countersign_proto::uri::{BadSiteUri, SiteUri};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tracing::{debug, info, warn};

use crate::admin::AdminSocket;
use crate::admission::{Admission, NotAdmitted};
use crate::connection;
use crate::descriptors::{Reserve, TooFew};
use crate::http;
use crate::limits::Limits;
use crate::shared::Shared;

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
    /// No URI can be written with the public host.
    #[error("the public host {host}: {cause}")]
    PublicHost {
        /// The host that was given.
        host: String,
        /// What is wrong with it.
        cause: BadSiteUri,
    },
    /// The admin socket cannot be made in the site's folder.
    #[error("cannot make the admin socket {path}: {cause}", path = path.display())]
    AdminSocket {
        /// The socket's path; at most about 100 bytes long.
        path: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// The operating system lets this process have too few files open.
    #[error(transparent)]
    Descriptors(#[from] TooFew),
}

/// A task ended without which a site does not serve. End the process, so that what supervises it starts it
/// anew: a site of which one listener is dead is worse than none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{task} ended, which must not end: {cause}")]
pub struct Ended {
    /// Which task.
    pub task: &'static str,
    /// Why: what the operating system says, or that it panicked.
    pub cause: String,
}

/// What a server is started with.
pub struct Builder {
    site: Site,
    limits: Limits,
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
        let reserve = Reserve::count()?;
        let session = listen(self.session)?;
        let http = listen(self.http)?;
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
                .map(|bound| {
                    let host = self.public_host.unwrap_or_else(|| reachable(bound.ip()));
                    SiteUri::new(&host, bound.port(), self.site.public_key())
                        .map_err(|cause| StartError::PublicHost { host, cause })
                })
                .transpose()?
                .map(|uri| uri.to_string()),
            session: session_address,
            http: http_address,
            admin_socket: self.admin_socket,
            ..Endpoints::default()
        });
        let (stop, stopping) = watch::channel(false);
        let mut limits = self.limits;
        if http.is_none() {
            limits.proxied_connections = 0;
        }
        let limits = fit(&limits, &reserve);
        let proxies = self.proxies;
        let shared = Shared::new(self.site, limits, stopping, proxies);
        let shared = Arc::new(shared);
        // One for all listeners: what one has is not another's too.
        let limits = shared.limits();
        let clients = Admission::new(&limits, shared.site.throttle().clone());
        let proxies = Admission::for_proxies(&limits);
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
                        turn_away(&socket, peer, reason);
                        None
                    }
                };
            let (room, connections) = (room.clone(), connections.clone());
            let accept = listener::accept(listener, Access::Clients, room, connections, service);
            tasks.spawn("the session listener", accept);
        }
        if let Some((listener, address)) = http {
            info!(%address, "listening for applications");
            let admissions = http::Admissions {
                clients: clients.clone(),
                proxies: proxies.clone(),
            };
            let (shared, connections) = (shared.clone(), connections.clone());
            let accept = http::accept(listener, room.clone(), connections, shared, admissions);
            tasks.spawn("the HTTP listener", accept);
        }
        tasks.spawn("the closer of sessions", shared.clone().close_expired());
        tasks.spawn(
            "the writer of counted events",
            shared.clone().keep_counted(),
        );
        if let Some(admin) = admin {
            let (shared, connections) = (shared.clone(), connections.clone());
            let places = reserve.admin_socket;
            let accept = admin.accept(room, connections, shared, places);
            tasks.spawn("the admin socket", accept);
        }
        Ok(Server {
            shared,
            session_address,
            http_address,
            stop,
            tasks,
            connections,
            reserve,
            admissions: [clients, proxies],
        })
    }
}

/// The limits as far as there are descriptors for them, which the log is told.
fn fit(limits: &Limits, reserve: &Reserve) -> Limits {
    let fitting = reserve.lower(limits);
    let (connections, proxied) = (fitting.connections, fitting.proxied_connections);
    info!(
        files = reserve.allowed,
        connections,
        proxied,
        unauthenticated = fitting.unauthenticated,
        admin_socket = reserve.admin_socket,
        other = reserve.other,
        "files that this process may have open, and what they are for"
    );
    if fitting != *limits {
        warn!(
            configured = limits.connections,
            connections,
            "the limits allow more connections than this process may have files open, and are lowered; \
             raise its hard limit (ulimit -Hn, LimitNOFILE=) or lower limits.connections"
        );
    }
    fitting
}

/// Tasks that must live for as long as the server, each with its name.
#[derive(Default)]
struct Tasks {
    running: JoinSet<io::Result<Infallible>>,
    names: HashMap<Id, &'static str>,
}

impl Tasks {
    fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = io::Result<Infallible>> + Send + 'static,
    ) {
        self.names.insert(self.running.spawn(task).id(), name);
    }

    /// The first one that ends.
    async fn ended(&mut self) -> Ended {
        let (id, cause) = match self.running.join_next_with_id().await {
            Some(Ok((_, Ok(never)))) => match never {},
            Some(Ok((id, Err(error)))) => (id, error.to_string()),
            Some(Err(error)) => (JoinError::id(&error), error.to_string()),
            None => return std::future::pending().await,
        };
        let task = self.names.get(&id).copied().unwrap_or("a task");
        Ended { task, cause }
    }
}

/// Binds a listener; the address that it was given, its port resolved.
fn listen(address: Option<SocketAddr>) -> Result<Option<(TcpListener, SocketAddr)>, StartError> {
    let Some(address) = address else {
        return Ok(None);
    };
    let failed = |cause| StartError::Listen { address, cause };
    let listener = listener::listen(address).map_err(failed)?;
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

/// A server that runs until it is stopped or dropped.
pub struct Server {
    shared: Arc<Shared>,
    session_address: Option<SocketAddr>,
    http_address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    tasks: Tasks,
    connections: Connections,
    reserve: Reserve,
    /// That of clients, and that of proxies.
    admissions: [Arc<Admission>; 2],
}

impl Server {
    /// Starts to put a server for `site` together.
    #[must_use]
    pub fn builder(site: Site) -> Builder {
        Builder {
            site,
            limits: Limits::default(),
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

    /// Keeps to other limits from now on, and trusts other proxies. What is open already stays as it is; a
    /// login or a session under way keeps the limits with which it began.
    pub fn reload(&self, mut limits: Limits, proxies: Proxies) {
        if self.http_address.is_none() {
            limits.proxied_connections = 0;
        }
        let limits = fit(&limits, &self.reserve);
        for admission in &self.admissions {
            admission.keep_to(&limits);
        }
        self.shared.reload(limits, proxies);
    }

    /// Becomes ready when a task has ended without which the server does not serve any more: a listener is
    /// broken, or the task panicked. Nothing is lost when the future is dropped.
    pub async fn ended(&mut self) -> Ended {
        self.tasks.ended().await
    }

    /// Stops: takes no more connections, says goodbye to every session, and waits for what is under way
    /// for as long as the limits allow.
    pub async fn stop(mut self) {
        self.tasks.running.shutdown().await;
        let _ = self.stop.send(true);
        if !self
            .connections
            .end(self.shared.limits().stop_patience)
            .await
        {
            warn!("some connections did not end in time");
        }
        self.shared.close_suspended().await;
        self.shared.write_all_counted().await;
        info!("stopped");
    }
}

/// Tells a peer that is not let in, at the cost of one small write.
fn turn_away(socket: &TcpStream, peer: SocketAddr, reason: NotAdmitted) {
    debug!(%peer, %reason, "turned away");
    let _ = socket.try_write(&countersign_proto::session::WireError::Busy.to_wire());
}
