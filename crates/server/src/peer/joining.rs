//! Presenting a ticket to another site, and following key events that were slept through.

use std::io;
use std::time::Duration;

use countersign_core::engine::{OwnSide, TransportError};
use countersign_core::id::AccountId;
use countersign_core::store::StoreError;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::site_key::SitePublicKey;
use countersign_net::tls::{ConnectError, Connector, TlsSetupError, TlsStream};
use countersign_proto::peer::{
    AnswerStep, AwaitingAnswer, BadPeerHello, BadWalk, JoinError, JoinedSite, Joining,
    MAX_WALK_LINE, MAX_WALK_PAGE, PeerTicket, WalkReply, WalkRequest,
};
use countersign_proto::site_identity::{KeyEventsError, KnownSite, MAX_KEY_EVENTS, SignedKeyEvent};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::link;
use crate::clock;
use crate::shared::Shared;

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
    #[error("its key events contradict what is known of it")]
    Contradiction,
    #[error(transparent)]
    Connection(#[from] io::Error),
    #[error(transparent)]
    Setup(#[from] TlsSetupError),
    #[error(transparent)]
    Hello(#[from] BadPeerHello),
    #[error(transparent)]
    Walk(#[from] BadWalk),
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

/// Asks a site for its key events from that number on, without a proof: they prove themselves.
async fn key_events(address: &str, from: u64) -> Result<Vec<SignedKeyEvent>, DialError> {
    let mut stream = connect(address, &Connector::any_site()?).await?;
    let asked = WalkRequest {
        key_events_from: from,
    };
    stream.write_all(asked.to_line().as_bytes()).await?;
    stream.flush().await?;
    let line = link::first_line(&mut stream, MAX_WALK_LINE).await?;
    let line = line.ok_or(BadWalk::TooLong)?;
    Ok(WalkReply::read(&line)?.key_events)
}

/// Follows the key events of a peer after the newest known one, page by page, and stores them.
pub(super) async fn follow(
    address: &str,
    known: KnownSite,
    shared: &Shared,
) -> Result<KnownSite, DialError> {
    let mut newest = known;
    for _ in 0..MAX_KEY_EVENTS.div_ceil(MAX_WALK_PAGE) {
        let from = newest.newest().event().number;
        let page = key_events(address, from).await?;
        let followed = shared
            .site
            .follow_key_events(known.id(), &page, clock::now());
        let next = followed.await?.ok_or(DialError::Contradiction)?;
        if next == newest {
            break;
        }
        newest = next;
    }
    match newest == known {
        true => Err(DialError::WrongKey),
        false => Ok(newest),
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
            let events = key_events(&address, 0).await?;
            let turn = turn(own, shared).await?;
            let known = KnownSite::first_contact(ticket.site(), &events)?;
            drop(turn);
            pinned(&address, *known.keys()).await?
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
) -> Result<crate::queue::Turn<Option<AccountId>>, DialError> {
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
