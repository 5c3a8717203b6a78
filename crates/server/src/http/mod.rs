//! HTTP for applications: ticket requests, the site's time and its keys (`docs/protocol/broker.md`), and the REST
//! API ([`api`]).
//!
//! ```text
//! POST /authenticate                  v2: a sealed request         -> a sealed response
//! GET  /authenticate?authRequest=…    v1: the same                 -> the same
//! GET  /clock?nonce=…                 the site's time, signed
//! GET  /.well-known/countersign       the site's id and keys, signed with the site key
//! *    /api/v1/…                      operations
//! GET  /session                       a WebSocket that carries a session
//! GET  /console/…                     the files of the web console
//! ```
//!
//! Messages are signed, and encrypted if they are secret, so that TLS is not required and a proxy may forward
//! them. A connection counts as unauthenticated until a request on it was verified, and is closed if that takes
//! too long.

mod api;
mod authenticate;
mod body;
mod console;
mod reply;
mod route;
mod stalled;
mod upgrade;

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use countersign_core::throttle::{Abuse, Source};
use countersign_net::listener::{self, Access, Connections, DescriptorReserve};
use countersign_net::proxies;
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tracing::debug;

use crate::admission::{Admission, Admitted};
use crate::clock;
use crate::connection::wait_for_eviction;
use crate::shared::Shared;
use api::Api;
use body::ReplyBody;
use stalled::Stalled;

pub use console::{ConsoleRelay, RelayError};

/// The greatest size of a request's head in bytes: a target of 16 KiB is accepted, one of 64 KiB is not.
const HEAD: usize = 32 * 1024;
/// How long sending the last response of a connection may take.
const LAST_RESPONSE: Duration = Duration::from_secs(2);
/// The greatest number of header fields of a request.
const FIELDS: usize = 64;

/// The admissions of HTTP connections.
pub(crate) struct Admissions {
    pub(crate) clients: Arc<Admission>,
    /// The admission of trusted proxies, whose limit other clients cannot use up.
    pub(crate) proxies: Arc<Admission>,
}

/// Accepts connections until the listener fails.
pub(crate) async fn accept(
    listener: TcpListener,
    room: Arc<DescriptorReserve>,
    connections: Connections,
    shared: Arc<Shared>,
    admissions: Admissions,
) -> io::Result<Infallible> {
    // The previous process may have served requests that are dated up to AHEAD in the future, and the replay
    // cache of this process does not have them. After this delay no new request is as old as they are.
    shared.site.start_issuing(clock::now());
    tokio::time::sleep(authenticate::MOMENT).await;
    // After the delay, for the same reason.
    let api = Arc::new(Api::of(&shared));
    let service = move |(socket, peer): (TcpStream, SocketAddr)| {
        let admission = match shared.proxies().has(peer.ip()) {
            true => &admissions.proxies,
            false => &admissions.clients,
        };
        match admission.admit_from(peer) {
            Ok(admitted) => Some(serve(socket, peer, admitted, api.clone(), shared.clone())),
            Err(reason) => {
                debug!(%peer, %reason, "connection rejected");
                None
            }
        }
    };
    listener::accept(listener, Access::Clients, room, connections, service).await
}

/// The origin of a request: the other end of the connection, or the client that a trusted proxy names.
#[derive(Clone)]
struct Peer {
    /// The source that the request counts for; `None` if a trusted proxy names no client.
    source: Option<Source>,
    connection: Arc<Connection>,
}

/// An admitted connection.
struct Connection {
    address: SocketAddr,
    admitted: Mutex<Admitted>,
    /// Whether a request on it was verified.
    authenticated: AtomicBool,
    /// The connection becomes a WebSocket.
    upgrade: Mutex<Option<upgrade::Accepted>>,
}

impl Peer {
    /// The origin of a request. A trusted proxy names the client if `http_forwarded` is set.
    fn of(request: &Request<Incoming>, connection: &Arc<Connection>, shared: &Shared) -> Self {
        let address = connection.address.ip();
        let proxies = shared.proxies();
        let source = match (proxies.has(address), proxies.trust_forwarded) {
            (false, _) => Some(address.into()),
            (true, false) => None,
            (true, true) => {
                let lines = request.headers().get_all(proxies::FIELD).iter().rev();
                proxies
                    .client(lines.map(HeaderValue::as_bytes))
                    .map(Source::from)
            }
        };
        Self {
            source,
            connection: connection.clone(),
        }
    }

    /// The network whose turn at public-key work the request uses.
    fn network(&self) -> Source {
        self.source.unwrap_or(self.proxy()).network()
    }

    /// The other end of the connection.
    fn proxy(&self) -> Source {
        self.connection.address.ip().into()
    }

    /// A request of an application was verified.
    fn authenticated(&self, shared: &Shared) {
        if !self.connection.authenticated.swap(true, Ordering::Relaxed) {
            // Each change under the lock is a single step, so a panic elsewhere leaves a valid state.
            let admitted = self.connection.admitted.lock();
            admitted
                .unwrap_or_else(PoisonError::into_inner)
                .authenticated();
        }
        if let Some(source) = self.source {
            shared
                .site
                .throttle()
                .penalties()
                .authenticated(source, clock::now());
        }
    }

    /// Whether a credential in the request may be read by no one on its way: the client is on this machine, or
    /// a trusted proxy forwards the request and does not name plain HTTP as its scheme.
    fn is_protected(&self, headers: &HeaderMap, shared: &Shared) -> bool {
        match self.is_proxied(shared) {
            true => headers
                .get_all("x-forwarded-proto")
                .iter()
                .all(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https")),
            false => self.connection.address.ip().to_canonical().is_loopback(),
        }
    }

    /// Whether a trusted proxy forwards the request.
    fn is_proxied(&self, shared: &Shared) -> bool {
        shared.proxies().has(self.connection.address.ip())
    }

    /// Whether the source has a penalty. It is checked for each request, since a connection may outlive the
    /// check at its beginning.
    fn is_refused(&self, shared: &Shared) -> bool {
        let penalties = shared.site.throttle().penalties();
        let until = |source| penalties.refused_until(source, clock::now());
        self.source.and_then(until).is_some()
    }

    fn punish(&self, abuse: Abuse, shared: &Shared) {
        if let Some(source) = self.source {
            let mut penalties = shared.site.throttle().penalties();
            penalties.record_abuse(source, abuse, clock::now());
        }
    }
}

/// Ends a connection after its last response was sent, or after a timeout if the client does not read.
async fn finish<S>(
    mut serving: Pin<&mut http1::UpgradeableConnection<TokioIo<Stalled<TcpStream>>, S>>,
) -> hyper::Result<()>
where
    S: HttpService<Incoming, ResBody = ReplyBody>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    serving.as_mut().graceful_shutdown();
    let finished = tokio::time::timeout(LAST_RESPONSE, serving).await;
    finished.unwrap_or(Ok(()))
}

async fn serve(
    socket: TcpStream,
    address: SocketAddr,
    mut admitted: Admitted,
    api: Arc<Api>,
    shared: Arc<Shared>,
) {
    if !clock::is_set() {
        // The HTTP library panics at such a time.
        debug!(peer = %address, "HTTP is not served while the clock shows a time before 1970");
        return;
    }
    let _ = socket.set_nodelay(true);
    let mut ended = admitted.ended();
    let connection = Arc::new(Connection {
        address,
        admitted: Mutex::new(admitted),
        authenticated: AtomicBool::new(false),
        upgrade: Mutex::default(),
    });
    let mut stopping = shared.stopping.clone();
    let answering = (connection.clone(), api, shared.clone());
    let service = service_fn(move |request| {
        let (connection, api, shared) = answering.clone();
        async move {
            let peer = Peer::of(&request, &connection, &shared);
            let reply = route::answer(request, &peer, &api, &shared).await;
            shared.meters.responded(reply.status());
            Ok::<_, Infallible>(reply)
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.limits().unauthenticated_timeout)
        .max_headers(FIELDS)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(Stalled::new(socket)), service)
        .with_upgrades();
    let mut serving = Box::pin(serving);
    let stop = async { stopping.wait_for(|stopping| *stopping).await.is_ok() };
    let unauthenticated = async {
        tokio::time::sleep(shared.limits().unauthenticated_timeout).await;
        if connection.authenticated.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    let done = tokio::select! {
        done = serving.as_mut() => done,
        () = wait_for_eviction(&mut ended) => return,
        () = unauthenticated => finish(serving.as_mut()).await,
        _ = stop => finish(serving.as_mut()).await,
    };
    if let Err(error) = done {
        debug!(peer = %address, %error, "an HTTP connection failed");
        if error.is_parse() {
            // The admission of trusted proxies ignores this: a proxy forwards the requests of others.
            let admitted = connection.admitted.lock();
            let admitted = admitted.unwrap_or_else(PoisonError::into_inner);
            admitted.punish(Abuse::Malformed, clock::now());
        }
    }
    // The service, which has the other references to the connection, ends with the HTTP connection.
    drop(serving);
    if let Some(connection) = Arc::into_inner(connection) {
        Box::pin(upgrade::serve(connection, ended, shared)).await;
    }
}
