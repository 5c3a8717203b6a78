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
//! it. A connection counts as unproved until a request on it is verified.

mod authenticate;
mod reply;
mod route;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use countersign_core::guard::{Offence, Source};
use countersign_crypto::entropy::{SystemEntropy, fresh};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

use crate::admission::{Admission, Admitted};
use crate::clock;
use crate::server::{ACCEPT_PAUSE, Connections};
use crate::shared::Shared;

/// Bytes of a request's head: targets of 16 KiB are served, those of 64 KiB are not.
const HEAD: usize = 32 * 1024;
/// Fields of a request's head.
const FIELDS: usize = 64;

/// Takes connections until the server stops.
pub(crate) async fn accept(listener: TcpListener, shared: Arc<Shared>, connections: Connections) {
    // What was asked before now may have been answered by the run before, up to a moment ahead of its clock:
    // after that moment nobody has to be told to ask again.
    shared.site.begin_to_answer(clock::now());
    tokio::time::sleep(authenticate::MOMENT).await;
    let admission = Admission::new(shared.limits.clone(), shared.site.guard().clone());
    loop {
        let (socket, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let dice = u32::from_be_bytes(fresh(&mut SystemEntropy));
        match admission.admit(peer.ip().into(), clock::now(), dice) {
            Ok(admitted) => {
                let _ = socket.set_nodelay(true);
                let served = serve(socket, peer, admitted, shared.clone());
                connections.spawn(served).await;
            }
            Err(reason) => debug!(%peer, %reason, "turned away"),
        }
    }
}

/// Who is at the other end of a connection.
#[derive(Clone)]
struct Peer {
    address: SocketAddr,
    admitted: Arc<Mutex<Admitted>>,
}

impl Peer {
    fn source(&self) -> Source {
        self.address.ip().into()
    }

    /// A request of an application was verified.
    fn proved(&self) {
        self.with(Admitted::proved);
    }

    fn punish(&self, offence: Offence) {
        self.with(|admitted| admitted.punish(offence, clock::now()));
    }

    fn with(&self, change: impl FnOnce(&mut Admitted)) {
        // Counters change whole under the lock: a panic elsewhere leaves nothing half-done.
        let admitted = self.admitted.lock();
        change(&mut admitted.unwrap_or_else(PoisonError::into_inner));
    }
}

async fn serve(
    socket: TcpStream,
    address: SocketAddr,
    mut admitted: Admitted,
    shared: Arc<Shared>,
) {
    let ended = admitted.ended();
    let peer = Peer {
        address,
        admitted: Arc::new(Mutex::new(admitted)),
    };
    let mut stopping = shared.stopping.clone();
    let answering = (peer.clone(), shared.clone());
    let service = service_fn(move |request| {
        let (peer, shared) = answering.clone();
        async move { Ok::<_, std::convert::Infallible>(route::answer(request, &peer, &shared).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.limits.unproved_time)
        .max_headers(FIELDS)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(socket), service);
    let mut connection = std::pin::pin!(connection);
    let stop = async { stopping.wait_for(|stopping| *stopping).await.is_ok() };
    let done = tokio::select! {
        done = connection.as_mut() => done,
        () = crate::connection::told(ended) => return,
        _ = stop => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = done {
        debug!(peer = %address, %error, "an HTTP connection broke off");
        if error.is_parse() {
            peer.punish(Offence::Malformed);
        }
    }
}
