//! Why a login or a session ends, and the few reasons that are sent to the peer.

use crate::risp::Malformed;
use crate::site_identity::KeyEventsError;

/// The code of ERROR. There are few codes, so that an attacker learns little from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum WireError {
    /// Unknown account, locked account or failed authentication: always the same code.
    NotAuthenticated = 1,
    /// The message is malformed or unexpected.
    Malformed = 2,
    /// The site is sealed: its key has not been unwrapped.
    Sealed = 3,
    /// The server accepts no more connections from this source for now.
    Busy = 4,
    /// The site cannot decrypt the message: it was encrypted to another site's key.
    OtherSite = 5,
    /// The client took too long.
    TooSlow = 6,
    /// The site is in lockdown and accepts no logins. It is the same for every name.
    Lockdown = 7,
}

impl WireError {
    /// The encoded ERROR command with this code.
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
            Self::Lockdown,
        ]
        .into_iter()
        .find(|error| *error as u8 == code)
    }
}

/// Why a server ended a login or a session. The client always caused it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionRefusal {
    /// Bytes that are not valid RISP, or exceed a limit.
    #[error("malformed RISP: {0}")]
    Malformed(#[from] Malformed),
    /// More unexpected commands than [`super::limits::INVALID_COMMANDS`].
    #[error("too many unexpected commands")]
    TooManyInvalid,
    /// More than [`super::limits::UNAUTHENTICATED_BYTES`] bytes without authentication.
    #[error("too many bytes before login")]
    TooManyUnauthenticated,
    /// More choices from a stale option list than [`super::limits::STALE_CHOICES`].
    #[error("too many choices from a stale option list")]
    TooManyChoices,
    /// A handshake message that the site's key cannot decrypt.
    #[error("the handshake is encrypted to another site's key")]
    OtherSite,
    /// The same, after the client was told the site's key events: the handshake may be encrypted to
    /// a key that the site had before.
    #[error("the handshake is encrypted to an earlier key of the site, or to another site's key")]
    OldSiteKey,
    /// A malformed login message.
    #[error("a malformed login message: {0}")]
    BadLogin(&'static str),
    /// The client did not authenticate as a known, unlocked account.
    #[error("not authenticated")]
    NotAuthenticated,
    /// A packet that was forged, repeated, reordered or cut.
    #[error("a packet failed verification: {0}")]
    BadPacket(&'static str),
    /// A message inside a packet that breaks the protocol.
    #[error("a malformed message: {0}")]
    BadMessage(&'static str),
    /// The session expired.
    #[error("the session has expired")]
    Expired,
}

impl SessionRefusal {
    /// The code that is sent to the client if there is no session yet.
    #[must_use]
    pub fn wire(&self) -> WireError {
        match self {
            Self::OtherSite | Self::OldSiteKey => WireError::OtherSite,
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
    /// The name, pass phrase or key is wrong, or the account is locked. The site does not say
    /// which.
    #[error(
        "not authenticated: the name, the pass phrase or the key is wrong, or the account is locked"
    )]
    NotAuthenticated,
    /// The server does not hold the pinned site key. No secret was sent to it.
    #[error(
        "the server does not hold the pinned site key; check the site URI, since this may be an attack"
    )]
    WrongSite,
    /// The site's key events contradict what is known of it. Do not try again: this can be an
    /// attack. No secret was sent.
    #[error(transparent)]
    KeyEvents(KeyEventsError),
    /// The site is sealed. This error is unauthenticated.
    #[error("the site reports that it is sealed; its operator must unseal it")]
    Sealed,
    /// The site is in lockdown. This error is unauthenticated.
    #[error("the site reports that it is in lockdown and accepts no logins")]
    Lockdown,
    /// The site rejects the connection for now.
    #[error("the site is busy; try again later")]
    Busy,
    /// The site ended the login, because a message was malformed or the client was too slow.
    #[error("the site ended the login with error {0:?}")]
    Ended(WireError),
    /// The site offers no encryption option that this client accepts.
    #[error("the site offers no encryption option that this client accepts; it offers: {0}")]
    NoCommonOption(String),
    /// The client's packet limit is too small for a message's fixed fields.
    #[error(
        "packets of fewer than {} bytes are not possible",
        super::limits::MIN_MAX_PACKET
    )]
    PacketsTooSmall,
    /// The server sent something that is not valid in this protocol.
    #[error("the server does not speak the session protocol: {0}")]
    Protocol(&'static str),
}

impl From<KeyEventsError> for LoginError {
    fn from(error: KeyEventsError) -> Self {
        match error {
            KeyEventsError::UnknownPin => Self::WrongSite,
            error => Self::KeyEvents(error),
        }
    }
}

impl From<Malformed> for LoginError {
    fn from(_: Malformed) -> Self {
        Self::Protocol("malformed RISP")
    }
}
