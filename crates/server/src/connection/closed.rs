//! The end of a login attempt without a session.

use std::fmt;

use countersign_core::throttle::Abuse;
use countersign_proto::session::{SessionRefusal, WireError};
use tokio::io::AsyncWriteExt;

use super::socket::Socket;

/// Why a connection ends without a session.
pub(super) enum Closed {
    /// The error was already sent in a packet, or the client sent nothing, as a port check does.
    Silently,
    /// The client closed the connection during its login.
    ByClient,
    /// The client requested key events and closed the connection.
    AfterKeyEvents,
    /// The protocol refused the login; the refusal was sent in a packet.
    RefusedInside,
    /// The protocol refused the login; the refusal is sent in plain text.
    Refused(SessionRefusal, Abuse),
    /// The site cannot serve the client now.
    Unserved(WireError),
    /// Too many logins with the name are under way.
    TooManyOfName,
    /// The client took too long.
    TooSlow,
}

impl Closed {
    /// The abuse that counts against the source, if any.
    pub(super) const fn abuse(&self) -> Option<Abuse> {
        match self {
            Self::Silently | Self::Unserved(_) => None,
            Self::ByClient | Self::RefusedInside | Self::TooSlow => Some(Abuse::NotAuthenticated),
            Self::Refused(_, abuse) => Some(*abuse),
            Self::TooManyOfName | Self::AfterKeyEvents => Some(Abuse::Refused),
        }
    }

    /// Sends the error in plain text, unless it was already sent or the client is gone.
    pub(super) async fn send_error(self, socket: &mut impl Socket) {
        let error = match self {
            Self::Silently | Self::ByClient | Self::AfterKeyEvents => return,
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
            // Every service comes with the old key once after the site replaced it.
            SessionRefusal::OldSiteKey => Abuse::Refused,
            _ => Abuse::Malformed,
        };
        Self::Refused(refusal, abuse)
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silently => f.write_str("the connection ended without an error to send"),
            Self::ByClient => f.write_str("the client closed the connection during its login"),
            Self::AfterKeyEvents => f.write_str("the client requested key events alone"),
            Self::RefusedInside => f.write_str("the login was refused in a packet"),
            Self::Refused(refusal, _) => write!(f, "the login was refused: {refusal}"),
            Self::Unserved(error) => write!(f, "the site could not serve the client: {error:?}"),
            Self::TooManyOfName => f.write_str("too many login attempts wait for this name"),
            Self::TooSlow => f.write_str("the login timed out"),
        }
    }
}
