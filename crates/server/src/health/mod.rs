//! Health and metrics, on a listener of their own (`docs/operate/monitoring.md`).
//!
//! ```text
//! GET /livez    200: the process runs
//! GET /readyz   200 or 503, with named checks
//! GET /metrics  counts in the text format of Prometheus
//! ```
//!
//! A request needs no credential, so that a response tells nothing but counts and names of checks. It costs at
//! most one read of the database each second, for all clients together. A connection ends after its response.

mod exposition;
mod metrics;
mod readiness;
pub(crate) mod self_check;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tracing::debug;

use crate::accept_loop::{self, Access, Connections, DescriptorReserve};
use crate::admission::Admission;
use crate::clock;
use crate::descriptors;
use crate::http;
use crate::runtime::shared::Shared;
use readiness::{Observation, Process, Readiness};

/// How long a connection may take from its beginning to the last byte of its response.
const MAX_DURATION: Duration = Duration::from_secs(10);
/// How long a client may take for the head of its request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(1);
/// The greatest size of the head of a request, in bytes.
const MAX_HEAD: usize = 8 * 1_024;
/// The age from which the database and the disk are read again.
const MAX_AGE: Duration = Duration::from_secs(1);
const PLAIN: &str = "text/plain; charset=utf-8";

type Reply = Response<Full<Bytes>>;

/// What the listener reports on.
pub(crate) struct Health {
    shared: Arc<Shared>,
    /// The folder of the database.
    folder: Option<PathBuf>,
    /// Becomes true when a required task of the server ends.
    ended: Arc<AtomicBool>,
    /// The admissions of clients and of trusted proxies.
    admissions: [Arc<Admission>; 2],
    observed: Mutex<Option<(Instant, Observation)>>,
}

impl Health {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        folder: Option<PathBuf>,
        ended: Arc<AtomicBool>,
        admissions: [Arc<Admission>; 2],
    ) -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::clone(shared),
            folder,
            ended,
            admissions,
            observed: Mutex::default(),
        })
    }

    /// Accepts connections until the listener fails. They use reserved descriptors when no other is left.
    pub(crate) async fn accept(
        self: Arc<Self>,
        listener: TcpListener,
        room: Arc<DescriptorReserve>,
        connections: Connections,
    ) -> io::Result<Infallible> {
        let service = move |(socket, peer): (TcpStream, SocketAddr)| {
            Some(Arc::clone(&self).serve(socket, peer))
        };
        let access = Access::Operators {
            places: descriptors::HEALTH,
        };
        accept_loop::run(listener, access, room, connections, service).await
    }

    async fn serve(self: Arc<Self>, socket: TcpStream, peer: SocketAddr) {
        let service = service_fn(move |request: Request<Incoming>| {
            let health = Arc::clone(&self);
            async move {
                let answer = health.answer(request.method(), request.uri().path());
                Ok::<_, Infallible>(answer.await)
            }
        });
        let serving = http::http1(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .keep_alive(false)
            .serve_connection(TokioIo::new(socket), service);
        match tokio::time::timeout(MAX_DURATION, serving).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%peer, %error, "a health connection failed"),
            Err(_) => debug!(%peer, "a health connection took too long"),
        }
    }

    async fn answer(&self, method: &Method, path: &str) -> Reply {
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        if !is_read && matches!(path, "/livez" | "/readyz" | "/metrics") {
            let mut reply = reply(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "use GET\n");
            let allow = HeaderValue::from_static("GET, HEAD");
            reply.headers_mut().insert(ALLOW, allow);
            return reply;
        }
        match path {
            "/livez" => reply(StatusCode::OK, PLAIN, "ok\n"),
            "/readyz" => {
                let observed = self.observed().await;
                let readiness = Readiness::of(&observed, self.process());
                let status = match readiness.is_ready() {
                    true => StatusCode::OK,
                    false => StatusCode::SERVICE_UNAVAILABLE,
                };
                reply(status, "application/json", readiness.to_json())
            }
            "/metrics" => {
                let observed = self.observed().await;
                let page = metrics::page(self, &observed);
                reply(StatusCode::OK, exposition::MEDIA_TYPE, page)
            }
            _ => reply(StatusCode::NOT_FOUND, PLAIN, "this path does not exist\n"),
        }
    }

    fn process(&self) -> Process {
        Process {
            is_unsealed: !self.shared.site.is_sealed(),
            tasks_run: !self.ended.load(Ordering::Relaxed),
            clock_is_set: clock::is_set(),
            is_running: !*self.shared.stopping.borrow(),
        }
    }

    /// What was read from the database and the disk within the last second. Clients that ask at the same time
    /// wait for one read.
    async fn observed(&self) -> Observation {
        let mut observed = self.observed.lock().await;
        let now = clock::monotonic();
        if let Some((at, observation)) = &*observed
            && now.saturating_duration_since(*at) < MAX_AGE
        {
            return observation.clone();
        }
        let read = Observation::of(&self.shared, self.folder.as_deref()).await;
        *observed = Some((clock::monotonic(), read.clone()));
        read
    }
}

fn reply(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    let fields = reply.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}
