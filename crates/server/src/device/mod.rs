//! The device port: enrolment and device connections over TLS (`docs/protocol/device.md`).
//!
//! ```text
//! admitted --> TLS --no client certificate--> [key events] enrolment ---> closed
//!               '---- client certificate ----> first line, or request --> session --> closed
//! ```
//!
//! Every refusal is the same: no reply, and the connection is closed after the refusal time.

mod device_session;
mod enrolling;
mod new_connection;
mod registering;
mod sealed;
mod stream;
mod web_socket;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use countersign_core::access::Channel;
use countersign_core::audit::AuditOutcome;
use countersign_core::audit::coalesced::Occurrence;
use countersign_core::engine::RegistrationOrigin;
use countersign_core::lockdown::Activity;
use countersign_core::throttle::Abuse;
use countersign_net::listener::{self, Access, Connections, DescriptorReserve};
use countersign_net::tls::{TlsStream, is_alert};
use countersign_proto::device::{
    BadHello, BadUpgrade, Hello, MAX_HELLO, MAX_UPGRADE, UPGRADE_START, UpgradeRequest,
};
use countersign_proto::enrolment::Request;
use countersign_proto::enrolment::passphrase::RegistrationRequest;
use countersign_proto::enrolment::server::RequestRefused;
use countersign_proto::peer::{BadPeerHello, FirstRefused};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tracing::{debug, error};

use self::enrolling::FirstLine;
use self::new_connection::NewConnection;
pub(crate) use self::sealed::serve as serve_sealed;
use crate::admission::{Admission, Admitted};
use crate::clock;
use crate::runtime::shared::Shared;
use crate::tls::acceptors::Acceptors;

/// Accepts the connections of devices until the listener fails.
pub(crate) async fn accept(
    listener: TcpListener,
    room: Arc<DescriptorReserve>,
    connections: Connections,
    shared: Arc<Shared>,
    clients: Arc<Admission>,
) -> io::Result<Infallible> {
    let acceptors = Arc::new(Acceptors::default());
    let cached = acceptors.clone();
    shared.add_cache(move || cached.clear());
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

/// A connection after its handshake. It is boxed because a future reserves memory for each place to which it
/// moves a value.
type Stream = Box<TlsStream<TcpStream>>;

/// What a client asks for, after the handshake.
enum Asked {
    Enrolment(Stream, Box<Request>),
    Registration(Stream, Box<RegistrationRequest>),
    Session(Box<NewConnection>),
}

/// Why a client is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the site is sealed")]
    Sealed,
    #[error("the site is in lockdown")]
    Lockdown,
    #[error("too many handshakes are waiting")]
    Busy,
    #[error("the client took too long")]
    TooSlow,
    #[error("the connection was evicted or the server stops")]
    Ended,
    #[error("the connection failed: {0}")]
    Connection(#[from] io::Error),
    #[error(transparent)]
    Request(#[from] RequestRefused),
    #[error(transparent)]
    First(#[from] FirstRefused),
    #[error(transparent)]
    PeerHello(#[from] BadPeerHello),
    #[error(transparent)]
    Hello(#[from] BadHello),
    #[error(transparent)]
    Upgrade(#[from] BadUpgrade),
    #[error("a device cannot be enrolled over a sealed channel")]
    NotRegistration,
}

impl Refused {
    /// The abuse that counts against the source.
    pub(crate) fn abuse(&self) -> Option<Abuse> {
        match self {
            Self::Sealed | Self::Lockdown | Self::Busy | Self::Ended => None,
            Self::TooSlow => Some(Abuse::NotAuthenticated),
            // A device that slept while the site replaced its key does not accept the new one yet.
            Self::Connection(error) if is_alert(error) => Some(Abuse::Refused),
            Self::Connection(error) if error.kind() == io::ErrorKind::InvalidData => {
                Some(Abuse::Malformed)
            }
            Self::Connection(_) => Some(Abuse::Refused),
            Self::Request(RequestRefused::OnlyKeyEvents) => Some(Abuse::Refused),
            Self::Request(_)
            | Self::First(_)
            | Self::PeerHello(_)
            | Self::Hello(_)
            | Self::Upgrade(_)
            | Self::NotRegistration => Some(Abuse::Malformed),
        }
    }

    /// Counts the refusal against the source, and in the audit log if the client sent something that
    /// cannot be read.
    pub(crate) fn note(&self, admitted: &Admitted, channel: Channel, shared: &Shared) {
        if let Some(abuse) = self.abuse() {
            admitted.punish(abuse, clock::now());
        }
        if let Some(what) = self.malformed() {
            note_malformed(what, admitted, channel, shared);
        }
    }

    /// What the client sent that cannot be read.
    const fn malformed(&self) -> Option<&'static str> {
        match self {
            Self::Request(RequestRefused::OnlyKeyEvents) => None,
            Self::Request(_) | Self::First(_) | Self::NotRegistration => Some("request"),
            Self::Hello(_) | Self::PeerHello(_) => Some("hello"),
            Self::Upgrade(_) => Some("upgrade"),
            Self::Sealed
            | Self::Lockdown
            | Self::Busy
            | Self::TooSlow
            | Self::Ended
            | Self::Connection(_) => None,
        }
    }
}

/// Counts what cannot be read for the audit log.
pub(crate) fn note_malformed(
    what: &'static str,
    admitted: &Admitted,
    channel: Channel,
    shared: &Shared,
) {
    let operation = match channel {
        Channel::Peer => "peer.malformed",
        _ => "device.malformed",
    };
    let malformed =
        Occurrence::of_source(admitted.source(), channel, operation, AuditOutcome::Failed);
    shared.note(malformed.with("what", what));
}

/// Serves one connection until it ends.
///
/// The handshake, the opening and the session are boxed separately: the memory of one is freed before the
/// next begins, so that an idle connection needs little memory.
async fn serve(
    socket: TcpStream,
    peer: SocketAddr,
    mut admitted: Admitted,
    shared: Arc<Shared>,
    acceptors: Arc<Acceptors>,
) {
    let began = Instant::from_std(clock::monotonic());
    let mut evicted = Box::pin(admitted.evicted());
    let asked = Box::pin(ask(socket, &admitted, &mut evicted, &shared, &acceptors)).await;
    match asked {
        Ok(Asked::Enrolment(stream, request)) => {
            Box::pin(enrolling::enrol(stream, &request, &admitted, &shared)).await;
        }
        Ok(Asked::Registration(stream, request)) => {
            let origin = RegistrationOrigin::device(admitted.source());
            match stream.enrolment_exporter() {
                Ok(exporter) => {
                    let dialog = registering::register(
                        stream, &exporter, &request, origin, evicted, &shared,
                    );
                    Box::pin(dialog).await;
                }
                Err(problem) => error!(%problem, "a TLS connection has no exporter"),
            }
        }
        Ok(Asked::Session(new)) => {
            drop(evicted);
            let opened = Box::pin(new.open(peer, admitted, &shared)).await;
            if let Some(session) = opened {
                Box::pin(session.serve(&shared)).await;
            }
        }
        Err(refused) => {
            debug!(%peer, %refused, "refused on the device port");
            refused.note(&admitted, Channel::Device, &shared);
            if !matches!(refused, Refused::Ended) {
                tokio::time::sleep_until(began + shared.limits().refusal_time).await;
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
pub(crate) async fn in_turns<T>(
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
    // Checked before the handshake, which is public-key work.
    let asked_for = [Activity::DeviceEnrolment, Activity::DeviceConnection];
    if !asked_for
        .into_iter()
        .any(|asked_for| shared.site.permits(asked_for))
    {
        return Err(Refused::Lockdown);
    }
    let acceptor = acceptors.current(&shared.site).ok_or(Refused::Sealed)?;
    let hello = acceptor.client_hello(socket).await?;
    admitted.first_flight_received();
    let handshake = async { hello.answer().await };
    let mut stream = Box::new(in_turns(handshake, admitted, shared).await?);
    let Some(key) = stream.peer_key()? else {
        let line = enrolling::first_line(&mut stream, shared).await;
        return Ok(match late(line, shared).await? {
            FirstLine::Enrolment(request) => Asked::Enrolment(stream, request),
            FirstLine::Registration(request) => Asked::Registration(stream, request),
        });
    };
    let line = hello_line(&mut stream).await;
    let (hello, web_socket) = late(line, shared).await?;
    Ok(Asked::Session(Box::new(NewConnection {
        stream,
        key,
        hello,
        web_socket,
    })))
}

/// The result of reading a first line. A refusal is returned after the time for refusals: when the caller
/// drops the stream, the connection closes.
async fn late<T, E: Into<Refused>>(line: Result<T, E>, shared: &Shared) -> Result<T, Refused> {
    if line.is_err() {
        tokio::time::sleep(shared.limits().refusal_time).await;
    }
    line.map_err(Into::into)
}

/// Reads the line of a device, or its request for a WebSocket, of which the key is returned. What follows stays
/// in the stream for the reader of operations.
async fn hello_line(stream: &mut Stream) -> Result<(Hello, Option<String>), Refused> {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        if line.len() == MAX_HELLO {
            return Err(BadHello::TooLong.into());
        }
        line.push(stream.read_u8().await?);
    }
    if line.starts_with(UPGRADE_START) {
        let head = rest_of_head(stream, line).await?;
        let upgrade = UpgradeRequest::read(&head)?;
        return Ok((upgrade.hello, Some(upgrade.key)));
    }
    Ok((Hello::read(&line)?, None))
}

/// Reads a request for a WebSocket to its empty line.
async fn rest_of_head(stream: &mut Stream, mut head: Vec<u8>) -> Result<Vec<u8>, Refused> {
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_UPGRADE {
            return Err(BadUpgrade::TooLong.into());
        }
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}
