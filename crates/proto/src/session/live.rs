//! What the two ends of a live session know of each other besides its messages.

/// Why a session ended cleanly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Goodbye {
    /// This end has nothing more to say.
    Done = 1,
    /// An admin cut the session, or its account was locked, deleted or changed.
    Cut = 2,
    /// The session's time is over.
    Expired = 3,
    /// The site stops.
    Stopping = 4,
    /// Nothing was said for longer than the site waits.
    Idle = 5,
    /// The client returned to the session over another connection.
    Replaced = 6,
}

impl Goodbye {
    pub(crate) fn from_wire(reason: u8) -> Self {
        match reason {
            2 => Self::Cut,
            3 => Self::Expired,
            4 => Self::Stopping,
            5 => Self::Idle,
            6 => Self::Replaced,
            _ => Self::Done,
        }
    }

    /// The reason in words, as the audit log has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Cut => "cut",
            Self::Expired => "expired",
            Self::Stopping => "stopping",
            Self::Idle => "idle",
            Self::Replaced => "replaced",
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
