//! One connection of the session protocol: an adapter between a socket and the state machines of
//! `countersign_proto::session::server`.
//!
//! ```text
//! admitted --> LoginAttempt --authenticated--> Session --goodbye, cut, expired--> Closed
//!                  |                            |   ^                               ^
//!                  |            connection lost, idle   resume, over another one    |
//!                  |                            v   |                               |
//!                  |                          Suspended --------expired, cut--------|
//!                  '--refused, too slow---------------------------------------------'
//! ```
//!
//! A suspended session has no connection; it is in the registry of `countersign_core::sessions`.

mod attempt;
mod authenticated;
mod closed;
mod deadlines;
mod goodbye;
mod session;
mod socket;
mod web_socket_bytes;

use std::net::SocketAddr;
use std::sync::Arc;

use countersign_core::sessions::CloseReason;
use countersign_proto::session::{Inbox, WireError};
use tokio::time::timeout;
use tracing::{debug, info};

use crate::admission::{Admitted, wait_for_eviction};
use crate::clock;
use crate::runtime::shared::Shared;

use attempt::LoginAttempt;
use authenticated::Authenticated;
use closed::Closed;
use session::Session;
use socket::Socket;

pub(crate) use web_socket_bytes::WebSocketBytes;

/// Serves one connection until it ends.
///
/// Login attempt and session are boxed separately: the memory of the attempt is freed before the session
/// begins, so that an idle session needs little memory.
pub(crate) async fn serve(
    socket: impl Socket,
    peer: SocketAddr,
    admitted: Admitted,
    shared: Arc<Shared>,
) {
    let connected = Box::pin(log_in(socket, peer, admitted, shared.clone())).await;
    if let Some(connected) = connected {
        Box::pin(run_session(connected, peer, shared)).await;
    }
}

/// A connection and its session.
struct Connected<S> {
    socket: S,
    /// Counts the connection until it is dropped.
    admitted: Admitted,
    session: Box<Session>,
}

/// Runs the login attempt; `None` if it leads to no session.
async fn log_in<S: Socket>(
    mut socket: S,
    peer: SocketAddr,
    mut admitted: Admitted,
    shared: Arc<Shared>,
) -> Option<Box<Connected<S>>> {
    match session_of(&mut socket, peer, &mut admitted, &shared).await {
        Ok(session) => Some(Box::new(Connected {
            socket,
            admitted,
            session,
        })),
        Err(closed) => {
            debug!(%peer, %closed, "no session");
            if let Some(abuse) = closed.abuse(&admitted) {
                admitted.punish(abuse, clock::now());
            }
            closed.end(&mut socket).await;
            None
        }
    }
}

/// Runs the login attempt to the session that it opens or resumes.
async fn session_of(
    socket: &mut impl Socket,
    peer: SocketAddr,
    admitted: &mut Admitted,
    shared: &Arc<Shared>,
) -> Result<Box<Session>, Closed> {
    let mut inbox = Inbox::default();
    let mut stopping = shared.stopping.clone();
    let mut evicted = admitted.ended();
    // A shutdown does not wait for a login attempt.
    let mut ended = std::pin::pin!(async {
        tokio::select! {
            () = wait_for_eviction(&mut evicted) => Closed::Evicted,
            _ = stopping.wait_for(|stopping| *stopping) => Closed::Unserved(WireError::Busy),
        }
    });
    let attempt = LoginAttempt::new(peer.ip(), admitted, shared);
    let authenticated = tokio::select! {
        authenticated = timeout(shared.limits().unauthenticated_timeout, attempt.run(socket, &mut inbox)) => {
            authenticated.unwrap_or(Err(Closed::TooSlow))?
        }
        closed = &mut ended => return Err(closed),
    };
    // An authenticated client is neither timed out nor evicted. What it needs has a place of its own, which a
    // connection without a login does not take up.
    match authenticated {
        Authenticated::Login(login) => {
            admitted.authenticated();
            let may_open = admitted.hold_for(login.account());
            Box::pin(login.open(peer, may_open, socket, inbox, shared)).await
        }
        Authenticated::Resuming(resuming) => {
            let confirmed = resuming.confirm(socket, &mut inbox);
            let confirmed = tokio::select! {
                confirmed = timeout(shared.limits().unauthenticated_timeout, confirmed) => {
                    confirmed.unwrap_or(Err(Closed::Silently))?
                }
                _ = &mut ended => return Err(Closed::Silently),
            };
            admitted.authenticated();
            if !admitted.hold_for(confirmed.account()) {
                return Err(Closed::Silently);
            }
            Box::pin(confirmed.resume(peer, socket, inbox, shared)).await
        }
    }
}

/// Runs the session until its connection ends.
async fn run_session(
    connected: Box<Connected<impl Socket>>,
    peer: SocketAddr,
    shared: Arc<Shared>,
) {
    let Connected {
        socket,
        admitted: _admitted,
        session,
    } = *connected;
    let info = session.info();
    info!(session = %info.id, account = %info.name, option = %info.option_name(), %peer, "session opened");
    let (info, reason) = session.serve(socket, &shared).await;
    info!(session = %info.id, account = %info.name, %reason, "connection closed");
    match reason {
        // The session continues over another connection.
        CloseReason::Replaced => shared.site.events().unsubscribe(info.id, info.connection),
        CloseReason::ConnectionLost | CloseReason::Idle => {
            shared.suspend_session(info, reason).await;
        }
        // The session is closed already.
        _ => {}
    }
}
