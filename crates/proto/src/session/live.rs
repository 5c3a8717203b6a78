//! What the ends of a session tell each other about the session: its id, its welcome, and why it
//! ends.

/// Why a session was closed cleanly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Goodbye {
    /// This end is finished.
    Done = 1,
    /// An admin, or the account in another session, ended it.
    Cut = 2,
    /// The session expired.
    Expired = 3,
    /// The server is stopping.
    Stopping = 4,
    /// The session was silent for longer than the idle limit.
    Idle = 5,
    /// The client resumed the session over another connection.
    Replaced = 6,
    /// The account was locked.
    Locked = 7,
    /// The account was deleted.
    Deleted = 8,
    /// The account was renamed or its role changed.
    Changed = 9,
    /// The key that authenticated it was revoked.
    KeyRevoked = 10,
    /// The account's pass phrase was changed.
    PassphraseChanged = 11,
    /// The encryption option was disabled.
    OptionDisabled = 12,
    /// Too many fresh proofs in it failed.
    NotProved = 13,
    /// A lockdown of the account or of the site ended it.
    Lockdown = 14,
}

impl Goodbye {
    /// All reasons.
    pub const ALL: [Self; 14] = [
        Self::Done,
        Self::Cut,
        Self::Expired,
        Self::Stopping,
        Self::Idle,
        Self::Replaced,
        Self::Locked,
        Self::Deleted,
        Self::Changed,
        Self::KeyRevoked,
        Self::PassphraseChanged,
        Self::OptionDisabled,
        Self::NotProved,
        Self::Lockdown,
    ];

    /// The reason with that number. Unknown reasons of later versions count as [`Self::Cut`].
    pub(crate) fn from_wire(reason: u8) -> Self {
        let known = Self::ALL.into_iter().find(|known| *known as u8 == reason);
        known.unwrap_or(Self::Cut)
    }

    /// Whether a decision or a rule ended the session, rather than its client, a connection fault
    /// or the server's shutdown.
    #[must_use]
    pub fn is_decision(self) -> bool {
        !matches!(
            self,
            Self::Done | Self::Stopping | Self::Idle | Self::Replaced
        )
    }

    /// A description for the user of the session.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Done => "it was closed",
            Self::Cut => "it was cut",
            Self::Expired => "its time is over",
            Self::Stopping => "the site stops",
            Self::Idle => "it was silent for too long",
            Self::Replaced => "its client resumed it over another connection",
            Self::Locked => "the account was locked",
            Self::Deleted => "the account was deleted",
            Self::Changed => "the account was renamed or has another role",
            Self::KeyRevoked => "its key was revoked",
            Self::PassphraseChanged => "the pass phrase was changed",
            Self::OptionDisabled => "its encryption option is not on offer any more",
            Self::NotProved => "too many proofs in it failed",
            Self::Lockdown => "the account or the site is in lockdown",
        }
    }

    /// A stable one-word name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Cut => "cut",
            Self::Expired => "expired",
            Self::Stopping => "stopping",
            Self::Idle => "idle",
            Self::Replaced => "replaced",
            Self::Locked => "locked",
            Self::Deleted => "deleted",
            Self::Changed => "changed",
            Self::KeyRevoked => "key_revoked",
            Self::PassphraseChanged => "passphrase_changed",
            Self::OptionDisabled => "option_disabled",
            Self::NotProved => "not_proved",
            Self::Lockdown => "lockdown",
        }
    }
}

/// A session's id: public, unique within its site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(pub [u8; 16]);

/// The first message of a site inside a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The session's id.
    pub session: SessionId,
    /// The account's full name with its zone.
    pub account: String,
    /// When the session expires unless its keys are renewed, in milliseconds since 1970 UTC by the
    /// site's clock.
    pub expires: u64,
    /// After how many milliseconds of silence the site ends the session; 0 for no limit.
    pub idle_limit: u32,
}
