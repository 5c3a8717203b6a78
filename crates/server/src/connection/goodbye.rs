//! Ends a connection with GOODBYE, which tells the client the reason.

use countersign_core::sessions::CloseReason;
use countersign_proto::session::Goodbye;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::socket::Socket;

/// Bytes read at a time after GOODBYE was sent. They are discarded.
const DISCARD_AT_A_TIME: usize = 4 * 1024;

/// The GOODBYE for a reason; `None` if the client cannot receive one.
pub(super) fn of(reason: CloseReason) -> Option<Goodbye> {
    Some(match reason {
        CloseReason::Goodbye => Goodbye::Done,
        CloseReason::Expired => Goodbye::Expired,
        // A client that comes again learns that the site is sealed.
        CloseReason::SiteStopping | CloseReason::SiteSealed => Goodbye::Stopping,
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
        CloseReason::Lockdown => Goodbye::Lockdown,
        // A token ends no session.
        CloseReason::TokenRevoked => Goodbye::KeyRevoked,
        CloseReason::ConnectionLost | CloseReason::ProtocolFault => return None,
    })
}

/// Closes the sending side and reads until the client closes its side. The data is discarded, but closing a
/// socket with unread data would discard data that the client has not received yet.
pub(super) async fn drain(socket: &mut impl Socket) -> std::io::Result<()> {
    socket.shutdown().await?;
    let mut discarded = vec![0; DISCARD_AT_A_TIME];
    while socket.read(&mut discarded).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [SES-65]: the client got "cut" for every reason.
    #[test]
    fn every_reason_has_its_goodbye() {
        let expected = [
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
            (CloseReason::TokenRevoked, Some(Goodbye::KeyRevoked)),
            (
                CloseReason::PassphraseChanged,
                Some(Goodbye::PassphraseChanged),
            ),
            (CloseReason::OptionDisabled, Some(Goodbye::OptionDisabled)),
            (CloseReason::NotProved, Some(Goodbye::NotProved)),
            (CloseReason::SiteSealed, Some(Goodbye::Stopping)),
            (CloseReason::Lockdown, Some(Goodbye::Lockdown)),
        ];
        for (reason, goodbye) in expected {
            assert_eq!(of(reason), goodbye, "{reason}");
        }
    }
}
