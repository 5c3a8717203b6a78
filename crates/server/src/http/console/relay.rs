//! `countersign console`: serves the files of this program on the user's own machine, and relays the bytes of
//! sessions and registrations to a site.
//!
//! ```text
//! browser --http, WebSocket--> relay --TCP-------> session port of the site
//!    |                           '----WebSocket--> HTTP listener of the site, if its URL is known
//!    '--- the session, or the sealed channel of a registration, end to end ---'
//! ```
//!
//! The relay has no key and reads nothing of either: the page pins the site's key. Three things keep other
//! pages apart from its own:
//!
//! - Each path begins with a secret, so that a page of another origin cannot name one.
//! - A request has the host of the relay, so that a DNS name that an attacker points to this machine gets
//!   nothing.
//! - The host is another name below `localhost` at each start. So it is an origin of its own, in which no
//!   earlier program on the same port left a service worker, and whose storage no later program gets. The relay
//!   has its port at each address that a browser connects that name to.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use countersign_core::public_url::PublicUrl;
use countersign_crypto::entropy::{SystemEntropy, fresh};
use countersign_proto::site_identity::KnownSite;
use countersign_proto::uri::SiteUri;
use data_encoding::HEXLOWER;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, on};
use hyper::{Method, Request, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tracing::{debug, warn};

use super::super::connection::Stalled;
use super::super::framing::{self, Framed, Upgraded};
use super::super::reply::{self, Reply};
use super::super::{http1, upgrade};
use super::loopback::{self, Loopback};
use super::registration::Registrations;
use super::{METHODS, Relayed, SITE, ServedSite, file};
use crate::accept_loop::{self, Access, Connections, DescriptorReserve};
use crate::admission::wait_for_eviction;
use crate::connection::WebSocketBytes;
use crate::console_files::ConsoleFiles;
use crate::places::{self, Limits, Origin, Places};

/// The connections of browsers at a time: a few tabs, and no more descriptors than a process always has. Other
/// users of this machine can open them too: the oldest of those that have not named the secret ends for a new
/// one.
const LIMITS: Limits = Limits {
    connections: 64,
    per_source: usize::MAX,
    per_network: usize::MAX,
    unauthenticated: 32,
    unauthenticated_per_source: usize::MAX,
    unauthenticated_per_network: usize::MAX,
    early: usize::MAX,
};
/// All connections come from this machine.
const MACHINE: Origin<()> = Origin {
    source: (),
    network: (),
};
/// How long a browser may take for the head of a request, and an idle connection stays open.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection to the site may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The path of the WebSocket, below the secret.
const SESSION: &str = "session";

/// The console on the user's own machine.
pub struct ConsoleRelay {
    listeners: Loopback,
    console: Arc<Console>,
}

/// The site of a relay.
#[derive(Debug, Clone)]
pub struct RelayedSite {
    /// Its URI: where its session port is, and a key that it has or had.
    pub uri: SiteUri,
    /// What this device knows of it. The page accepts no other site, and none of its older keys.
    pub known: Option<KnownSite>,
    /// The base URL of its HTTP listener, which takes tickets; without it the page takes none.
    pub http: Option<PublicUrl>,
}

/// Why a relay cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// Other machines could reach the address, or a browser would connect to another one.
    #[error("{0} is neither 127.0.0.1 nor [::1]")]
    NotLoopback(SocketAddr),
    /// The port is in use at this address.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The requested address, or the other one of this machine with its port.
        address: SocketAddr,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// The URL of the site's HTTP listener cannot be used.
    #[error("{url}: {cause}")]
    Http {
        /// The URL.
        url: String,
        /// The problem of the text.
        cause: io::Error,
    },
}

struct Console {
    address: SocketAddr,
    /// The host in the URL, with the port. Browsers connect a name below `localhost` to this machine (RFC 6761,
    /// section 6.3).
    host: String,
    /// The first part of each path: 128 random bits.
    secret: String,
    files: ConsoleFiles,
    site: RelayedSite,
    registrations: Option<Registrations>,
}

impl ConsoleRelay {
    /// Binds the listeners. `address` is 127.0.0.1 or ::1; the relay has its port at both, so that no other
    /// user of this machine listens where a browser connects to. Port 0 takes a port that is free at both.
    ///
    /// # Errors
    /// [`RelayError`].
    pub fn bind(
        address: SocketAddr,
        files: ConsoleFiles,
        site: RelayedSite,
    ) -> Result<Self, RelayError> {
        if !loopback::is_one(address.ip()) {
            return Err(RelayError::NotLoopback(address));
        }
        let registrations = site.http.as_ref().map(|url| {
            let url_of = |cause| RelayError::Http {
                url: url.as_str().to_owned(),
                cause,
            };
            Registrations::at(url).map_err(url_of)
        });
        let listeners = Loopback::bind(address)
            .map_err(|(address, cause)| RelayError::Listen { address, cause })?;
        let address = listeners.address;
        let (name, secret): ([u8; 8], [u8; 16]) =
            (fresh(&mut SystemEntropy), fresh(&mut SystemEntropy));
        let console = Arc::new(Console {
            address,
            host: format!("c{}.localhost:{}", HEXLOWER.encode(&name), address.port()),
            secret: HEXLOWER.encode(&secret),
            files,
            site,
            registrations: registrations.transpose()?,
        });
        Ok(Self { listeners, console })
    }

    /// The URL of the page, for the user's browser.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/{}/", self.console.host, self.console.secret)
    }

    /// The URL of the page with the address of the listener, for a browser that does not connect names below
    /// `localhost` to this machine.
    #[must_use]
    pub fn address_url(&self) -> String {
        format!("http://{}/{}/", self.console.address, self.console.secret)
    }

    /// Serves until a listener fails.
    ///
    /// # Errors
    /// A listener failed.
    pub async fn serve(self) -> io::Result<Infallible> {
        let places = Places::new(LIMITS);
        let reserve = DescriptorReserve::new(vec![places.clone()]);
        let service = move |(socket, _)| match places.admit(MACHINE, 0) {
            Ok(admitted) => Some(serve(socket, self.console.clone(), admitted)),
            Err(reason) => {
                debug!(?reason, "a connection of a browser was rejected");
                None
            }
        };
        let connections = Connections::default();
        let accept = |listener: TcpListener| {
            let (reserve, connections) = (reserve.clone(), connections.clone());
            accept_loop::run(listener, Access::Clients, reserve, connections, &service)
        };
        let Loopback { first, second, .. } = self.listeners;
        match second {
            None => accept(first).await,
            Some(second) => tokio::select! {
                ended = accept(first) => ended,
                ended = accept(second) => ended,
            },
        }
    }
}

/// A connection's place, until the connection and the WebSocket that it may have become have ended.
#[derive(Clone)]
struct SharedPlace(Arc<Mutex<places::Place<()>>>);

impl SharedPlace {
    /// The browser named the secret.
    fn is_of_the_page(&self) {
        let mut admitted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        admitted.authenticated();
    }
}

async fn serve(socket: TcpStream, console: Arc<Console>, mut admitted: places::Place<()>) {
    let _ = socket.set_nodelay(true);
    let mut evicted = admitted.ended();
    let place = SharedPlace(Arc::new(Mutex::new(admitted)));
    let upgraded = Upgraded::default();
    let stream = Framed::new(Stalled::new(socket), upgraded.clone());
    let service = service_fn(move |request| {
        let (console, place, upgraded) = (console.clone(), place.clone(), upgraded.clone());
        async move {
            let reply = console.answer(request, place).await;
            if reply.status() == StatusCode::SWITCHING_PROTOCOLS {
                upgraded.set();
            }
            Ok::<_, Infallible>(reply)
        }
    });
    let serving = http1(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::select! {
        served = serving => {
            if let Err(error) = served {
                debug!(%error, "a connection of a browser failed");
            }
        }
        () = wait_for_eviction(&mut evicted) => debug!("a connection that did not name the secret ended for another one"),
    }
}

impl Console {
    async fn answer(self: Arc<Self>, request: Request<Incoming>, place: SharedPlace) -> Reply {
        if let Some(fault) = framing::fault(&request) {
            return last(reply::malformed(fault));
        }
        if !self.is_host(&request) {
            return last(reply::misdirected());
        }
        let Some(name) = self.name(request.uri().path()) else {
            return last(reply::not_found());
        };
        place.is_of_the_page();
        match (request.method(), name) {
            (&Method::OPTIONS, _) => reply::options(METHODS),
            (&Method::GET, SESSION) => self.clone().web_socket(request, place).await,
            (&Method::GET | &Method::HEAD, SITE) => self.site(),
            (&Method::GET | &Method::HEAD, name) => file(&self.files, name, request.headers()),
            _ => reply::not_allowed(METHODS),
        }
    }

    /// Whether the request is for the host of the relay. A page cannot change this field, so a page whose name
    /// leads here sends its own name.
    fn is_host(&self, request: &Request<Incoming>) -> bool {
        let mut hosts = request.headers().get_all(HOST).iter();
        let (host, more) = (hosts.next(), hosts.next());
        let host = host.and_then(|host| host.to_str().ok());
        more.is_none()
            && host.is_some_and(|host| {
                host.eq_ignore_ascii_case(&self.host) || host == self.address.to_string()
            })
    }

    /// The path below the secret; the empty one is the page.
    fn name<'p>(&self, path: &'p str) -> Option<&'p str> {
        let (secret, name) = path.strip_prefix('/')?.split_once('/')?;
        // Each attempt of a page to guess the secret is a request, and there are 2^128 of them, so the time of
        // the comparison does not matter.
        (secret == self.secret).then_some(name)
    }

    fn site(&self) -> Reply {
        let RelayedSite { uri, known, http } = &self.site;
        let served = ServedSite {
            uri: &uri.to_string(),
            session: SESSION,
            closed: None,
            dev: false,
            relay: Some(Relayed {
                http: http.as_ref().map(PublicUrl::as_str),
                known: known.and_then(|known| serde_json::to_string(&known).ok()),
            }),
        };
        self.files.site(served.text()).map(Into::into)
    }

    /// Opens a WebSocket whose bytes go to the site.
    async fn web_socket(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        place: SharedPlace,
    ) -> Reply {
        let origins = [format!("http://{}", self.host)];
        let key = match request.version() {
            Version::HTTP_11 => upgrade::key(request.headers(), &origins),
            _ => Err(upgrade::Refused::NotUpgrade),
        };
        let (key, carries) = match key {
            Ok((key, carries)) => (key.to_owned(), carries),
            Err(refused) => return refused.reply(),
        };
        let site = match (carries, &self.registrations) {
            (upgrade::Subprotocol::Session, _) => self.session().await,
            (upgrade::Subprotocol::Registration, Some(registrations)) => {
                let opened = registrations.open(&key).await;
                opened.map(|site| AtSite::Registration(Box::new(site)))
            }
            (upgrade::Subprotocol::Registration, None) => {
                return upgrade::Refused::NotUpgrade.reply();
            }
        };
        let site = match site {
            Ok(site) => site,
            Err(error) => {
                let (site, via) = (self.site.uri.address(), carries.name());
                warn!(%site, via, %error, "the site cannot be reached");
                return reply::unreachable();
            }
        };
        tokio::spawn(relay(on(&mut request), site, place));
        reply::web_socket(&derive_accept_key(key.as_bytes()), carries.name())
    }

    async fn session(&self) -> io::Result<AtSite> {
        let site = TcpStream::connect(self.site.uri.address());
        let site = tokio::time::timeout(CONNECT_TIMEOUT, site).await??;
        site.set_nodelay(true)?;
        Ok(AtSite::Session(site))
    }
}

/// The response, after which the connection closes: its client is not the page.
fn last(mut reply: Reply) -> Reply {
    let close = HeaderValue::from_static("close");
    reply.headers_mut().insert(CONNECTION, close);
    reply
}

/// A connection to the site.
enum AtSite {
    /// Takes the bytes of a session.
    Session(TcpStream),
    /// Takes the browser's own frames.
    Registration(Box<reqwest::Upgraded>),
}

/// Passes bytes on in both directions until one end closes. An end that is lost is for the page and the site to
/// notice: a session resumes, and a registration is repeated.
async fn relay(upgrading: OnUpgrade, site: AtSite, place: SharedPlace) {
    let mut browser = match upgrading.await {
        Ok(browser) => TokioIo::new(browser),
        Err(error) => return debug!(%error, "a connection did not become a WebSocket"),
    };
    let _ = match site {
        AtSite::Session(mut site) => {
            let mut bytes = WebSocketBytes::over(browser).await;
            copy_bidirectional(&mut bytes, &mut site).await
        }
        AtSite::Registration(mut site) => copy_bidirectional(&mut browser, &mut site).await,
    };
    drop(place);
}
