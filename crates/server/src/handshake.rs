//! The handshake of TLS with a client that has not authenticated, and what refuses the client until its first
//! line was read. The same for devices, peers and the HTTP listener.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;

use countersign_core::access::Channel;
use countersign_core::audit::AuditOutcome;
use countersign_core::audit::coalesced::Occurrence;
use countersign_core::lockdown::Activity;
use countersign_core::throttle::Abuse;
use countersign_net::tls::{Acceptor, ClientHello, TlsStream, is_alert, is_incompatible};
use countersign_proto::device::{BadHello, BadUpgrade};
use countersign_proto::enrolment::server::RequestRefused;
use countersign_proto::peer::{BadPeerHello, FirstRefused};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::admission::Admitted;
use crate::clock;
use crate::other_protocol::is_no_tls;
use crate::runtime::shared::Shared;
use crate::tls::acceptors::Acceptors;

/// A connection after its handshake. It is boxed because a future reserves memory for each place to which it
/// moves a value.
pub(crate) type Stream = Box<TlsStream<TcpStream>>;

/// Why a client is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the site is sealed")]
    Sealed,
    #[error("the site is in lockdown")]
    Lockdown,
    #[error("the client sent nothing")]
    SentNothing,
    #[error("the client does not begin with a TLS handshake")]
    OtherProtocol,
    #[error("the client does not verify signatures by the key of the site, as a browser")]
    OtherKey,
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
    fn abuse(&self, admitted: &Admitted) -> Option<Abuse> {
        match self {
            Self::Sealed | Self::Lockdown | Self::Busy | Self::Ended => None,
            // Any page could bring penalties upon the address of its reader.
            Self::SentNothing | Self::OtherProtocol | Self::OtherKey => None,
            Self::TooSlow if !admitted.has_sent() => None,
            Self::TooSlow => Some(Abuse::NotAuthenticated),
            // A device that slept while the site replaced its key does not accept the new one yet.
            Self::Connection(error) if is_alert(error) => Some(Abuse::Refused),
            // As an old browser.
            Self::Connection(error) if is_incompatible(error) => Some(Abuse::Refused),
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

    /// Counts the refusal against the source.
    pub(crate) fn punish(&self, admitted: &Admitted) {
        if let Some(abuse) = self.abuse(admitted) {
            admitted.punish(abuse, clock::now());
        }
    }

    /// Counts the refusal against the source, and in the audit log if the client sent something that
    /// cannot be read.
    pub(crate) fn note(&self, admitted: &Admitted, channel: Channel, shared: &Shared) {
        self.punish(admitted);
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
            | Self::SentNothing
            | Self::OtherProtocol
            | Self::OtherKey
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

/// Waits for what an unauthenticated client has to do first.
pub(crate) async fn in_time<T>(
    work: impl Future<Output = T>,
    evicted: impl Future<Output = ()>,
    shared: &Shared,
) -> Result<T, Refused> {
    let mut stopping = shared.stopping.clone();
    tokio::select! {
        done = timeout(shared.limits().unauthenticated_timeout, work) => {
            done.map_err(|_| Refused::TooSlow)
        }
        () = evicted => Err(Refused::Ended),
        _ = stopping.wait_for(|stopping| *stopping) => Err(Refused::Ended),
    }
}

/// Does a handshake with the certificate of the site key, if a client may do one of these.
pub(crate) async fn answer(
    socket: TcpStream,
    asked_for: [Activity; 2],
    admitted: &Admitted,
    shared: &Shared,
    acceptors: &Acceptors,
) -> Result<Stream, Refused> {
    // Checked before the handshake, which is public-key work.
    if !asked_for
        .into_iter()
        .any(|asked_for| shared.site.permits(asked_for))
    {
        return Err(Refused::Lockdown);
    }
    let acceptor = acceptors.current(&shared.site).ok_or(Refused::Sealed)?;
    let hello = client_hello(socket, admitted, &acceptor).await?;
    admitted.first_flight_received();
    let handshake = async { hello.answer().await };
    Ok(Box::new(in_turns(handshake, admitted, shared).await?))
}

/// Waits for the first message of a handshake, and refuses what a browser sends for a page that names
/// the port, before public-key work.
pub(crate) async fn client_hello(
    socket: TcpStream,
    admitted: &Admitted,
    acceptor: &Acceptor,
) -> Result<ClientHello<TcpStream>, Refused> {
    let mut first = [0];
    let Ok(1) = socket.peek(&mut first).await else {
        return Err(Refused::SentNothing);
    };
    admitted.byte_received();
    if is_no_tls(&first) {
        return Err(Refused::OtherProtocol);
    }
    let hello = acceptor.client_hello(socket).await?;
    match hello.can_verify() {
        true => Ok(hello),
        false => Err(Refused::OtherKey),
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
