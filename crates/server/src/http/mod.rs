//! HTTP: applications ask for tickets, and for what they need to ask with (`docs/protocol/broker.md`).
//!
//! ```text
//! POST /authenticate                  v2: a sealed request         -> a sealed response
//! GET  /authenticate?authRequest=…    v1: the same                 -> the same
//! GET  /clock?nonce=…                 the site's time, signed
//! GET  /.well-known/countersign       the site's id and keys, signed with the site key
//! ```
//!
//! What is said is signed, and sealed where it is secret: nothing here needs TLS, and a proxy may stand before
//! it. A connection counts as unproved until a request on it is verified, and ends when that takes too long.

mod authenticate;
mod reply;
mod route;

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use countersign_core::throttle::{Abuse, Source};
use countersign_net::listener::{self, Access, Connections, DescriptorReserve};
use countersign_net::proxies;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tracing::debug;

use crate::admission::{Admission, Admitted};
use crate::clock;
use crate::shared::Shared;

/// Bytes of a request's head: targets of 16 KiB are served, those of 64 KiB are not.
const HEAD: usize = 32 * 1024;
/// How long the last answer of a connection may take to leave.
const LAST_ANSWER: Duration = Duration::from_secs(2);
/// Fields of a request's head.
const FIELDS: usize = 64;

/// The places of HTTP connections.
pub(crate) struct Admissions {
    pub(crate) clients: Arc<Admission>,
    /// Those of trusted proxies, which nothing that clients do can take.
    pub(crate) proxies: Arc<Admission>,
}

/// Accepts connections for as long as the listener works.
pub(crate) async fn accept(
    listener: TcpListener,
    room: Arc<DescriptorReserve>,
    connections: Connections,
    shared: Arc<Shared>,
    admissions: Admissions,
) -> io::Result<Infallible> {
    // What was asked before now may have been answered by the run before, up to a moment ahead of its clock:
    // after that moment nobody has to be told to ask again.
    shared.site.start_issuing(clock::now());
    tokio::time::sleep(authenticate::MOMENT).await;
    let service = move |(socket, peer): (TcpStream, SocketAddr)| {
        let admission = match shared.proxies().has(peer.ip()) {
            true => &admissions.proxies,
            false => &admissions.clients,
        };
        match admission.admit_from(peer) {
            Ok(admitted) => Some(serve(socket, peer, admitted, shared.clone())),
            Err(reason) => {
                debug!(%peer, %reason, "refused");
                None
            }
        }
    };
    listener::accept(listener, Access::Clients, room, connections, service).await
}

/// Who asks: the other end of a connection, or whom a proxy there speaks for.
#[derive(Clone)]
struct Peer {
    /// What the request counts for; `None` when a proxy does not say for whom it asks.
    source: Option<Source>,
    connection: Arc<Connection>,
}

/// A connection that was let in.
struct Connection {
    address: SocketAddr,
    admitted: Mutex<Admitted>,
    /// Whether a request on it was verified.
    proved: AtomicBool,
}

impl Peer {
    /// A proxy asks for others; if it is believed, it names whom it asks for.
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

    /// Whose turn it is at public-key work.
    fn network(&self) -> Source {
        let connection = Source::from(self.connection.address.ip());
        self.source.unwrap_or(connection).network()
    }

    /// A request of an application was verified.
    fn authenticated(&self, shared: &Shared) {
        if !self.connection.proved.swap(true, Ordering::Relaxed) {
            // Counters change whole under the lock: a panic elsewhere leaves nothing half-done.
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

    /// Whether the source has to wait: a connection that is kept outlives the look at its beginning.
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

/// Ends a connection when what it was answered last has left, or when that takes too long: who does not read
/// is not waited for.
async fn finish<S>(
    mut serving: Pin<&mut http1::Connection<TokioIo<TcpStream>, S>>,
) -> hyper::Result<()>
where
    S: HttpService<Incoming, ResBody = Full<Bytes>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    serving.as_mut().graceful_shutdown();
    let finished = tokio::time::timeout(LAST_ANSWER, serving).await;
    finished.unwrap_or(Ok(()))
}

async fn serve(
    socket: TcpStream,
    address: SocketAddr,
    mut admitted: Admitted,
    shared: Arc<Shared>,
) {
    if !clock::is_set() {
        // What reads and writes HTTP panics at such a time.
        debug!(peer = %address, "no HTTP while the clock shows a time before 1970");
        return;
    }
    let _ = socket.set_nodelay(true);
    let evicted = admitted.evicted();
    let connection = Arc::new(Connection {
        address,
        admitted: Mutex::new(admitted),
        proved: AtomicBool::new(false),
    });
    let mut stopping = shared.stopping.clone();
    let answering = (connection.clone(), shared.clone());
    let service = service_fn(move |request| {
        let (connection, shared) = answering.clone();
        async move {
            let peer = Peer::of(&request, &connection, &shared);
            Ok::<_, Infallible>(route::answer(request, &peer, &shared).await)
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.limits().unauthenticated_timeout)
        .max_headers(FIELDS)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(socket), service);
    let mut serving = std::pin::pin!(serving);
    let stop = async { stopping.wait_for(|stopping| *stopping).await.is_ok() };
    let unauthenticated = async {
        tokio::time::sleep(shared.limits().unauthenticated_timeout).await;
        if connection.proved.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    let done = tokio::select! {
        done = serving.as_mut() => done,
        () = evicted => return,
        () = unauthenticated => finish(serving).await,
        _ = stop => finish(serving).await,
    };
    if let Err(error) = done {
        debug!(peer = %address, %error, "an HTTP connection broke off");
        if error.is_parse() {
            // A proxy has no penalties: what it passes on is not its fault.
            let admitted = connection.admitted.lock();
            let admitted = admitted.unwrap_or_else(PoisonError::into_inner);
            admitted.punish(Abuse::Malformed, clock::now());
        }
    }
}
