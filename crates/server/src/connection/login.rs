//! Driving the login machine: socket in, look-ups in between, socket out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::guard::Source;
use countersign_core::session::{CloseReason, SessionInfo};
use countersign_core::store::StoreError;
use countersign_crypto::entropy::SystemEntropy;
use countersign_proto::operation::Event;
use countersign_proto::session::server::{FindDelivered, Login, Owner, Proved, Session, Step};
use countersign_proto::session::{Inbox, Refusal, SessionId, Welcome, WireError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use crate::clock;
use crate::events::Events;
use crate::queue::Turn;
use crate::shared::Shared;

/// How an attempt to log in ended.
pub(super) enum End {
    /// Somebody is proved, and wants a session: [`open`] it.
    Proved(Box<Proved>),
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
    pub(super) events: mpsc::Receiver<Arc<Event>>,
    pub(super) cut: oneshot::Receiver<CloseReason>,
}

/// Bytes asked of the socket at a time: a whole hybrid flight.
const READ_AT_A_TIME: usize = 2_048;

/// An attempt to log in.
pub(super) struct Attempt<'a> {
    source: Source,
    shared: &'a Arc<Shared>,
    /// Whose pass phrase is being proved.
    name: Option<String>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(source: Source, shared: &'a Arc<Shared>) -> Self {
        Self {
            source,
            shared,
            name: None,
        }
    }

    /// Reads and answers until somebody is proved or the attempt is over.
    pub(super) async fn log_in(mut self, socket: &mut TcpStream, inbox: &mut Inbox) -> End {
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
                None => match self.shared.login_settings() {
                    Some(settings) => Login::new(settings),
                    None => return End::Told(WireError::Sealed),
                },
            };
            let step = self.advance(machine, inbox, socket, &mut out).await;
            if !out.is_empty() && socket.write_all(&out).await.is_err() {
                return End::Closed;
            }
            out.clear();
            match step {
                Ok(Advanced::NeedMore(machine)) => login = Some(machine),
                Ok(Advanced::Proved(proved)) => {
                    if let Some(name) = &self.name {
                        let mut guesses = self.shared.site.guard().guesses();
                        guesses.succeeded(name, self.source, clock::now());
                    }
                    return End::Proved(proved);
                }
                Ok(Advanced::Refused) => {
                    let _ = socket.shutdown().await;
                    return End::Closed;
                }
                Err(Stop::Refusal(refusal)) => return End::Refused(refusal),
                Err(Stop::Told(error)) => return End::Told(error),
                Err(Stop::Closed) => return End::Closed,
            }
        }
    }

    /// Feeds the machine what arrived, looking accounts up as it asks, until it needs more bytes.
    async fn advance(
        &mut self,
        mut login: Login,
        inbox: &mut Inbox,
        socket: &TcpStream,
        out: &mut Vec<u8>,
    ) -> Result<Advanced, Stop> {
        let shared = self.shared;
        loop {
            // Public-key work waits for its source's turn, so that a flood of logins leaves time for those
            // of others and for the sessions that are open.
            let turn = self.turn().await?;
            let (step, used) = login.receive(inbox.unread(), out)?;
            inbox.consume(used);
            login = match step {
                Step::NeedMore(login) => return Ok(Advanced::NeedMore(login)),
                Step::Proved(proved) => return Ok(Advanced::Proved(proved)),
                Step::Refused => return Ok(Advanced::Refused),
                Step::FindPerson(find) => {
                    drop(turn);
                    self.slow_down(find.name().to_string(), socket).await?;
                    let found = self.in_its_time(shared.person(find.name())).await?;
                    let _turn = self.turn().await?;
                    find.answer(found.as_ref(), &mut SystemEntropy, out)?
                }
                Step::FindDelivered(find) => {
                    drop(turn);
                    self.delivered(*find, socket, out).await?
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

    /// Answers with the option `delivered-key`.
    async fn delivered(
        &mut self,
        find: FindDelivered,
        socket: &TcpStream,
        out: &mut Vec<u8>,
    ) -> Result<Login, Stop> {
        let shared = self.shared;
        let entropy = &mut SystemEntropy;
        match find.owner().clone() {
            Owner::Person(name) => {
                self.slow_down(name.to_string(), socket).await?;
                let found = self.in_its_time(shared.delivered(&name)).await?;
                let _turn = self.turn().await?;
                Ok(find.answer_person(found.as_ref(), entropy, out)?)
            }
            Owner::Service(thumbprint) => {
                let found = shared.service(&thumbprint).await.map_err(|_| UNAVAILABLE)?;
                let _turn = self.turn().await?;
                Ok(find.answer_service(found.as_ref(), entropy, out)?)
            }
        }
    }

    /// Looks a name up, and lets it take the time that it takes for every name.
    async fn in_its_time<T>(
        &self,
        look_up: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, Stop> {
        let given = tokio::time::sleep(self.shared.limits.look_up_time);
        let (found, ()) = tokio::join!(look_up, given);
        found.map_err(|_| UNAVAILABLE)
    }

    /// Waits for its source's turn to do public-key work.
    async fn turn(&self) -> Result<Turn, Stop> {
        let turn = self.shared.logins.turn(self.source).await;
        turn.ok_or(Stop::Told(WireError::Busy))
    }

    /// Counts a guess at a name and waits for as long as it has to; holds nobody up meanwhile.
    async fn slow_down(&mut self, name: String, socket: &TcpStream) -> Result<(), Stop> {
        let wait = {
            let mut guesses = self.shared.site.guard().guesses();
            guesses.attempt(&name, self.source, clock::now())
        };
        self.name = Some(name);
        if wait == 0 {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(wait)) => Ok(()),
            () = closed(socket) => Err(Stop::Closed),
        }
    }
}

/// Waits until the peer closes the connection; for ever when it says something more.
async fn closed(socket: &TcpStream) {
    if !matches!(socket.peek(&mut [0]).await, Ok(0) | Err(_)) {
        std::future::pending::<()>().await;
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
    Closed,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

/// The store is in trouble: its error is in the log, the peer is asked to come again.
const UNAVAILABLE: Stop = Stop::Told(WireError::Busy);
const UNAVAILABLE_END: End = End::Told(WireError::Busy);

/// Opens the session of a proved account, unless the site has second thoughts. Must not be dropped half way:
/// a session that no connection holds would stay open.
pub(super) async fn open(
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
