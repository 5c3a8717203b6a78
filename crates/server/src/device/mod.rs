//! The device port: enrolment and device connections over TLS (`docs/protocol/device.md`).
//!
//! ```text
//! admitted --> TLS --no client certificate--> enrolment dialog ---------> closed
//!               '---- client certificate ----> first line, or request --> session --> closed
//! ```
//!
//! Every refusal is the same: no reply, and the connection is closed after the refusal time.

mod device_session;
mod enrolling;
mod registering;
mod stream;
mod web_socket;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use countersign_core::access::Channel;
use countersign_core::audit::AuditOutcome;
use countersign_core::audit::coalesced::Occurrence;
use countersign_core::site_key::UnsealedKeys;
use countersign_core::throttle::Abuse;
use countersign_net::listener::{self, Access, Connections, DescriptorReserve};
use countersign_net::tls::{Acceptor, TlsStream};
use countersign_proto::device::{
    BadHello, BadUpgrade, Hello, MAX_HELLO, MAX_UPGRADE, UPGRADE_START,
};
use countersign_proto::enrolment::Request;
use countersign_proto::enrolment::passphrase::RegistrationRequest;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tracing::{debug, error};

use self::device_session::NewConnection;
use self::enrolling::FirstLine;
use crate::admission::{Admission, Admitted};
use crate::clock;
use crate::shared::Shared;

/// Accepts the connections of devices until the listener fails.
pub(crate) async fn accept(
    listener: TcpListener,
    room: Arc<DescriptorReserve>,
    connections: Connections,
    shared: Arc<Shared>,
    clients: Arc<Admission>,
) -> io::Result<Infallible> {
    let acceptors = Arc::new(Acceptors::default());
    let service = move |(socket, peer): (TcpStream, SocketAddr)| match clients.admit_from(peer) {
        Ok(admitted) => {
            let _ = socket.set_nodelay(true);
            let (shared, acceptors) = (shared.clone(), acceptors.clone());
            Some(serve(socket, peer, admitted, shared, acceptors))
        }
        Err(reason) => {
            debug!(%peer, %reason, "connection to the device port rejected");
            None
        }
    };
    listener::accept(listener, Access::Clients, room, connections, service).await
}

/// The site's end of TLS, which is created again when the site was unsealed again.
#[derive(Default)]
struct Acceptors(Mutex<Option<(Arc<UnsealedKeys>, Acceptor)>>);

impl Acceptors {
    /// Returns the site's end of TLS; `None` while the site is sealed.
    fn current(&self, shared: &Shared) -> Option<Acceptor> {
        let keys = shared.site.unsealed_keys()?;
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, acceptor)) = &*cached
            && Arc::ptr_eq(of, &keys)
        {
            return Some(acceptor.clone());
        }
        let acceptor = Acceptor::new(keys.key.clone())
            .inspect_err(|problem| error!(%problem, "the device port cannot serve"))
            .ok()?;
        *cached = Some((keys, acceptor.clone()));
        Some(acceptor)
    }
}

/// What a client asks for, after the handshake.
enum Asked {
    Enrolment(Box<(TlsStream<TcpStream>, Request)>),
    Registration(Box<(TlsStream<TcpStream>, RegistrationRequest)>),
    Session(Box<NewConnection>),
}

/// Why a client is not served.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the site is sealed")]
    Sealed,
    #[error("too many handshakes are waiting")]
    Busy,
    #[error("the client took too long")]
    TooSlow,
    #[error("the connection was evicted or the server stops")]
    Ended,
    #[error("the connection failed: {0}")]
    Connection(#[from] io::Error),
    #[error(transparent)]
    Request(#[from] countersign_proto::enrolment::server::RequestRefused),
    #[error(transparent)]
    Hello(#[from] BadHello),
    #[error(transparent)]
    Upgrade(#[from] BadUpgrade),
}

impl Refused {
    /// The abuse that counts against the source.
    fn abuse(&self) -> Option<Abuse> {
        match self {
            Self::Sealed | Self::Busy | Self::Ended => None,
            Self::TooSlow => Some(Abuse::NotAuthenticated),
            Self::Connection(error) if error.kind() == io::ErrorKind::InvalidData => {
                Some(Abuse::Malformed)
            }
            Self::Connection(_) => Some(Abuse::Refused),
            Self::Request(_) | Self::Hello(_) | Self::Upgrade(_) => Some(Abuse::Malformed),
        }
    }

    /// What the client sent that cannot be read.
    const fn malformed(&self) -> Option<&'static str> {
        match self {
            Self::Request(_) => Some("request"),
            Self::Hello(_) => Some("hello"),
            Self::Upgrade(_) => Some("upgrade"),
            Self::Sealed | Self::Busy | Self::TooSlow | Self::Ended | Self::Connection(_) => None,
        }
    }
}

/// Serves one connection until it ends.
async fn serve(
    socket: TcpStream,
    peer: SocketAddr,
    mut admitted: Admitted,
    shared: Arc<Shared>,
    acceptors: Arc<Acceptors>,
) {
    let mut evicted = Box::pin(admitted.evicted());
    let asked = Box::pin(ask(socket, &admitted, &mut evicted, &shared, &acceptors)).await;
    match asked {
        Ok(Asked::Enrolment(asked)) => {
            let (stream, request) = *asked;
            Box::pin(enrolling::enrol(stream, &request, &admitted, &shared)).await;
        }
        Ok(Asked::Registration(asked)) => {
            let (stream, request) = *asked;
            Box::pin(registering::register(
                stream, &request, &admitted, evicted, &shared,
            ))
            .await;
        }
        Ok(Asked::Session(new)) => Box::pin(new.serve(peer, admitted, &shared)).await,
        Err(refused) => {
            debug!(%peer, %refused, "refused on the device port");
            let failed = Instant::from_std(clock::monotonic());
            if let Some(abuse) = refused.abuse() {
                admitted.punish(abuse, clock::now());
            }
            if let Some(what) = refused.malformed() {
                let (source, outcome) = (admitted.source(), AuditOutcome::Failed);
                let malformed =
                    Occurrence::of_source(source, Channel::Device, "device.malformed", outcome);
                shared.note(malformed.with("what", what));
            }
            if !matches!(refused, Refused::Ended) {
                tokio::time::sleep_until(failed + shared.limits().refusal_time).await;
            }
        }
    }
}

/// Does the handshake and reads the client's first line, within the time for unauthenticated
/// clients.
async fn ask(
    socket: TcpStream,
    admitted: &Admitted,
    evicted: impl Future<Output = ()> + Send,
    shared: &Shared,
    acceptors: &Acceptors,
) -> Result<Asked, Refused> {
    let mut stopping = shared.stopping.clone();
    let asked = first_line(socket, admitted, shared, acceptors);
    tokio::select! {
        asked = timeout(shared.limits().unauthenticated_timeout, asked) => {
            asked.unwrap_or(Err(Refused::TooSlow))
        }
        () = evicted => Err(Refused::Ended),
        _ = stopping.wait_for(|stopping| *stopping) => Err(Refused::Ended),
    }
}

/// Does the rest of a handshake. Each of its steps waits for a turn at public-key work, also the
/// second answer to a client that was asked for another key share. No turn waits for the client: a
/// slow client must not hold it.
async fn in_turns<T>(
    handshake: impl Future<Output = io::Result<T>>,
    admitted: &Admitted,
    shared: &Shared,
) -> Result<T, Refused> {
    let network = admitted.source().network();
    let mut handshake = pin!(handshake);
    loop {
        let turn = shared.logins.turn(network).await.ok_or(Refused::Busy)?;
        let step = poll_fn(|context| Poll::Ready(handshake.as_mut().poll(context))).await;
        drop(turn);
        if let Poll::Ready(done) = step {
            return Ok(done?);
        }
        // The step has arranged that this task is woken when the client sent more.
        let mut is_woken = false;
        poll_fn(|_| match std::mem::replace(&mut is_woken, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

async fn first_line(
    socket: TcpStream,
    admitted: &Admitted,
    shared: &Shared,
    acceptors: &Acceptors,
) -> Result<Asked, Refused> {
    let acceptor = acceptors.current(shared).ok_or(Refused::Sealed)?;
    let hello = acceptor.client_hello(socket).await?;
    admitted.first_flight_received();
    let handshake = async { hello.answer().await };
    let mut stream = in_turns(handshake, admitted, shared).await?;
    let Some(key) = stream.peer_key()? else {
        return Ok(match enrolling::first_line(&mut stream).await? {
            FirstLine::Enrolment(request) => Asked::Enrolment(Box::new((stream, *request))),
            FirstLine::Registration(request) => Asked::Registration(Box::new((stream, *request))),
        });
    };
    // What follows the line stays in the stream for the reader of operations.
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        if line.len() == MAX_HELLO {
            return Err(BadHello::TooLong.into());
        }
        line.push(stream.read_u8().await?);
    }
    let (hello, upgrade) = match line.starts_with(UPGRADE_START) {
        true => {
            let head = rest_of_head(&mut stream, line).await?;
            let (hello, upgrade) = web_socket::upgrade(&head)?;
            (hello, Some(upgrade))
        }
        false => (Hello::read(&line)?, None),
    };
    Ok(Asked::Session(Box::new(NewConnection {
        stream,
        key,
        hello,
        upgrade,
    })))
}

/// Reads a request for a WebSocket to its empty line.
async fn rest_of_head(
    stream: &mut TlsStream<TcpStream>,
    mut head: Vec<u8>,
) -> Result<Vec<u8>, Refused> {
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_UPGRADE {
            return Err(BadUpgrade::TooLong.into());
        }
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}
