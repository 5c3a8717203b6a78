//! Every limit of edition v2, with its reason.

/// How old something may be, in milliseconds: as long as what was answered has to be remembered.
pub const TOLERANCE: u64 = 60_000;

/// How far in the future a request may have been made, in milliseconds, by a consumer that was told the site's
/// time: so long after a start a site cannot know whether the run before answered it.
pub const AHEAD: u64 = 1_000;

/// The longest ticket is good for, in milliseconds: a day. Whoever was locked meanwhile is refused after
/// that at the latest.
pub const MAX_TICKET: u64 = 24 * 60 * 60 * 1_000;

/// How long a ticket key of the fast path is that of new tickets, in milliseconds: a day, so that a provider that
/// can ask now and then always has the next one.
pub const TICKET_KEY: u64 = 24 * 60 * 60 * 1_000;

/// The most tickets in one request of the fast path: their answer is some 300 KiB.
pub const TICKETS: usize = 256;

/// The longest sealed message, in characters: two messages of X-Wing within each other, and what the site
/// tells of an application.
pub const SEALED: usize = 65_536;

/// The longest id of a party, in bytes.
pub const ID: usize = 128;
