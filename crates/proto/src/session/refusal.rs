//! Why a login or session ends, and the few of these reasons that the wire tells.

use crate::risp::Malformed;

/// What ERROR says: few, so that an attacker learns nothing from which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum WireError {
    /// Unknown, locked or not proved: always the same.
    NotAuthenticated = 1,
    /// What was sent is not of this protocol, or does not belong where it stands.
    Malformed = 2,
    /// The site's key has not been opened.
    Sealed = 3,
    /// The site takes no more connections from there just now.
    Busy = 4,
    /// The site cannot open what was sent: it does not hold the key that it was sealed to.
    OtherSite = 5,
    /// Nothing came for too long.
    TooSlow = 6,
}

impl WireError {
    /// ERROR with this code, as it stands on the wire.
    #[must_use]
    pub fn to_wire(self) -> [u8; 3] {
        let [high, low] = super::command::ERROR.0.to_be_bytes();
        [high, low, self as u8]
    }

    pub(crate) fn from_wire(code: u8) -> Option<Self> {
        [
            Self::NotAuthenticated,
            Self::Malformed,
            Self::Sealed,
            Self::Busy,
            Self::OtherSite,
            Self::TooSlow,
        ]
        .into_iter()
        .find(|error| *error as u8 == code)
    }
}

/// Why a server ended a login or a session: always the client's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionRefusal {
    /// Bytes that are no RISP, or are over a limit.
    #[error("malformed RISP: {0}")]
    Malformed(#[from] Malformed),
    /// More commands that mean nothing where they stand than [`super::limits::INVALID_COMMANDS`].
    #[error("too many invalid commands")]
    TooManyInvalid,
    /// More bytes than [`super::limits::UNAUTHENTICATED_BYTES`] and still nobody proved.
    #[error("too many bytes before login")]
    TooManyUnauthenticated,
    /// A stale option list chosen more often than [`super::limits::STALE_CHOICES`].
    #[error("too many choices from a stale option list")]
    TooManyChoices,
    /// A handshake message that the site's key cannot open.
    #[error("a handshake that is not for this site's key")]
    OtherSite,
    /// A login message of the wrong form.
    #[error("a malformed login message: {0}")]
    BadLogin(&'static str),
    /// No proof of a known, unlocked account.
    #[error("not authenticated")]
    NotAuthenticated,
    /// A packet that was forged, repeated, reordered or cut.
    #[error("a packet that does not belong to this session: {0}")]
    BadPacket(&'static str),
    /// A message inside a packet that breaks the protocol.
    #[error("a malformed message: {0}")]
    BadMessage(&'static str),
    /// The session's time is over.
    #[error("the session has expired")]
    Expired,
}

impl SessionRefusal {
    /// What the peer is told, if the refusal falls before a session exists.
    #[must_use]
    pub fn wire(&self) -> WireError {
        match self {
            Self::OtherSite => WireError::OtherSite,
            Self::NotAuthenticated | Self::Expired => WireError::NotAuthenticated,
            Self::Malformed(_)
            | Self::TooManyInvalid
            | Self::TooManyUnauthenticated
            | Self::TooManyChoices
            | Self::BadLogin(_)
            | Self::BadPacket(_)
            | Self::BadMessage(_) => WireError::Malformed,
        }
    }
}

/// Why a client's login did not become a session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// Name, pass phrase or key is not accepted, or the account is locked: the site does not say which.
    #[error(
        "not authenticated: the name, the pass phrase or the key is wrong, or the account is locked"
    )]
    NotAuthenticated,
    /// The other end does not hold the site key that was pinned; nothing secret was sent to it.
    #[error(
        "the other end did not prove that it holds the site key you gave; this may be an attack"
    )]
    WrongSite,
    /// The site's key has not been opened (nobody vouches for this answer).
    #[error("the site says that it is sealed: its key has not been opened")]
    Sealed,
    /// The site refuses the connection for now.
    #[error("the site is busy; try again later")]
    Busy,
    /// The site ended the login: it took what was sent for malformed or was kept waiting.
    #[error("the site ended the login: {0:?}")]
    Ended(WireError),
    /// The site offers no encryption option that this client accepts.
    #[error("the site offers no encryption option that this client accepts; it offers: {0}")]
    NoCommonOption(String),
    /// This client is set to packets that are too small to hold a message's fixed fields.
    #[error(
        "packets of fewer than {} bytes are not possible",
        super::limits::LEAST_MAX_PACKET
    )]
    PacketsTooSmall,
    /// What the other end sent is not of this protocol.
    #[error("the other end does not speak the session protocol: {0}")]
    Protocol(&'static str),
}

impl From<Malformed> for LoginError {
    fn from(_: Malformed) -> Self {
        Self::Protocol("malformed RISP")
    }
}
