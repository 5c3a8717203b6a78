//! What the two ends of a live session know of each other besides its messages.

/// Why a session ended cleanly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Goodbye {
    /// This end has nothing more to say.
    Done = 1,
    /// An admin cut it, or its own account did from another session.
    Cut = 2,
    /// The session's time is over.
    Expired = 3,
    /// The site stops.
    Stopping = 4,
    /// Nothing was said for longer than the site waits.
    Idle = 5,
    /// The client resumed the session over another connection.
    Replaced = 6,
    /// Its account was locked.
    Locked = 7,
    /// Its account was deleted.
    Deleted = 8,
    /// Its account was renamed or given another role.
    Changed = 9,
    /// The key that was proved was revoked.
    KeyRevoked = 10,
    /// The pass phrase of its account was changed.
    PassphraseChanged = 11,
    /// Its encryption option was taken off.
    OptionDisabled = 12,
    /// Too many fresh proofs in it did not hold.
    NotProved = 13,
}

impl Goodbye {
    /// All reasons.
    pub const ALL: [Self; 13] = [
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
    ];

    /// The reason with that number. One that only a later version knows is a cut.
    pub(crate) fn from_wire(reason: u8) -> Self {
        let known = Self::ALL.into_iter().find(|known| *known as u8 == reason);
        known.unwrap_or(Self::Cut)
    }

    /// Whether a decision or a rule ended the session, and not its client, a fault of the connection or the
    /// end of the server.
    #[must_use]
    pub fn is_decision(self) -> bool {
        !matches!(
            self,
            Self::Done | Self::Stopping | Self::Idle | Self::Replaced
        )
    }

    /// What happened, for the user of the session.
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
        }
    }

    /// The reason in a word.
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
        }
    }
}

/// A session's id: public, unique at its site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(pub [u8; 16]);

/// What a site tells the client first inside the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The session's id.
    pub session: SessionId,
    /// The account's whole name, zone included.
    pub account: String,
    /// When the session stops being accepted unless its keys are renewed, milliseconds since 1970 UTC by
    /// the site's clock.
    pub expires: u64,
    /// How long the session may be silent before the site ends it, in milliseconds; 0 for ever.
    pub idle_limit: u32,
}
