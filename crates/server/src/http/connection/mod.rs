//! One connection: TLS, then HTTP/1.1 or HTTP/2, then perhaps a WebSocket.
//!
//! ```text
//! admitted --> [TLS handshake] --ALPN, or preface--> HTTP/1.1 --upgrade--> WebSocket
//!                                       '----------> HTTP/2
//! ```

mod preface;
mod stalled;
mod untaken;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use countersign_core::throttle::Abuse;
use countersign_core::timestamp::Timestamp;
use countersign_crypto::certificate::Thumbprint;
use hyper::body::Body;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, STRICT_TRANSPORT_SECURITY};
use hyper::http::uri::Authority;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::debug;

use super::api::Api;
use super::body::ReplyBody;
use super::body_turns::BodyTurns;
use super::framing::{self, Fault, Framed, Upgraded};
use super::origin::RequestOrigin;
use super::reply::{self, Reply};
use super::{FIELDS, request_body, route, upgrade};
use crate::admission::{Admitted, Held, wait_for_eviction};
use crate::clock;
use crate::handshake::{Refused, Stream, client_hello, in_time, in_turns};
use crate::runtime::shared::Shared;
use crate::tls::certificate_source::CertificateSource;

pub(super) use stalled::Stalled;
use untaken::{FollowedBody, Untaken};

/// How long sending the last response of a connection may take.
const LAST_RESPONSE: Duration = Duration::from_secs(2);
/// How long browsers call the site over TLS alone: a year.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Requests of a connection of HTTP/2 at a time, event streams included.
const MAX_STREAMS: u32 = 64;
/// The greatest size of a request's fields over HTTP/2, as RFC 9113 counts them.
const MAX_HEADER_LIST: u32 = 32 * 1024;
/// Bytes of bodies that a connection, and one request, may send before they are read.
const MAX_UNREAD: u32 = 64 * 1024 - 1;
/// Bytes of a response that wait to be sent.
const MAX_UNSENT: usize = 64 * 1024;
/// Requests that a client may send and cancel before the site has looked at them; one more ends the
/// connection (rapid reset, CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 20;
/// Requests that the site may have to cancel because they are malformed; one more ends the connection.
const MAX_FAULTS: usize = 64;
/// A connection of a trusted proxy carries the requests of many clients, and has so many times the
/// streams, bodies that are read and cancelled requests.
const PROXIED: u32 = 16;
/// Its bodies of ticket requests that may wait to be read, and half of what it may send unread: the
/// other half is for the requests that do not wait.
const PROXIED_WAITING: u32 = 16;
const MAX_PROXIED_RESETS: usize = 16 * MAX_PENDING_RESETS;
/// A client of HTTP/2 must answer a ping within [`PING_TIMEOUT`], this often.
const PING: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How often a connection of HTTP/2 is looked at for responses that its client does not take.
const LOOK: Duration = Duration::from_secs(10);
/// A connection without a verified request for so long ends, once no such request and no response to one is
/// under way.
/// It would keep its place for ever.
const IDLE: Duration = Duration::from_secs(600);

/// An admitted connection.
pub(super) struct Connection {
    pub(super) address: SocketAddr,
    pub(super) opened: Timestamp,
    pub(super) admitted: Mutex<Admitted>,
    /// Whether a request on it was verified.
    pub(super) authenticated: AtomicBool,
    /// Whether a request on it was verified since that was looked at last.
    pub(super) is_used: AtomicBool,
    /// Verified requests that run, and their responses that are not whole, hold it too.
    pub(super) running: Arc<()>,
    /// The responses over HTTP/2 that the client does not take.
    untaken: Arc<Untaken>,
    /// The turns at reading the bodies of ticket requests.
    pub(super) body_turns: Arc<BodyTurns>,
    /// The connection becomes a WebSocket.
    pub(super) upgrade: Mutex<Option<upgrade::Accepted>>,
    /// The same, for the stream.
    pub(super) upgraded: Upgraded,
    /// The place of the credential whose request came last, among the connections of its account.
    pub(super) held: Mutex<Option<Held>>,
    /// Whether the site itself encrypts it.
    pub(super) has_tls: bool,
    /// The key that the client proved in the handshake.
    pub(super) device: Option<Thumbprint>,
}

/// Serves a connection until it ends.
pub(super) async fn serve(
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
    let Some(source) = shared.http_certificate() else {
        return plain(socket, address, admitted, ended, api, shared).await;
    };
    // Boxed: what a handshake needs is freed before the first request.
    let secured = Box::pin(handshake(socket, &admitted, &mut ended, source, &shared)).await;
    match secured {
        Ok(stream) => {
            let device = stream.peer_key().ok().flatten().map(|key| key.thumbprint());
            let is_http2 = stream.is_http2();
            let connection = Connection::new(address, admitted, true, device, &shared);
            http(stream, is_http2, connection, ended, api, shared).await;
        }
        Err(refused) => {
            debug!(peer = %address, %refused, "a TLS handshake of HTTP failed");
            refused.punish(&admitted);
        }
    }
}

/// Serves a connection without TLS. HTTP/2 is for this machine and for trusted proxies.
async fn plain(
    socket: TcpStream,
    address: SocketAddr,
    admitted: Admitted,
    mut ended: Option<oneshot::Receiver<()>>,
    api: Arc<Api>,
    shared: Arc<Shared>,
) {
    let is_near = address.ip().to_canonical().is_loopback() || shared.proxies().has(address.ip());
    let connection = Connection::new(address, admitted, false, None, &shared);
    if !is_near {
        return http(socket, false, connection, ended, api, shared).await;
    }
    let reading = preface::read(socket.into_split());
    let read = in_time(reading, wait_for_eviction(&mut ended), &shared).await;
    if let Ok(Ok((stream, is_http2))) = read {
        http(stream, is_http2, connection, ended, api, shared).await;
    }
}

/// Does the handshake, within the limits of that on the device port.
async fn handshake(
    socket: TcpStream,
    admitted: &Admitted,
    ended: &mut Option<oneshot::Receiver<()>>,
    source: &CertificateSource,
    shared: &Shared,
) -> Result<Stream, Refused> {
    let handshake = async {
        let acceptor = source.acceptor(&shared.site).await.ok_or(Refused::Sealed)?;
        let hello = client_hello(socket, admitted, &acceptor).await?;
        admitted.first_flight_received();
        let answering = async { hello.answer().await };
        in_turns(answering, admitted, shared).await.map(Box::new)
    };
    in_time(handshake, wait_for_eviction(ended), shared).await?
}

impl Connection {
    fn new(
        address: SocketAddr,
        admitted: Admitted,
        has_tls: bool,
        device: Option<Thumbprint>,
        shared: &Shared,
    ) -> Self {
        let (turns, waiting) = match shared.proxies().has(address.ip()) {
            true => (PROXIED, PROXIED_WAITING),
            false => (1, MAX_STREAMS),
        };
        Self {
            address,
            opened: clock::now(),
            admitted: Mutex::new(admitted),
            authenticated: AtomicBool::new(false),
            is_used: AtomicBool::new(false),
            running: Arc::default(),
            untaken: Arc::default(),
            body_turns: BodyTurns::new(turns as usize, waiting as usize),
            upgrade: Mutex::default(),
            upgraded: Upgraded::default(),
            held: Mutex::default(),
            has_tls,
            device,
        }
    }

    /// The admission of trusted proxies ignores this: a proxy forwards the requests of others.
    fn punish_malformed(&self) {
        let admitted = self.admitted.lock();
        let admitted = admitted.unwrap_or_else(PoisonError::into_inner);
        admitted.punish(Abuse::Malformed, clock::now());
    }
}

/// Serves the requests of a connection.
async fn http<S>(
    stream: S,
    is_http2: bool,
    connection: Connection,
    mut ended: Option<oneshot::Receiver<()>>,
    api: Arc<Api>,
    shared: Arc<Shared>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = Arc::new(connection);
    let answering = (connection.clone(), api, shared.clone());
    let service = service_fn(move |request| {
        let (connection, api, shared) = answering.clone();
        async move {
            // Boxed: the library keeps room for the future of a request as long as the connection lasts.
            let answering = Box::pin(answer(request, &connection, &api, &shared));
            let (reply, running) = answering.await;
            let followed = is_http2.then(|| connection.untaken.follow());
            let reply: Response<_> = reply.map(|body| FollowedBody::new(body, followed, running));
            Ok::<_, Infallible>(reply)
        }
    });
    let stream = Stalled::new(stream);
    let (clients, unread, resets) = match shared.proxies().has(connection.address.ip()) {
        true => (PROXIED, 2 * PROXIED_WAITING, MAX_PROXIED_RESETS),
        false => (1, 1, MAX_PENDING_RESETS),
    };
    let done = match is_http2 {
        true => {
            let serving = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(MAX_STREAMS * clients)
                .max_header_list_size(MAX_HEADER_LIST)
                .initial_connection_window_size(MAX_UNREAD * unread)
                .initial_stream_window_size(MAX_UNREAD)
                .max_send_buf_size(MAX_UNSENT)
                .max_pending_accept_reset_streams(resets)
                .max_local_error_reset_streams(MAX_FAULTS)
                .keep_alive_interval(PING)
                .keep_alive_timeout(PING_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            let finish =
                |serving: Pin<&mut http2::Connection<_, _, _>>| serving.graceful_shutdown();
            drive(Box::pin(serving), finish, &connection, &mut ended, &shared).await
        }
        false => {
            let stream = Framed::new(stream, connection.upgraded.clone());
            let serving = super::http1(shared.limits().unauthenticated_timeout)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            let finish =
                |serving: Pin<&mut http1::UpgradeableConnection<_, _>>| serving.graceful_shutdown();
            drive(Box::pin(serving), finish, &connection, &mut ended, &shared).await
        }
    };
    match done {
        None => return,
        Some(Ok(())) => {}
        Some(Err(error)) => {
            debug!(peer = %connection.address, %error, "an HTTP connection failed");
            if error.is_parse() {
                connection.punish_malformed();
            }
        }
    }
    // The service, which has the other references to the connection, ended with the HTTP connection.
    if let Some(connection) = Arc::into_inner(connection) {
        Box::pin(upgrade::serve(connection, ended, shared)).await;
    }
}

/// Drives a connection to its end. `finish` lets it end after its last response. `None` if it was
/// evicted, or its client does not take the responses.
async fn drive<C, F>(
    mut serving: Pin<Box<C>>,
    finish: F,
    connection: &Connection,
    ended: &mut Option<oneshot::Receiver<()>>,
    shared: &Shared,
) -> Option<hyper::Result<()>>
where
    C: Future<Output = hyper::Result<()>>,
    F: Fn(Pin<&mut C>),
{
    let mut stopping = shared.stopping.clone();
    let stop = async { stopping.wait_for(|stopping| *stopping).await.is_ok() };
    let unauthenticated = async {
        tokio::time::sleep(shared.limits().unauthenticated_timeout).await;
        if connection.authenticated.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    let left = async {
        // A client behind a proxy does not end the connection of the others.
        let by_all = shared.proxies().has(connection.address.ip());
        while !connection.untaken.is_left(by_all) {
            tokio::time::sleep(LOOK).await;
        }
    };
    let idle = async {
        tokio::time::sleep(IDLE).await;
        while connection.is_used.swap(false, Ordering::Relaxed)
            || Arc::strong_count(&connection.running) > 1
        {
            tokio::time::sleep(IDLE).await;
        }
    };
    tokio::select! {
        done = serving.as_mut() => return Some(done),
        () = wait_for_eviction(ended) => return None,
        () = left => {
            debug!(peer = %connection.address, "a client of HTTP/2 does not take its responses");
            return None;
        }
        () = unauthenticated => {}
        () = idle => {}
        _ = stop => {}
    }
    finish(serving.as_mut());
    let finished = timeout(LAST_RESPONSE, serving).await;
    Some(finished.unwrap_or(Ok(())))
}

/// Answers one request. Returns also what counts it as running, if it was verified.
async fn answer(
    request: Request<hyper::body::Incoming>,
    connection: &Arc<Connection>,
    api: &Arc<Api>,
    shared: &Arc<Shared>,
) -> (Reply, Option<Arc<()>>) {
    let is_head_of_http2 =
        (request.method(), request.version()) == (&Method::HEAD, Version::HTTP_2);
    let origin = RequestOrigin::of(&request, connection, shared);
    let (request, unread) = request_body::followed(request);
    let mut reply = match fault(&request) {
        Some(fault) => {
            // A page can make its reader's browser send a head that is too long, a host that is none
            // for the site, and another protocol. It must not have its reader's address refused.
            let may_be_of_page = matches!(
                fault,
                Fault::TooLarge | Fault::Host | Fault::Tls | Fault::OtherProtocol
            );
            if request.version() != Version::HTTP_2 && !may_be_of_page {
                connection.punish_malformed();
            }
            reply::malformed(fault)
        }
        None => route::answer(request, &origin, api, shared).await,
    };
    if reply.status() != StatusCode::SWITCHING_PROTOCOLS && !unread.discard().await {
        let close = HeaderValue::from_static("close");
        reply.headers_mut().insert(CONNECTION, close);
    }
    shared.meters.responded(reply.status());
    if is_head_of_http2 {
        reply = without_body(reply);
    }
    if connection.has_tls {
        let fields = reply.headers_mut();
        fields.insert(STRICT_TRANSPORT_SECURITY, HSTS);
    }
    (reply, origin.running.into_inner())
}

/// A response to HEAD: with the length of the body, and without the body. The library drops the body
/// of HTTP/1.1 alone; over HTTP/2 it would send it, for an event stream without an end.
fn without_body(reply: Reply) -> Reply {
    let (mut head, body) = reply.into_parts();
    if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
        head.headers
            .entry(CONTENT_LENGTH)
            .or_insert_with(|| HeaderValue::from(length));
    }
    Response::from_parts(head, ReplyBody::default())
}

/// What makes a request malformed that the library accepts. Over HTTP/1.1 the [stream](framing) tells it;
/// over HTTP/2 it is too many fields, two lengths, or a field `host` with another authority than the
/// request.
fn fault<B>(request: &Request<B>) -> Option<Fault> {
    if request.version() != Version::HTTP_2 {
        return framing::fault(request);
    }
    if request.headers().len() > FIELDS {
        return Some(Fault::TooLarge);
    }
    if request.headers().get_all(CONTENT_LENGTH).iter().count() > 1 {
        return Some(Fault::Length);
    }
    let authority = request.uri().authority().map(Authority::as_str);
    let mut hosts = request.headers().get_all(HOST).iter();
    let differs = hosts.any(|host| authority.is_none_or(|own| host.as_bytes() != own.as_bytes()));
    (differs || authority.is_none()).then_some(Fault::Host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, hosts: &[&'static str]) -> Request<()> {
        let mut request = Request::new(());
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = uri.parse().unwrap();
        for host in hosts {
            let value = HeaderValue::from_static(host);
            request.headers_mut().append(HOST, value);
        }
        request
    }

    /// A proxy may look at one of the two, and the site at the other.
    #[test]
    fn a_request_of_http_2_has_one_authority() {
        let uri = "https://site.example/clock";
        assert_eq!(fault(&request(uri, &[])), None);
        assert_eq!(fault(&request(uri, &["site.example"])), None);
        for hosts in [&["other.example"][..], &["site.example", "other.example"]] {
            let found = fault(&request(uri, hosts));
            assert_eq!(found, Some(Fault::Host), "{hosts:?}");
        }
        let none = fault(&request("/clock", &["site.example"]));
        assert_eq!(none, Some(Fault::Host));
    }
}
