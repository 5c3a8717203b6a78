//! One connection of the session listener: a thin adapter between a socket and the machines of
//! `countersign_proto::session::server`.
//!
//! ```text
//! admitted --> login --proved--> live --goodbye, cut, expiry, loss--> closed
//!                |
//!                '--refused, too slow--> closed
//! ```

mod live;
mod login;

use std::net::SocketAddr;
use std::sync::Arc;

use countersign_proto::risp;
use countersign_proto::session::{Inbox, WireError, server};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tracing::{debug, info};

use crate::admission::{Admitted, Offence};
use crate::clock;
use crate::shared::Shared;

use login::{LoginEnd, Proved};

/// Serves one connection to its end.
pub(crate) async fn serve(
    mut socket: TcpStream,
    peer: SocketAddr,
    mut admitted: Admitted,
    shared: Arc<Shared>,
) {
    let mut inbox = Inbox::default();
    let patience = shared.limits.unproved_time;
    let attempt = login::log_in(&mut socket, peer, &mut inbox, &shared);
    let end = tokio::time::timeout(patience, attempt).await.unwrap_or(LoginEnd::TooSlow);
    match end {
        LoginEnd::Proved(proved) => {
            admitted.proved();
            let Proved { session, info, signals } = *proved;
            info!(session = %info.id, account = %info.name, option = %info.option, %peer, "session opened");
            let reason = live::serve(socket, inbox, session, &info, signals, &shared).await;
            info!(session = %info.id, account = %info.name, %reason, "session closed");
            shared.site.close_session(info.id, reason, clock::now()).await;
        }
        LoginEnd::Refused(refusal) => {
            debug!(%peer, %refusal, "login refused");
            let offence = match refusal {
                server::Refused::Unproved => Offence::NotProved,
                server::Refused::Malformed => Offence::Malformed,
            };
            admitted.punish(offence, clock::monotonic());
        }
        LoginEnd::Closed => debug!(%peer, "closed before login"),
        LoginEnd::TooSlow => {
            debug!(%peer, "too slow to log in");
            tell(&mut socket, WireError::TooSlow).await;
        }
    }
}

/// Tells a peer that has no session why its connection ends.
pub(crate) async fn tell(socket: &mut TcpStream, error: WireError) {
    let _ = socket.write_all(&error.to_wire()).await;
    let _ = socket.shutdown().await;
}
