//! Presenting a ticket to another site, and following key events that were slept through.

use std::io;
use std::time::Duration;

use countersign_core::engine::{FollowedEvents, OwnSide, PeerProblem, TransportError};
use countersign_core::id::AccountId;
use countersign_core::store::StoreError;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::site_key::SitePublicKey;
use countersign_net::tls::{ConnectError, Connector, TlsSetupError, TlsStream};
use countersign_proto::peer::{
    AnswerStep, AwaitingAnswer, BadPeerHello, JoinError, JoinedSite, Joining, PeerTicket,
};
use countersign_proto::site_identity::{
    KeyEventWalk, KeyEventsError, KeyEventsRequest, KnownSite, MAX_KEY_EVENTS_LINE, WalkStep,
    events_of_page,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::link;
use crate::clock;
use crate::runtime::shared::Shared;

/// The time for the whole dialog.
const DIALOG: Duration = Duration::from_secs(30);
/// Bytes read from the stream at a time.
const READ_SIZE: usize = 4 * 1_024;

/// Why a peer cannot be reached.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("it did not reply in time")]
    TooSlow,
    #[error("it proves another key than its newest known one, and no key event explains it")]
    WrongKey,
    #[error("it did not accept this site: it does not know it, or has suspended or removed it")]
    Refused,
    #[error("it is no active peer, or its key events contradict what is known of it")]
    Contradiction,
    #[error("this site followed as many new keys of it as it may for now")]
    TooManyKeys,
    #[error(transparent)]
    Connection(#[from] io::Error),
    #[error(transparent)]
    Setup(#[from] TlsSetupError),
    #[error(transparent)]
    Hello(#[from] BadPeerHello),
    #[error(transparent)]
    Events(#[from] KeyEventsError),
    #[error(transparent)]
    Join(#[from] JoinError),
    #[error("this site is sealed")]
    Sealed,
    #[error("this site has too much public-key work")]
    Busy,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DialError {
    /// The problem with the peer; `None` if it is one of this site.
    pub(super) fn of_peer(&self) -> Option<PeerProblem> {
        let why = self.to_string();
        Some(match self {
            Self::TooSlow | Self::Connection(_) | Self::Setup(_) => {
                PeerProblem::Unreachable { why }
            }
            Self::WrongKey => PeerProblem::OtherKey,
            Self::Refused => PeerProblem::NotAccepted,
            Self::Contradiction | Self::Events(_) => PeerProblem::KeyEvents,
            Self::Hello(_) | Self::Join(_) => PeerProblem::Malformed { why },
            // Recorded when the events were not followed.
            Self::TooManyKeys => return None,
            Self::Sealed | Self::Busy | Self::Store(_) => return None,
        })
    }
}

/// Connects to an address.
pub(super) async fn connect(
    address: &str,
    connector: &Connector,
) -> Result<TlsStream<TcpStream>, DialError> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    connector
        .connect(socket)
        .await
        .map_err(|error| match error {
            ConnectError::WrongSite => DialError::WrongKey,
            ConnectError::Io(cause) => cause.into(),
        })
}

/// Asks a site for a page of its key events from that number on, over a connection of its own. The
/// site proves some key only; the events prove themselves.
async fn key_events(address: &str, from: u64) -> Result<Vec<u8>, DialError> {
    let mut stream = connect(address, &Connector::any_site()?).await?;
    stream.write_all(&KeyEventsRequest(from).to_line()).await?;
    stream.flush().await?;
    let line = link::first_line(&mut stream, MAX_KEY_EVENTS_LINE).await?;
    let line = line.ok_or(KeyEventsError::Malformed)?;
    Ok(KeyEventsRequest::read_answer(&line)?)
}

/// Follows the key events of a peer after the newest known one, page by page, and stores them.
pub(super) async fn follow(
    address: &str,
    known: KnownSite,
    shared: &Shared,
) -> Result<KnownSite, DialError> {
    let mut walk = KeyEventWalk::from_known(known);
    loop {
        let page = key_events(address, walk.wanted()).await?;
        store(known, &page, shared).await?;
        walk = match walk.receive(&page) {
            Ok(WalkStep::More(more)) => more,
            // Without an event after the known one, the other end has not that peer's key.
            Ok(WalkStep::Done(newest)) if newest == known => return Err(DialError::WrongKey),
            Ok(WalkStep::Done(newest)) => return Ok(newest),
            Err(error @ KeyEventsError::Fork { number }) => {
                // The event itself shows whether the peer's key made it.
                let page = key_events(address, number).await?;
                let stored = store(known, &page, shared).await;
                let first = match number {
                    0 => page,
                    _ => key_events(address, 0).await?,
                };
                if !is_of(known, &first)? {
                    return Err(DialError::WrongKey);
                }
                stored?;
                return Err(error.into());
            }
            Err(error) => return Err(error.into()),
        };
    }
}

/// Whether a page from event 0 on is that of the site, and not of another one at its address.
fn is_of(known: KnownSite, first: &[u8]) -> Result<bool, DialError> {
    let events = events_of_page(first)?;
    let site = events.first().and_then(|event| event.event().site_id());
    Ok(site == Some(known.id()))
}

/// Stores the key events of a page that follow the newest known one.
async fn store(known: KnownSite, page: &[u8], shared: &Shared) -> Result<(), DialError> {
    let events = events_of_page(page)?;
    let followed = shared
        .site
        .follow_key_events(known.id(), &events, clock::now());
    match followed.await? {
        FollowedEvents::Known(_) => Ok(()),
        FollowedEvents::TooOften => Err(DialError::TooManyKeys),
        FollowedEvents::Refused => Err(DialError::Contradiction),
    }
}

/// The newest key of the site that had the key of a ticket.
async fn newest_key(
    address: &str,
    ticket: &PeerTicket,
    own: &OwnSide,
    shared: &Shared,
) -> Result<SitePublicKey, DialError> {
    let mut walk = KeyEventWalk::first_contact(ticket.site().signing);
    loop {
        let page = key_events(address, walk.wanted()).await?;
        let turn = turn(own, shared).await?;
        let step = walk.receive(&page)?;
        drop(turn);
        match step {
            WalkStep::More(more) => walk = more,
            WalkStep::Done(known) => return Ok(*known.keys()),
        }
    }
}

/// Presents a ticket to the site that issued it.
pub(super) async fn join(
    ticket: &PeerTicket,
    own: &OwnSide,
    shared: &Shared,
) -> Result<JoinedSite, TransportError> {
    let joined = timeout(DIALOG, present(ticket, own, shared)).await;
    joined
        .unwrap_or(Err(DialError::TooSlow))
        .map_err(|error| match error {
            DialError::WrongKey
            | DialError::Contradiction
            | DialError::Events(_)
            | DialError::Join(
                JoinError::Refused
                | JoinError::Answer(_)
                | JoinError::Events(_)
                | JoinError::AnotherKey
                | JoinError::Key(_),
            ) => TransportError::Refused(error.to_string()),
            _ => TransportError::Unreachable(error.to_string()),
        })
}

async fn present(
    ticket: &PeerTicket,
    own: &OwnSide,
    shared: &Shared,
) -> Result<JoinedSite, DialError> {
    let keys = shared.site.unsealed_keys().ok_or(DialError::Sealed)?;
    let address = format!("{}:{}", ticket.host(), ticket.port());
    let (mut stream, proven) = match pinned(&address, *ticket.site()).await {
        Err(DialError::WrongKey) => {
            // The key may have been replaced since the ticket was issued.
            let newest = newest_key(&address, ticket, own, shared).await?;
            pinned(&address, newest).await?
        }
        connected => connected?,
    };
    let events = shared.site.key_events();
    let joining = Joining {
        id: &own.id,
        host: &own.host,
        port: own.port,
        events: &events,
    };
    let exporter = stream.enrolment_exporter()?;
    let working = turn(own, shared).await?;
    let (mut waiting, line) = AwaitingAnswer::start(
        ticket,
        proven,
        &joining,
        &keys.key,
        &exporter,
        &mut SystemEntropy,
    )?;
    drop(working);
    // The other site may close at once; what follows from it is found when the answer is read.
    let _ = stream.write_all(&line).await;
    let _ = stream.flush().await;
    loop {
        let room = waiting.room().min(READ_SIZE);
        let mut bytes = Vec::with_capacity(room);
        let read = (&mut stream).take(room as u64).read_buf(&mut bytes).await;
        match read {
            Ok(0) | Err(_) => return Err(waiting.closed().into()),
            Ok(_) => {
                // The end of the line is followed by the verification of its key events.
                let working = match bytes.contains(&b'\n') {
                    true => Some(turn(own, shared).await?),
                    false => None,
                };
                let step = waiting.receive(&bytes)?;
                drop(working);
                match step {
                    AnswerStep::More(more) => waiting = more,
                    AnswerStep::Joined(joined) => return Ok(joined),
                }
            }
        }
    }
}

/// Waits for a turn at public-key work. It is held for the work alone, never while the other site is
/// waited for: a site that does not answer would hold up the work of all accounts.
async fn turn(
    own: &OwnSide,
    shared: &Shared,
) -> Result<crate::runtime::queue::Turn<Option<AccountId>>, DialError> {
    let turn = shared.operations.turn(Some(own.account)).await;
    turn.ok_or(DialError::Busy)
}

async fn pinned(
    address: &str,
    key: SitePublicKey,
) -> Result<(TlsStream<TcpStream>, SitePublicKey), DialError> {
    let connector = Connector::new(key.signing, None)?;
    Ok((connect(address, &connector).await?, key))
}
