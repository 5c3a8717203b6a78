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
//! Ticket requests are signed and encrypted themselves. The credentials of the API are not, so that a listener
//! for other machines has TLS, or a proxy has it. A connection counts as unauthenticated until a request on it
//! was verified, and is closed if that takes too long.

mod api;
mod authenticate;
mod body;
mod body_turns;
mod connection;
mod console;
mod framing;
mod origin;
mod problem;
mod reply;
mod request_body;
mod request_id;
mod route;
mod upgrade;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use tokio::net::{TcpListener, TcpStream};
use tracing::debug;

use crate::accept_loop::{self, Access, Connections, DescriptorReserve};
use crate::admission::Admission;
use crate::clock;
use crate::runtime::shared::Shared;
use api::Api;
use connection::Connection;
use origin::RequestOrigin;

pub use console::{ConsoleRelay, RelayError, RelayedSite};

/// The greatest size of a request's head in bytes: a target of 16 KiB is accepted, one of 64 KiB is not.
const HEAD: usize = 32 * 1024;
/// The greatest number of header fields of a request.
const FIELDS: usize = 64;

/// How connections of HTTP/1.1 are served. A client may take so long for the head of a request.
pub(crate) fn http1(head_timeout: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_headers(FIELDS)
        .max_buf_size(HEAD);
    builder
}

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
    let expiring = api::forget_expired(api.clone(), shared.clone());
    let service = move |(socket, peer): (TcpStream, SocketAddr)| {
        let admission = match shared.proxies().has(peer.ip()) {
            true => &admissions.proxies,
            false => &admissions.clients,
        };
        match admission.admit_from(peer) {
            Ok(admitted) => Some(connection::serve(
                socket,
                peer,
                admitted,
                api.clone(),
                shared.clone(),
            )),
            Err(reason) => {
                debug!(%peer, %reason, "connection rejected");
                None
            }
        }
    };
    tokio::select! {
        ended = accept_loop::run(listener, Access::Clients, room, connections, service) => ended,
        never = expiring => match never {},
    }
}
