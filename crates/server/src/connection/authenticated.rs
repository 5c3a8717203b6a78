//! Gives an authenticated client its session: a new one, or the one that it resumes.
//!
//! The futures that open and resume must run to their end: otherwise a session without a connection would
//! stay open.

use std::net::SocketAddr;
use std::sync::Arc;

use countersign_core::accounts::CredentialId;
use countersign_core::engine::Decision;
use countersign_core::id::{AccountId, SessionId};
use countersign_core::sessions::{CloseReason, Resume, SessionInfo};
use countersign_core::throttle::{Abuse, Source};
use countersign_proto::session::limits::UNAUTHENTICATED_BYTES;
use countersign_proto::session::server::{self, FindSession, FromClient};
use countersign_proto::session::{Goodbye, Inbox, SessionRefusal, Welcome, WireError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tracing::debug;

use super::attempt::READ_AT_A_TIME;
use super::closed::Closed;
use super::session::{Session, Signals};
use super::socket::Socket;
use crate::clock;
use crate::runtime::counting::PendingLogin;
use crate::runtime::events::event_queue;
use crate::runtime::shared::{Shared, hook};

/// A client whose login attempt succeeded.
pub(super) enum Authenticated {
    /// It logged in: [`Login::open`] opens its session.
    Login(Box<Login>),
    /// It resumes a session: after [`Resuming::confirm`], [`Resuming::resume`] does so.
    Resuming(Box<Resuming>),
}

/// A client that logged in and has no session yet.
pub(super) struct Login {
    pub(super) authenticated: Box<server::Authenticated>,
    /// The account name, if a pass phrase was verified.
    pub(super) name: Option<String>,
    /// The credential with which the pass phrase was verified.
    pub(super) credential: Option<CredentialId>,
    pub(super) pending: Option<PendingLogin>,
    /// The source of the client, if it is known.
    pub(super) client: Option<Source>,
}

/// A client that has received a positive reply to its request to resume.
pub(super) struct Resuming {
    session: server::ServerSession,
    id: SessionId,
    account: AccountId,
    attempt: u64,
    /// The messages in its first packet.
    received: Vec<FromClient>,
}

impl Login {
    /// The account that logged in.
    pub(super) fn account(&self) -> AccountId {
        AccountId::from_bytes(self.authenticated.account().0)
    }

    /// Opens the session, unless the account was locked or deleted meanwhile or has too many sessions.
    /// `has_place` says whether its connection has a place among those of the account.
    pub(super) async fn open(
        self: Box<Self>,
        peer: SocketAddr,
        has_place: bool,
        socket: &mut impl Socket,
        inbox: Inbox,
        shared: &Arc<Shared>,
    ) -> Result<Box<Session>, Closed> {
        let Self {
            authenticated,
            name,
            credential,
            client,
            pending,
        } = *self;
        let (event_sender, events) = event_queue();
        let (cut_sender, cut) = oneshot::channel();
        let mut out = Vec::new();
        let decision = match has_place {
            true => {
                shared
                    .open_session(&authenticated, credential, peer, event_sender, cut_sender)
                    .await
            }
            false => Ok(Decision::TooMany),
        };
        // If the limit on sessions is reached or the store fails, the login itself has succeeded.
        if !matches!(decision, Ok(Decision::Refused)) {
            if let Some(pending) = pending {
                pending.succeeded();
            }
            if let (Some(name), Some(client)) = (&name, client) {
                let mut logins = shared.site.throttle().logins();
                logins.succeeded(name, client, clock::now());
            }
        }
        let error = match decision {
            Ok(Decision::Opened(info)) => {
                let session = authenticated.welcome(&welcome(&info, shared), &mut out);
                if let (Ok(session), Ok(())) = (session, socket.write_all(&out).await) {
                    let signals = Signals { events, cut };
                    let (received, limits) = (Vec::new(), shared.limits());
                    return Ok(Session::new(
                        inbox, session, info, signals, received, limits,
                    ));
                }
                let lost = CloseReason::ConnectionLost;
                shared.suspend_session(info, lost).await;
                return Err(Closed::Silently);
            }
            // The account is locked, or was deleted while it logged in.
            Ok(Decision::Refused) => WireError::NotAuthenticated,
            Ok(Decision::TooMany) | Err(_) => WireError::Busy,
        };
        // The connection has keys, so the error is sent in a packet and not in plain text.
        if authenticated.refuse(error, &mut out).is_ok() {
            let _ = socket.write_all(&out).await;
        }
        let _ = socket.shutdown().await;
        Err(Closed::Silently)
    }
}

impl Resuming {
    /// The account of the session.
    pub(super) const fn account(&self) -> AccountId {
        self.account
    }

    /// Verifies that the client may resume its session, and writes the reply and the welcome to `out`.
    ///
    /// # Errors
    /// The client may not resume the session.
    pub(super) fn answer(
        find: FindSession,
        shared: &Arc<Shared>,
        out: &mut Vec<u8>,
    ) -> Result<Self, Closed> {
        let verified = shared.resuming(find, out);
        let (authenticated, info, attempt) = verified.map_err(|refusal| match refusal {
            // Light abuse only: after a restart of the site, every client fails to resume its session once.
            SessionRefusal::NotAuthenticated => Closed::Refused(refusal, Abuse::Refused),
            refusal => refusal.into(),
        })?;
        let mut session = authenticated.welcome(&welcome(&info, shared), out)?;
        session.set_max_params(shared.limits().params_bytes);
        Ok(Self {
            session,
            id: info.id,
            account: info.account,
            attempt,
            received: Vec::new(),
        })
    }

    /// Waits for the client's first packet. Until it opens, the request may be a replayed recording. Errors are
    /// not sent in plain text and do not count as abuse: the connection may have been lost again.
    pub(super) async fn confirm(
        mut self: Box<Self>,
        socket: &mut impl Socket,
        inbox: &mut Inbox,
    ) -> Result<Box<Self>, Closed> {
        loop {
            let now = u64::try_from(clock::now().millis()).unwrap_or_default();
            match self
                .session
                .receive(now, inbox.unread(), &mut self.received)
            {
                // Still unauthenticated: an incomplete packet does not raise the limit.
                Ok(0) if inbox.len() > UNAUTHENTICATED_BYTES => return Err(Closed::Silently),
                Ok(0) => {}
                Ok(used) => {
                    inbox.consume(used);
                    return Ok(self);
                }
                Err(refusal) => {
                    debug!(%refusal, "the first packet of a resumed session does not open");
                    return Err(Closed::Silently);
                }
            }
            match socket.read_buf(inbox.tail(READ_AT_A_TIME)).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Err(Closed::Silently),
            }
        }
    }

    /// Continues the session over the new connection, unless the session has ended meanwhile.
    pub(super) async fn resume(
        self: Box<Self>,
        peer: SocketAddr,
        socket: &mut impl Socket,
        inbox: Inbox,
        shared: &Arc<Shared>,
    ) -> Result<Box<Session>, Closed> {
        let Self {
            mut session,
            id,
            account: _,
            attempt,
            received,
        } = *self;
        let (event_sender, events) = event_queue();
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
            return Ok(Session::new(
                inbox, session, info, signals, received, limits,
            ));
        }
        let mut out = Vec::new();
        let sealed = session
            .send_goodbye(Goodbye::Cut)
            .and_then(|()| session.flush(&mut out));
        if sealed.is_ok() {
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
