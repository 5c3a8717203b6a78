//! One connection of the session listener: a thin adapter between a socket and the machines of
//! `countersign_proto::session::server`.
//!
//! ```text
//! admitted --> login --proved--> live --goodbye, cut, expiry--> closed
//!                |                   |
//!                |                   '--loss, silence--> parked --return--> live, elsewhere
//!                '--refused, too slow--> closed
//! ```

mod goodbye;
mod live;
mod login;

use std::net::SocketAddr;
use std::sync::Arc;

use countersign_core::guard::Offence;
use countersign_core::session::CloseReason;
use countersign_proto::session::{Inbox, WireError};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tracing::{debug, info};

use crate::admission::Admitted;
use crate::clock;
use crate::shared::Shared;

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
    let entered = Box::pin(enter(socket, peer, admitted, shared.clone())).await;
    if let Some(entered) = entered {
        Box::pin(stay(entered, peer, shared)).await;
    }
}

/// A connection whose login opened a session.
struct Entered {
    socket: TcpStream,
    admitted: Admitted,
    inbox: Inbox,
    opened: Box<login::Opened>,
}

/// The login; `None` when it opened no session.
async fn enter(
    mut socket: TcpStream,
    peer: SocketAddr,
    mut admitted: Admitted,
    shared: Arc<Shared>,
) -> Option<Box<Entered>> {
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
    let attempt = login::Attempt::new(&admitted, &shared);
    let log_in = tokio::time::timeout(
        shared.limits().unproved_time,
        attempt.log_in(&mut socket, &mut inbox),
    );
    let end = tokio::select! {
        end = log_in => end,
        () = &mut ended => Ok(login::End::Told(WireError::Busy)),
    };
    let end = match end {
        Ok(login::End::Returning(returning)) => {
            let confirmed = login::confirmed(returning, &mut socket, &mut inbox);
            let confirmed = tokio::time::timeout(shared.limits().unproved_time, confirmed);
            tokio::select! {
                end = confirmed => Ok(end.unwrap_or(login::End::Dismissed)),
                () = &mut ended => Ok(login::End::Dismissed),
            }
        }
        end => end,
    };
    let end = match end {
        // Neither time nor a crowd may end what is begun now.
        Ok(login::End::Proved(entering)) => {
            admitted.proved();
            Ok(login::open(entering, peer, &mut socket, &shared).await)
        }
        Ok(login::End::Returned(returned)) => {
            admitted.proved();
            Ok(login::reopen(returned, peer, &mut socket, &shared).await)
        }
        end => end,
    };
    let error = match end {
        Ok(login::End::Opened(opened)) => {
            return Some(Box::new(Entered {
                socket,
                admitted,
                inbox,
                opened,
            }));
        }
        Ok(
            login::End::Silent
            | login::End::Proved(_)
            | login::End::Returning(_)
            | login::End::Returned(_)
            | login::End::Dismissed,
        ) => return None,
        Ok(login::End::Closed) => {
            debug!(%peer, "closed before login");
            admitted.punish(Offence::NotProved, clock::now());
            return None;
        }
        Ok(login::End::Refused(refusal, offence)) => {
            debug!(%peer, %refusal, "login refused");
            admitted.punish(offence, clock::now());
            refusal.wire()
        }
        Ok(login::End::InVain(error)) => {
            debug!(%peer, "too many logins with that name");
            admitted.punish(Offence::InVain, clock::now());
            error
        }
        Ok(login::End::Told(error)) => {
            debug!(%peer, ?error, "turned away");
            error
        }
        Err(_) => {
            debug!(%peer, "too slow to log in");
            admitted.punish(Offence::NotProved, clock::now());
            WireError::TooSlow
        }
    };
    tell(&mut socket, error).await;
    None
}

/// The session, as long as its connection lasts.
async fn stay(entered: Box<Entered>, peer: SocketAddr, shared: Arc<Shared>) {
    let Entered {
        socket,
        admitted: _admitted,
        inbox,
        opened,
    } = *entered;
    let info = opened.info;
    info!(session = %info.id, account = %info.name, option = %info.option, %peer, "session opened");
    let live = live::Live::new(
        inbox,
        opened.session,
        info,
        opened.events,
        opened.cut,
        opened.got,
        shared.limits(),
    );
    let (info, reason) = live.serve(socket, &shared).await;
    info!(session = %info.id, account = %info.name, %reason, "connection closed");
    match reason {
        // The session goes on over another connection.
        CloseReason::Replaced => shared.site.events().unsubscribe(info.id, info.connection),
        CloseReason::ConnectionLost | CloseReason::Idle => shared.park_session(info, reason).await,
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

/// Tells a peer that has no session why its connection ends.
async fn tell(socket: &mut TcpStream, error: WireError) {
    let _ = socket.write_all(&error.to_wire()).await;
    let _ = socket.shutdown().await;
}
