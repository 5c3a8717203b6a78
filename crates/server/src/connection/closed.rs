//! The end of a login attempt that led to no session.

use std::fmt;

use countersign_core::throttle::Abuse;
use countersign_proto::session::{SessionRefusal, WireError};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Why a connection ends without a session.
pub(super) enum Closed {
    /// The client was told all that there is to say, inside a packet, or had said nothing itself, as a check of
    /// the port does.
    Silently,
    /// The client closed the connection in the middle of its login.
    ByClient,
    /// The protocol refused; the refusal is inside a packet.
    RefusedInside,
    /// The protocol refused; the client is told in the clear.
    Refused(SessionRefusal, Abuse),
    /// The site cannot serve the client now.
    Unserved(WireError),
    /// Too many logins with the name are under way.
    TooManyOfName,
    /// The client took too long.
    TooSlow,
}

impl Closed {
    /// What the client did that counts against its source.
    pub(super) const fn abuse(&self) -> Option<Abuse> {
        match self {
            Self::Silently | Self::Unserved(_) => None,
            Self::ByClient | Self::RefusedInside | Self::TooSlow => Some(Abuse::NotAuthenticated),
            Self::Refused(_, abuse) => Some(*abuse),
            Self::TooManyOfName => Some(Abuse::Refused),
        }
    }

    /// Tells the client in the clear, where it has not been told and can be.
    pub(super) async fn tell(self, socket: &mut TcpStream) {
        let error = match self {
            Self::Silently | Self::ByClient => return,
            Self::RefusedInside => {
                let _ = socket.shutdown().await;
                return;
            }
            Self::Refused(refusal, _) => refusal.wire(),
            Self::Unserved(error) => error,
            Self::TooManyOfName => WireError::Busy,
            Self::TooSlow => WireError::TooSlow,
        };
        let _ = socket.write_all(&error.to_wire()).await;
        let _ = socket.shutdown().await;
    }
}

impl From<SessionRefusal> for Closed {
    fn from(refusal: SessionRefusal) -> Self {
        let abuse = match refusal {
            SessionRefusal::NotAuthenticated => Abuse::NotAuthenticated,
            _ => Abuse::Malformed,
        };
        Self::Refused(refusal, abuse)
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silently => f.write_str("it ended with nothing more to say"),
            Self::ByClient => f.write_str("the client closed it before it had logged in"),
            Self::RefusedInside => f.write_str("the login was refused inside a packet"),
            Self::Refused(refusal, _) => write!(f, "the login was refused: {refusal}"),
            Self::Unserved(error) => write!(f, "the site could not serve it: {error:?}"),
            Self::TooManyOfName => f.write_str("too many logins with that name are under way"),
            Self::TooSlow => f.write_str("the client was too slow to log in"),
        }
    }
}
