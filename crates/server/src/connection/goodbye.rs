//! The end of a connection whose client is to hear why.

use countersign_core::sessions::CloseReason;
use countersign_proto::session::Goodbye;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes that are read at a time of what comes after a goodbye.
const UNHEARD_AT_A_TIME: usize = 4 * 1024;

/// What the client is told when its session's connection ends for that reason; nothing when it cannot hear.
pub(super) fn of(reason: CloseReason) -> Option<Goodbye> {
    Some(match reason {
        CloseReason::Goodbye => Goodbye::Done,
        CloseReason::Expired => Goodbye::Expired,
        CloseReason::SiteStopping => Goodbye::Stopping,
        CloseReason::Idle => Goodbye::Idle,
        CloseReason::Replaced => Goodbye::Replaced,
        CloseReason::Cut => Goodbye::Cut,
        CloseReason::AccountLocked => Goodbye::Locked,
        CloseReason::AccountDeleted => Goodbye::Deleted,
        CloseReason::AccountChanged => Goodbye::Changed,
        CloseReason::KeyRevoked => Goodbye::KeyRevoked,
        CloseReason::PassphraseChanged => Goodbye::PassphraseChanged,
        CloseReason::OptionDisabled => Goodbye::OptionDisabled,
        CloseReason::NotProved => Goodbye::NotProved,
        CloseReason::ConnectionLost | CloseReason::ProtocolFault => return None,
    })
}

/// Says that nothing more follows and reads on until the client has closed too. What it says now is too late, but a
/// socket that is closed with something unread takes back what its peer has not received yet.
pub(super) async fn hear_out(socket: &mut TcpStream) -> std::io::Result<()> {
    socket.shutdown().await?;
    let mut unheard = vec![0; UNHEARD_AT_A_TIME];
    while socket.read(&mut unheard).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [SES-65]: the client was told that it was cut, whatever had happened.
    #[test]
    fn every_reason_that_a_client_can_hear_is_told() {
        let told = [
            (CloseReason::Goodbye, Some(Goodbye::Done)),
            (CloseReason::ConnectionLost, None),
            (CloseReason::ProtocolFault, None),
            (CloseReason::Expired, Some(Goodbye::Expired)),
            (CloseReason::Idle, Some(Goodbye::Idle)),
            (CloseReason::Replaced, Some(Goodbye::Replaced)),
            (CloseReason::SiteStopping, Some(Goodbye::Stopping)),
            (CloseReason::Cut, Some(Goodbye::Cut)),
            (CloseReason::AccountLocked, Some(Goodbye::Locked)),
            (CloseReason::AccountDeleted, Some(Goodbye::Deleted)),
            (CloseReason::AccountChanged, Some(Goodbye::Changed)),
            (CloseReason::KeyRevoked, Some(Goodbye::KeyRevoked)),
            (
                CloseReason::PassphraseChanged,
                Some(Goodbye::PassphraseChanged),
            ),
            (CloseReason::OptionDisabled, Some(Goodbye::OptionDisabled)),
            (CloseReason::NotProved, Some(Goodbye::NotProved)),
        ];
        for (reason, goodbye) in told {
            assert_eq!(of(reason), goodbye, "{reason}");
        }
    }
}
