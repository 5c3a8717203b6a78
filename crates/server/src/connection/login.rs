//! Driving the login machine: socket in, look-ups in between, socket out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::guard::{Offence, Source};
use countersign_core::id::SessionId;
use countersign_core::session::{self, CloseReason, SessionInfo};
use countersign_core::site::Decision;
use countersign_core::store::StoreError;
use countersign_crypto::entropy::SystemEntropy;
use countersign_proto::operation::Event;
use countersign_proto::session::limits::UNPROVED_BYTES;
use countersign_proto::session::server::{
    FindDelivered, FromClient, Login, Owner, Proved, Session, Step,
};
use countersign_proto::session::{Goodbye, Inbox, Refusal, Welcome, WireError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use crate::admission::Admitted;
use crate::clock;
use crate::counting::Guess;
use crate::queue::Turn;
use crate::sessions::event_channel;
use crate::shared::{Shared, hook};

/// How an attempt to log in ended.
pub(super) enum End {
    /// Somebody is proved, and wants a session: [`open`] it.
    Proved(Box<Entering>),
    /// A client may come back to its session, once it is [`confirmed`].
    Returning(Box<Returning>),
    /// It showed the session's keys: [`reopen`] it.
    Returned(Box<Returned>),
    /// Somebody is proved and has a session.
    Opened(Box<Opened>),
    /// The peer closed the connection in the middle of a login.
    Closed,
    /// The peer closed the connection and had said nothing, as a check of the port does.
    Silent,
    /// The machine refused; the peer is to be told.
    Refused(Refusal, Offence),
    /// The site could not serve the peer; it is to be told.
    Told(WireError),
    /// The same, and the peer had better not come at once again.
    InVain(WireError),
    /// The peer was told all that there is to say, inside a packet.
    Dismissed,
}

/// Somebody who is proved and has no session yet.
pub(super) struct Entering {
    proved: Box<Proved>,
    /// The name whose pass phrase was proved.
    name: Option<String>,
    guess: Option<Guess>,
    source: Source,
}

/// A client that was answered that it may return to its session.
pub(super) struct Returning {
    session: Session,
    id: SessionId,
    attempt: u64,
}

/// A client that has shown the keys of its session.
pub(super) struct Returned {
    returning: Box<Returning>,
    got: Vec<FromClient>,
}

/// A session that was just opened.
pub(super) struct Opened {
    pub(super) session: Session,
    pub(super) info: SessionInfo,
    pub(super) events: mpsc::Receiver<Arc<Event>>,
    pub(super) cut: oneshot::Receiver<CloseReason>,
    /// What came with the first packets.
    pub(super) got: Vec<FromClient>,
}

/// Bytes asked of the socket at a time: a whole hybrid flight.
const READ_AT_A_TIME: usize = 2_048;

/// An attempt to log in.
pub(super) struct Attempt<'a> {
    admitted: &'a Admitted,
    source: Source,
    shared: &'a Arc<Shared>,
    /// Whose pass phrase is being proved.
    name: Option<String>,
    /// Whether it is a return to a session.
    returns: bool,
    /// Until it is proved: what has failed otherwise.
    guess: Option<Guess>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(admitted: &'a Admitted, shared: &'a Arc<Shared>) -> Self {
        Self {
            admitted,
            source: admitted.source(),
            shared,
            name: None,
            returns: false,
            guess: None,
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
                    return End::Proved(Box::new(Entering {
                        proved,
                        name: self.name,
                        guess: self.guess,
                        source: self.source,
                    }));
                }
                Ok(Advanced::Returning(returning)) => return End::Returning(returning),
                Ok(Advanced::Refused) => {
                    let _ = socket.shutdown().await;
                    return End::Closed;
                }
                Err(Stop::Refusal(refusal)) => {
                    let offence = match refusal {
                        Refusal::NotAuthenticated if self.returns => Offence::InVain,
                        Refusal::NotAuthenticated => Offence::NotProved,
                        _ => Offence::Malformed,
                    };
                    return End::Refused(refusal, offence);
                }
                Err(Stop::Told(error)) => return End::Told(error),
                Err(Stop::InVain) => return End::InVain(WireError::Busy),
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
                    self.admitted.heard();
                    self.slow_down(find.name().to_string(), socket).await?;
                    let found = self.in_its_time(shared.person(find.name())).await?;
                    let _turn = self.turn().await?;
                    find.answer(found.as_ref(), &mut SystemEntropy, out)?
                }
                Step::FindDelivered(find) => {
                    drop(turn);
                    self.admitted.heard();
                    self.delivered(*find, socket, out).await?
                }
                Step::FindSession(find) => {
                    self.returns = true;
                    self.admitted.heard();
                    let (proved, info, attempt) = shared.returning(*find, out)?;
                    let mut session = proved.welcome(&welcome(&info, shared), out)?;
                    session.set_longest_params(shared.limits().params_bytes);
                    return Ok(Advanced::Returning(Box::new(Returning {
                        session,
                        id: info.id,
                        attempt,
                    })));
                }
                Step::FindService(find) => {
                    drop(turn);
                    self.admitted.heard();
                    self.begins(format!("key {}", find.thumbprint()), socket);
                    let found = self.in_its_time(shared.service(find.thumbprint())).await?;
                    let _turn = self.turn().await?;
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
                self.begins(format!("key {thumbprint}"), socket);
                let found = self.in_its_time(shared.service(&thumbprint)).await?;
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
        let given = tokio::time::sleep(self.shared.limits().look_up_time);
        let (found, ()) = tokio::join!(look_up, given);
        found.map_err(|_| UNAVAILABLE)
    }

    /// Waits for its source's turn to do public-key work.
    async fn turn(&self) -> Result<Turn, Stop> {
        let turn = self.shared.logins.turn(self.source.network()).await;
        turn.ok_or(Stop::Told(WireError::Busy))
    }

    /// A login with that name or key is answered from here on: unless it is proved, it failed.
    fn begins(&mut self, name: String, socket: &TcpStream) {
        // Without an address the connection is gone, and nothing is answered.
        if let (None, Ok(peer)) = (&self.guess, socket.peer_addr()) {
            let shared = self.shared.clone();
            self.guess = Some(Guess::new(shared, peer.ip(), self.source, name));
        }
    }

    /// Counts a guess at a name and waits for as long as it has to; holds nobody up meanwhile.
    async fn slow_down(&mut self, name: String, socket: &TcpStream) -> Result<(), Stop> {
        let wait = {
            let mut guesses = self.shared.site.guard().guesses();
            guesses.attempt(&name, self.source, clock::now())
        };
        let wait = wait.map_err(|_| Stop::InVain)?;
        self.name = Some(name.clone());
        self.begins(name.clone(), socket);
        if wait == 0 {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(wait)) => Ok(()),
            () = closed(socket) => {
                self.shared.site.guard().guesses().left(&name, self.source);
                Err(Stop::Closed)
            }
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
    Returning(Box<Returning>),
    Refused,
}

enum Stop {
    Refusal(Refusal),
    Told(WireError),
    /// Too many logins of this name are under way.
    InVain,
    Closed,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

/// The store is in trouble: its error is in the log, the peer is asked to come again.
const UNAVAILABLE: Stop = Stop::Told(WireError::Busy);

/// Waits for the first packet of a client that returns: before that opens, what was answered may be what
/// somebody had recorded. Nothing is said in the clear any more, and none of it is an offence: a line that is
/// lost again is nobody's fault.
pub(super) async fn confirmed(
    mut returning: Box<Returning>,
    socket: &mut TcpStream,
    inbox: &mut Inbox,
) -> End {
    let mut got = Vec::new();
    loop {
        let now = u64::try_from(clock::now().millis()).unwrap_or_default();
        match returning.session.receive(now, inbox.unread(), &mut got) {
            // Nobody has shown anything yet: a packet that is to come is no reason to keep more.
            Ok(0) if inbox.len() > UNPROVED_BYTES => return End::Dismissed,
            Ok(0) => {}
            Ok(used) => {
                inbox.consume(used);
                return End::Returned(Box::new(Returned { returning, got }));
            }
            Err(refusal) => {
                debug!(%refusal, "the first packet of a return does not open");
                return End::Dismissed;
            }
        }
        match socket.read_buf(inbox.tail(READ_AT_A_TIME)).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return End::Dismissed,
        }
    }
}

fn welcome(info: &SessionInfo, shared: &Shared) -> Welcome {
    Welcome {
        session: countersign_proto::session::SessionId(*info.id.as_bytes()),
        account: info.name.to_string(),
        expires: u64::try_from(info.expires.millis()).unwrap_or_default(),
        idle_limit: u32::try_from(shared.limits().idle_time.as_millis()).unwrap_or(u32::MAX),
    }
}

/// Opens the session of a proved account, unless the site has second thoughts. Must not be dropped half way:
/// a session that no connection holds would stay open.
pub(super) async fn open(
    entering: Box<Entering>,
    peer: SocketAddr,
    socket: &mut TcpStream,
    shared: &Arc<Shared>,
) -> End {
    let Entering {
        proved,
        name,
        source,
        guess,
    } = *entering;
    let (event_sender, events) = event_channel();
    let (cut_sender, cut) = oneshot::channel();
    let mut out = Vec::new();
    let decision = shared
        .open_session(&proved, peer, event_sender, cut_sender)
        .await;
    if let (Some(guess), false) = (guess, matches!(decision, Ok(Decision::Refused))) {
        guess.succeeded();
    }
    // Whoever finds no room, or trouble, has proved the pass phrase all the same.
    if let (Some(name), false) = (&name, matches!(decision, Ok(Decision::Refused))) {
        let mut guesses = shared.site.guard().guesses();
        guesses.succeeded(name, source, clock::now());
    }
    let error = match decision {
        Ok(Decision::Opened(info)) => {
            let session = proved.welcome(&welcome(&info, shared), &mut out);
            if let (Ok(session), Ok(())) = (session, socket.write_all(&out).await) {
                return End::Opened(Box::new(Opened {
                    session,
                    info,
                    events,
                    cut,
                    got: Vec::new(),
                }));
            }
            shared.park_session(info, CloseReason::ConnectionLost).await;
            return End::Dismissed;
        }
        // The account is locked, or was deleted while it logged in.
        Ok(Decision::Refused) => WireError::NotAuthenticated,
        Ok(Decision::TooMany) | Err(_) => WireError::Busy,
    };
    // There are keys: nothing is said in the clear any more.
    if proved.refuse(error, &mut out).is_ok() {
        let _ = socket.write_all(&out).await;
    }
    let _ = socket.shutdown().await;
    End::Dismissed
}

/// Gives a session its new connection, unless it is over meanwhile. Must not be dropped half way, as [`open`].
pub(super) async fn reopen(
    returned: Box<Returned>,
    peer: SocketAddr,
    socket: &mut TcpStream,
    shared: &Arc<Shared>,
) -> End {
    let Returned { returning, got } = *returned;
    let Returning {
        mut session,
        id,
        attempt,
    } = *returning;
    let (event_sender, events) = event_channel();
    let (cut_sender, cut) = oneshot::channel();
    let returning = session::Returning {
        attempt,
        option: session.option(),
        peer: peer.to_string(),
        cut: hook(cut_sender),
    };
    let resumed = shared.reopen_session(id, returning, event_sender).await;
    if let Ok(Some(info)) = resumed {
        return End::Opened(Box::new(Opened {
            session,
            info,
            events,
            cut,
            got,
        }));
    }
    let mut out = Vec::new();
    let said = session
        .send_goodbye(Goodbye::Cut)
        .and_then(|()| session.flush(&mut out));
    if said.is_ok() {
        let _ = socket.write_all(&out).await;
    }
    let _ = socket.shutdown().await;
    End::Dismissed
}
