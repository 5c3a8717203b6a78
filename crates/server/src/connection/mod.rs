//! One connection of the session protocol: a thin adapter between a socket and the machines of
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
//! A suspended session has no connection: `countersign_core::session` keeps it.

mod attempt;
mod authenticated;
mod closed;
mod deadlines;
mod goodbye;
mod session;

use std::net::SocketAddr;
use std::sync::Arc;

use countersign_core::sessions::CloseReason;
use countersign_proto::session::{Inbox, WireError};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::{debug, info};

use crate::admission::Admitted;
use crate::clock;
use crate::shared::Shared;

use attempt::LoginAttempt;
use authenticated::Authenticated;
use closed::Closed;
use session::Session;

/// Serves one connection to its end.
///
/// A login and a session are boxed, each for itself: what the one needs is given back before the other
/// begins, so that an idle session costs little.
pub(crate) async fn serve(
    socket: TcpStream,
    peer: SocketAddr,
    admitted: Admitted,
    shared: Arc<Shared>,
) {
    let connected = Box::pin(log_in(socket, peer, admitted, shared.clone())).await;
    if let Some(connected) = connected {
        Box::pin(stay(connected, peer, shared)).await;
    }
}

/// A connection and its session.
struct Connected {
    socket: TcpStream,
    /// Counts the connection until it is dropped.
    admitted: Admitted,
    session: Box<Session>,
}

/// The login attempt; `None` when it led to no session.
async fn log_in(
    mut socket: TcpStream,
    peer: SocketAddr,
    mut admitted: Admitted,
    shared: Arc<Shared>,
) -> Option<Box<Connected>> {
    match session_of(&mut socket, peer, &mut admitted, &shared).await {
        Ok(session) => Some(Box::new(Connected {
            socket,
            admitted,
            session,
        })),
        Err(closed) => {
            debug!(%peer, %closed, "no session");
            if let Some(abuse) = closed.abuse() {
                admitted.punish(abuse, clock::now());
            }
            closed.tell(&mut socket).await;
            None
        }
    }
}

/// Runs the login attempt to the session that it opens or resumes.
async fn session_of(
    socket: &mut TcpStream,
    peer: SocketAddr,
    admitted: &mut Admitted,
    shared: &Arc<Shared>,
) -> Result<Box<Session>, Closed> {
    let mut inbox = Inbox::default();
    let mut stopping = shared.stopping.clone();
    let evicted = admitted.ended();
    // A client that may never log in does not hold up a stop.
    let mut ended = std::pin::pin!(async {
        tokio::select! {
            () = told(evicted) => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
    });
    let attempt = LoginAttempt::new(admitted, shared);
    let authenticated = tokio::select! {
        authenticated = timeout(shared.limits().unauthenticated_time, attempt.run(socket, &mut inbox)) => {
            authenticated.unwrap_or(Err(Closed::TooSlow))?
        }
        () = &mut ended => return Err(Closed::Unserved(WireError::Busy)),
    };
    // Neither time nor a crowd may end what is begun once the client is authenticated.
    match authenticated {
        Authenticated::Login(login) => {
            admitted.authenticated();
            login.open(peer, socket, inbox, shared).await
        }
        Authenticated::Resuming(resuming) => {
            let confirmed = resuming.confirm(socket, &mut inbox);
            let confirmed = tokio::select! {
                confirmed = timeout(shared.limits().unauthenticated_time, confirmed) => {
                    confirmed.unwrap_or(Err(Closed::Silently))?
                }
                () = &mut ended => return Err(Closed::Silently),
            };
            admitted.authenticated();
            confirmed.resume(peer, socket, inbox, shared).await
        }
    }
}

/// The session, as long as its connection lasts.
async fn stay(connected: Box<Connected>, peer: SocketAddr, shared: Arc<Shared>) {
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
        // The session goes on over another connection.
        CloseReason::Replaced => shared.site.events().unsubscribe(info.id, info.connection),
        CloseReason::ConnectionLost | CloseReason::Idle => {
            shared.suspend_session(info, reason).await;
        }
        _ => shared.close_session(&info, reason).await,
    }
}

/// Waits until the connection has to make room for others; for ever when it never will.
pub(crate) async fn told(ended: Option<tokio::sync::oneshot::Receiver<()>>) {
    if let Some(ended) = ended
        && ended.await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}
