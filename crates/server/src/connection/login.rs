//! Driving the login machine: socket in, look-ups in between, socket out.

use std::net::SocketAddr;
use std::sync::Arc;

use countersign_core::session::{CloseReason, SessionInfo};
use countersign_crypto::entropy::SystemEntropy;
use countersign_proto::operation::Event;
use countersign_proto::session::server::{Login, Proved, Session, Step};
use countersign_proto::session::{Inbox, Refusal, SessionId, Welcome, WireError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use crate::events::Events;
use crate::shared::Shared;

/// How an attempt to log in ended.
pub(super) enum End {
    /// Somebody is proved and has a session.
    Opened(Box<Opened>),
    /// The peer closed the connection in the middle of a login.
    Closed,
    /// The peer closed the connection and had said nothing, as a check of the port does.
    Silent,
    /// The machine refused; the peer is to be told.
    Refused(Refusal),
    /// The site could not serve the peer; it is to be told.
    Told(WireError),
}

/// A session that was just opened.
pub(super) struct Opened {
    pub(super) session: Session,
    pub(super) info: SessionInfo,
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) cut: oneshot::Receiver<CloseReason>,
}

/// Bytes asked of the socket at a time: a whole hybrid flight.
const READ_AT_A_TIME: usize = 2_048;

/// Reads and answers until somebody is proved or the attempt is over.
pub(super) async fn log_in(
    socket: &mut TcpStream,
    peer: SocketAddr,
    inbox: &mut Inbox,
    shared: &Arc<Shared>,
) -> End {
    let mut login: Option<Login> = None;
    let mut out = Vec::new();
    loop {
        match socket.read_buf(inbox.tail(READ_AT_A_TIME)).await {
            Ok(0) | Err(_) if login.is_none() && inbox.is_empty() => return End::Silent,
            Ok(0) | Err(_) => return End::Closed,
            Ok(_) => {}
        }
        let machine = match login.take() {
            Some(machine) => machine,
            None => match shared.login_settings() {
                Some(settings) => Login::new(settings),
                None => return End::Told(WireError::Sealed),
            },
        };
        let step = advance(machine, inbox, &mut out, shared).await;
        if !out.is_empty() && socket.write_all(&out).await.is_err() {
            return End::Closed;
        }
        out.clear();
        match step {
            Ok(Advanced::NeedMore(machine)) => login = Some(machine),
            Ok(Advanced::Proved(proved)) => return open(proved, peer, socket, shared).await,
            Ok(Advanced::Refused) => {
                let _ = socket.shutdown().await;
                return End::Closed;
            }
            Err(Stop::Refusal(refusal)) => return End::Refused(refusal),
            Err(Stop::Told(error)) => return End::Told(error),
        }
    }
}

#[allow(
    clippy::large_enum_variant,
    reason = "the large variant is the common one"
)]
enum Advanced {
    NeedMore(Login),
    Proved(Box<Proved>),
    Refused,
}

enum Stop {
    Refusal(Refusal),
    Told(WireError),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

/// Feeds the machine what arrived, looking accounts up as it asks, until it needs more bytes.
async fn advance(
    mut login: Login,
    inbox: &mut Inbox,
    out: &mut Vec<u8>,
    shared: &Arc<Shared>,
) -> Result<Advanced, Stop> {
    loop {
        // Public-key work waits for one of a few permits, so that a flood of logins leaves time for
        // the sessions that are open.
        let _permit = shared
            .login_permit()
            .await
            .ok_or(Stop::Told(WireError::Busy))?;
        let (step, used) = login.receive(inbox.unread(), out)?;
        inbox.consume(used);
        login = match step {
            Step::NeedMore(login) => return Ok(Advanced::NeedMore(login)),
            Step::Proved(proved) => return Ok(Advanced::Proved(proved)),
            Step::Refused => return Ok(Advanced::Refused),
            Step::FindPerson(find) => {
                let found = shared.person(find.name()).await.map_err(|_| UNAVAILABLE)?;
                find.answer(found.as_ref(), &mut SystemEntropy, out)?
            }
            Step::FindSession(find) => {
                let proved = shared.returning(*find, out)?;
                return Ok(Advanced::Proved(Box::new(proved)));
            }
            Step::FindService(find) => {
                let found = shared
                    .service(find.thumbprint())
                    .await
                    .map_err(|_| UNAVAILABLE)?;
                find.answer(found.as_ref(), &mut SystemEntropy, out)?
            }
        };
        tokio::task::yield_now().await;
    }
}

/// The store is in trouble: its error is in the log, the peer is asked to come again.
const UNAVAILABLE: Stop = Stop::Told(WireError::Busy);
const UNAVAILABLE_END: End = End::Told(WireError::Busy);

/// Opens the session of a proved account, unless the site has second thoughts.
async fn open(
    proved: Box<Proved>,
    peer: SocketAddr,
    socket: &mut TcpStream,
    shared: &Arc<Shared>,
) -> End {
    let (event_sender, events) = Events::channel();
    let (cut_sender, cut) = oneshot::channel();
    let mut out = Vec::new();
    let info = match shared
        .open_session(&proved, peer, event_sender, cut_sender)
        .await
    {
        Ok(Some(info)) => info,
        Ok(None) => {
            // The account was locked or deleted while it logged in.
            let _ = proved.refuse(&mut out);
            let _ = socket.write_all(&out).await;
            return End::Refused(Refusal::NotAuthenticated);
        }
        Err(_) => return UNAVAILABLE_END,
    };
    let welcome = Welcome {
        session: SessionId(*info.id.as_bytes()),
        account: info.name.to_string(),
        expires: u64::try_from(info.expires.millis()).unwrap_or_default(),
        idle_limit: u32::try_from(shared.limits.idle_time.as_millis()).unwrap_or(u32::MAX),
    };
    let session = proved.welcome(&welcome, &mut out);
    if let (Ok(session), Ok(())) = (session, socket.write_all(&out).await) {
        return End::Opened(Box::new(Opened {
            session,
            info,
            events,
            cut,
        }));
    }
    shared.park_session(info, CloseReason::ConnectionLost).await;
    End::Closed
}
