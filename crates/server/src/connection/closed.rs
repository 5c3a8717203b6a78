//! The end of a login attempt without a session.

use std::fmt;
use std::time::Duration;

use countersign_core::throttle::Abuse;
use countersign_proto::session::{SessionRefusal, WireError};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::socket::Socket;
use crate::admission::Admitted;

/// How long sending the last error of a connection may take.
const MAX_LAST_ERROR: Duration = Duration::from_secs(2);

/// Why a connection ends without a session.
pub(super) enum Closed {
    /// The error was already sent in a packet, or the client sent nothing, as a port check does.
    Silently,
    /// What the client sent is no message of its WebSocket.
    Unreadable,
    /// The client begins another protocol: a browser, for a page that names this port.
    OtherProtocol,
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
    /// The connection was evicted.
    Evicted,
    /// Too many logins with the name are under way.
    TooManyOfName,
    /// The client took too long.
    TooSlow,
}

impl Closed {
    /// The abuse that counts against the source, if any.
    pub(super) fn abuse(&self, admitted: &Admitted) -> Option<Abuse> {
        match self {
            // Any page could bring penalties upon the address of its reader.
            Self::OtherProtocol => None,
            Self::TooSlow if !admitted.has_sent() => None,
            Self::Silently | Self::Unserved(_) | Self::Evicted => None,
            Self::ByClient | Self::RefusedInside | Self::TooSlow => Some(Abuse::NotAuthenticated),
            Self::Unreadable => Some(Abuse::Malformed),
            Self::Refused(_, abuse) => Some(*abuse),
            Self::TooManyOfName | Self::AfterKeyEvents => Some(Abuse::Refused),
        }
    }

    /// Sends the error in plain text, unless it was already sent or the client is gone. A client that
    /// reads nothing loses its connection: an evicted one at once, because it is counted no longer.
    pub(super) async fn end(self, socket: &mut impl Socket) {
        let limit = match self {
            Self::Evicted => Duration::ZERO,
            _ => MAX_LAST_ERROR,
        };
        let _ = timeout(limit, self.send_error(socket)).await;
    }

    async fn send_error(self, socket: &mut impl Socket) {
        let error = match self {
            Self::Silently | Self::OtherProtocol | Self::ByClient | Self::AfterKeyEvents => return,
            // The close frame of a WebSocket has the code of the fault.
            Self::RefusedInside | Self::Unreadable => {
                let _ = socket.shutdown().await;
                return;
            }
            Self::Refused(refusal, _) => refusal.wire(),
            Self::Unserved(error) => error,
            Self::TooManyOfName | Self::Evicted => WireError::Busy,
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
            Self::Unreadable => f.write_str("the client sent no message of its WebSocket"),
            Self::OtherProtocol => f.write_str("the client begins with another protocol"),
            Self::ByClient => f.write_str("the client closed the connection during its login"),
            Self::AfterKeyEvents => f.write_str("the client requested key events alone"),
            Self::RefusedInside => f.write_str("the login was refused in a packet"),
            Self::Refused(refusal, _) => write!(f, "the login was refused: {refusal}"),
            Self::Unserved(error) => write!(f, "the site could not serve the client: {error:?}"),
            Self::Evicted => f.write_str("the connection was evicted"),
            Self::TooManyOfName => f.write_str("too many login attempts wait for this name"),
            Self::TooSlow => f.write_str("the login timed out"),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, DuplexStream};
    use tokio::time::Instant;

    use super::super::WebSocketBytes;
    use super::*;

    /// A WebSocket whose client reads nothing, so that the reply to its login waits.
    async fn unread() -> (WebSocketBytes<DuplexStream>, DuplexStream) {
        let (near, far) = tokio::io::duplex(64);
        let mut socket = WebSocketBytes::over(near).await;
        assert!(socket.write_all(&[7; 1_024]).now_or_never().is_none());
        (socket, far)
    }

    /// A client sent pings and read no pongs. Its error could not be sent for up to a minute, in which
    /// its connection kept a descriptor and was not counted: such clients used up all descriptors.
    // SES-33
    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "the paused time of this test")]
    async fn a_client_that_does_not_read_its_error_loses_its_connection() {
        for (closed, most) in [
            (Closed::Evicted, Duration::ZERO),
            (Closed::TooSlow, MAX_LAST_ERROR),
            (Closed::RefusedInside, MAX_LAST_ERROR),
        ] {
            let (mut socket, _far) = unread().await;
            let begun = Instant::now();
            closed.end(&mut socket).await;
            // A timer is late by up to a millisecond.
            assert!(begun.elapsed() <= most + Duration::from_millis(1));
        }
    }

    // SES-33
    #[tokio::test(start_paused = true)]
    async fn an_evicted_client_that_reads_gets_its_error() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut socket = WebSocketBytes::over(near).await;
        Closed::Evicted.end(&mut socket).await;
        drop(socket);
        let mut sent = Vec::new();
        far.read_to_end(&mut sent).await.unwrap();
        let error = WireError::Busy.to_wire();
        let message = [&[0x82, u8::try_from(error.len()).unwrap()], &error[..]].concat();
        assert_eq!(sent[..message.len()], message);
        assert_eq!(sent[message.len()..], [0x88, 2, 0x03, 0xe8]);
    }
}
