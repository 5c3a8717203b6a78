//! Every limit of edition v2 and its reason.

/// The maximum age of a message, in milliseconds. Replay caches remember a message this long.
pub const TOLERANCE: u64 = 60_000;

/// How far in the future a request may be dated, in milliseconds. A consumer knows the site's time,
/// so this is short. After a restart the site cannot know for this long which requests it already
/// answered.
pub const AHEAD: u64 = 1_000;

/// The maximum lifetime of a ticket, in milliseconds: a day. A consumer that is locked keeps no
/// access for longer.
pub const MAX_TICKET: u64 = 24 * 60 * 60 * 1_000;

/// The maximum lifetime of a ticket across sites, in milliseconds: an hour. When a site cannot tell a
/// peer that tickets are void, they end with their lifetime.
pub const MAX_FOREIGN_TICKET: u64 = 60 * 60 * 1_000;

/// The maximum length of the ciphertext of a ticket that a peer made, in bytes. The path of the ticket
/// is its longest part; the response that contains the ticket must not exceed [`SEALED`].
pub const SEALED_TICKET: usize = 8_192;

/// How long new tickets are sealed under one ticket key of the symmetric path, in milliseconds: a
/// day, so that a provider that asks from time to time always has the next key.
pub const TICKET_KEY: u64 = 24 * 60 * 60 * 1_000;

/// The maximum number of tickets in one request of the symmetric path. The response is then about
/// 300 KiB.
pub const TICKETS: usize = 256;

/// The maximum length of a sealed message, in bytes: a message sealed with X-Wing that contains
/// another one, and the site's data about an application.
pub const SEALED: usize = 65_536;

/// The maximum length of a party's id, in bytes.
pub const ID: usize = 128;
