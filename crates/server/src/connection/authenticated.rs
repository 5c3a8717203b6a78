//! What an authenticated client gets: a session of its own, or the one that it resumes.
//!
//! Opening and resuming must not be dropped half way: a session that no connection holds would stay open.

use std::net::SocketAddr;
use std::sync::Arc;

use countersign_core::accounts::CredentialId;
use countersign_core::engine::Decision;
use countersign_core::id::SessionId;
use countersign_core::sessions::{CloseReason, Resume, SessionInfo};
use countersign_core::throttle::{Abuse, Source};
use countersign_proto::session::limits::UNAUTHENTICATED_BYTES;
use countersign_proto::session::server::{self, FindSession, FromClient};
use countersign_proto::session::{Goodbye, Inbox, SessionRefusal, Welcome, WireError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tracing::debug;

use super::attempt::READ_AT_A_TIME;
use super::closed::Closed;
use super::session::{Session, Signals};
use crate::clock;
use crate::counting::Guess;
use crate::sessions::event_channel;
use crate::shared::{Shared, hook};

/// A client whose login attempt succeeded.
pub(super) enum Authenticated {
    /// It wants a session: [`Login::open`] it.
    Login(Box<Login>),
    /// It wants a session back: once that is confirmed, [`Resuming::resume`] it.
    Resuming(Box<Resuming>),
}

/// A client that logged in and has no session yet.
pub(super) struct Login {
    pub(super) authenticated: Box<server::Authenticated>,
    /// The name whose pass phrase was proved.
    pub(super) name: Option<String>,
    /// The credential that it was proved with.
    pub(super) credential: Option<CredentialId>,
    pub(super) guess: Option<Guess>,
    pub(super) source: Source,
}

/// A client that was answered that it may resume its session.
pub(super) struct Resuming {
    session: server::ServerSession,
    id: SessionId,
    attempt: u64,
    /// What came with its first packet.
    got: Vec<FromClient>,
}

impl Login {
    /// Opens the session, unless the site has second thoughts.
    pub(super) async fn open(
        self: Box<Self>,
        peer: SocketAddr,
        socket: &mut TcpStream,
        inbox: Inbox,
        shared: &Arc<Shared>,
    ) -> Result<Box<Session>, Closed> {
        let Self {
            authenticated,
            name,
            credential,
            source,
            guess,
        } = *self;
        let (event_sender, events) = event_channel();
        let (cut_sender, cut) = oneshot::channel();
        let mut out = Vec::new();
        let decision = shared
            .open_session(&authenticated, credential, peer, event_sender, cut_sender)
            .await;
        // A client that finds no room, or trouble, has proved the pass phrase all the same.
        if !matches!(decision, Ok(Decision::Refused)) {
            if let Some(guess) = guess {
                guess.succeeded();
            }
            if let Some(name) = &name {
                let mut logins = shared.site.throttle().logins();
                logins.succeeded(name, source, clock::now());
            }
        }
        let error = match decision {
            Ok(Decision::Opened(info)) => {
                let session = authenticated.welcome(&welcome(&info, shared), &mut out);
                if let (Ok(session), Ok(())) = (session, socket.write_all(&out).await) {
                    let signals = Signals { events, cut };
                    let (got, limits) = (Vec::new(), shared.limits());
                    return Ok(Session::new(inbox, session, info, signals, got, limits));
                }
                let lost = CloseReason::ConnectionLost;
                shared.suspend_session(info, lost).await;
                return Err(Closed::Silently);
            }
            // The account is locked, or was deleted while it logged in.
            Ok(Decision::Refused) => WireError::NotAuthenticated,
            Ok(Decision::TooMany) | Err(_) => WireError::Busy,
        };
        // There are keys: nothing is said in the clear any more.
        if authenticated.refuse(error, &mut out).is_ok() {
            let _ = socket.write_all(&out).await;
        }
        let _ = socket.shutdown().await;
        Err(Closed::Silently)
    }
}

impl Resuming {
    /// Verifies that the client may resume its session and answers it, with the welcome.
    pub(super) fn answer(
        find: FindSession,
        shared: &Arc<Shared>,
        out: &mut Vec<u8>,
    ) -> Result<Self, Closed> {
        let answered = shared.resuming(find, out);
        let (authenticated, info, attempt) = answered.map_err(|refusal| match refusal {
            // As after a restart of the site, when no client has a session any more.
            SessionRefusal::NotAuthenticated => Closed::Refused(refusal, Abuse::Refused),
            refusal => refusal.into(),
        })?;
        let mut session = authenticated.welcome(&welcome(&info, shared), out)?;
        session.set_max_params(shared.limits().params_bytes);
        Ok(Self {
            session,
            id: info.id,
            attempt,
            got: Vec::new(),
        })
    }

    /// Waits for the client's first packet: before that opens, what was answered may be a recording. Nothing is
    /// said in the clear any more, and none of it is an offence: a line may be lost again.
    pub(super) async fn confirm(
        mut self: Box<Self>,
        socket: &mut TcpStream,
        inbox: &mut Inbox,
    ) -> Result<Box<Self>, Closed> {
        loop {
            let now = u64::try_from(clock::now().millis()).unwrap_or_default();
            match self.session.receive(now, inbox.unread(), &mut self.got) {
                // Still unauthenticated: a packet that is to come is no reason to keep more.
                Ok(0) if inbox.len() > UNAUTHENTICATED_BYTES => return Err(Closed::Silently),
                Ok(0) => {}
                Ok(used) => {
                    inbox.consume(used);
                    return Ok(self);
                }
                Err(refusal) => {
                    debug!(%refusal, "the first packet of a client that resumes does not open");
                    return Err(Closed::Silently);
                }
            }
            match socket.read_buf(inbox.tail(READ_AT_A_TIME)).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Err(Closed::Silently),
            }
        }
    }

    /// Gives the session its new connection, unless it is over meanwhile.
    pub(super) async fn resume(
        self: Box<Self>,
        peer: SocketAddr,
        socket: &mut TcpStream,
        inbox: Inbox,
        shared: &Arc<Shared>,
    ) -> Result<Box<Session>, Closed> {
        let Self {
            mut session,
            id,
            attempt,
            got,
        } = *self;
        let (event_sender, events) = event_channel();
        let (cut_sender, cut) = oneshot::channel();
        let resume = Resume {
            attempt,
            option: session.option(),
            peer: peer.to_string(),
            cut: hook(cut_sender),
        };
        let resumed = shared.resume_session(id, resume, event_sender).await;
        if let Ok(Some(info)) = resumed {
            let (signals, limits) = (Signals { events, cut }, shared.limits());
            return Ok(Session::new(inbox, session, info, signals, got, limits));
        }
        let mut out = Vec::new();
        let said = session
            .send_goodbye(Goodbye::Cut)
            .and_then(|()| session.flush(&mut out));
        if said.is_ok() {
            let _ = socket.write_all(&out).await;
        }
        let _ = socket.shutdown().await;
        Err(Closed::Silently)
    }
}

fn welcome(info: &SessionInfo, shared: &Shared) -> Welcome {
    Welcome {
        session: countersign_proto::session::SessionId(*info.id.as_bytes()),
        account: info.name.to_string(),
        expires: u64::try_from(info.expires.millis()).unwrap_or_default(),
        idle_limit: u32::try_from(shared.limits().idle_timeout.as_millis()).unwrap_or(u32::MAX),
    }
}
