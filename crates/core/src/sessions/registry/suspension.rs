//! The limits on suspended sessions, and what became of a session that was to be suspended.

use crate::timestamp::Timestamp;

/// How many sessions may be suspended, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuspensionLimits {
    /// For all accounts together.
    pub total: usize,
    /// For one account.
    pub per_account: usize,
    /// When the session that is suspended now ends unless its client has resumed it. A client that went away for
    /// good, such as a closed page, leaves its session no longer than that.
    pub until: Timestamp,
}

/// The result of suspending a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspension {
    /// The session is suspended. The account's longest-suspended session may have been closed for
    /// it.
    Suspended,
    /// A limit was reached.
    LimitReached,
    /// The session was cut or moved to another connection, so there is nothing to suspend.
    Over,
}
