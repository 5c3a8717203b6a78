//! Why a side ends a connection between peers: its last line.

use serde::{Deserialize, Serialize};

/// The reason for which a side ends the connection. The list is closed: another word is no line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerEnd {
    /// Nothing was sent for too long.
    Idle,
    /// The program of the site is stopping.
    Stopping,
    /// An admin stopped the peer server.
    ServerStopped,
    /// The peer is suspended.
    Suspended,
    /// The peer was removed.
    Removed,
    /// The peer or the site is in lockdown.
    Lockdown,
    /// The site was sealed.
    Sealed,
    /// The key of one of the sites was replaced.
    NewKey,
    /// The other side broke the protocol.
    Protocol,
}

/// The line `{"end":"lockdown"}`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndLine {
    pub(super) end: PeerEnd,
}

impl PeerEnd {
    /// All reasons.
    pub const ALL: [Self; 9] = [
        Self::Idle,
        Self::Stopping,
        Self::ServerStopped,
        Self::Suspended,
        Self::Removed,
        Self::Lockdown,
        Self::Sealed,
        Self::NewKey,
        Self::Protocol,
    ];

    /// Its word in the line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Stopping => "stopping",
            Self::ServerStopped => "server_stopped",
            Self::Suspended => "suspended",
            Self::Removed => "removed",
            Self::Lockdown => "lockdown",
            Self::Sealed => "sealed",
            Self::NewKey => "new_key",
            Self::Protocol => "protocol",
        }
    }

    /// What it means, to the other side.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Idle => "nothing was sent for too long",
            Self::Stopping => "its program is stopping",
            Self::ServerStopped => "its admin stopped the peer server",
            Self::Suspended => "it suspended this site",
            Self::Removed => "it removed this site from its peers",
            Self::Lockdown => "it is in lockdown, or has put this site in lockdown",
            Self::Sealed => "it was sealed",
            Self::NewKey => "a site key was replaced",
            Self::Protocol => "this site broke the protocol",
        }
    }

    /// The line with its line end.
    #[must_use]
    pub fn to_line(self) -> Vec<u8> {
        format!("{{\"end\":\"{}\"}}\n", self.as_str()).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::PeerLine;

    // PEER-33
    #[test]
    fn a_last_line_has_one_of_the_reasons_and_nothing_else() {
        for end in PeerEnd::ALL {
            let line = end.to_line();
            let read = PeerLine::read(line.trim_ascii_end());
            assert!(matches!(read, Ok(PeerLine::End(read)) if read == end));
        }
        for line in [
            r#"{"end":"bored"}"#,
            r#"{"end":null}"#,
            r#"{"end":"idle","why":"x"}"#,
            r#"{"end":"idle","code":0,"id":1}"#,
            r#"{"end":"idle","end":"idle"}"#,
        ] {
            assert!(PeerLine::read(line.as_bytes()).is_err(), "{line}");
        }
    }
}
