//! Every limit of edition v1, with its reason.

/// How far two clocks may be apart, in milliseconds: what is older or newer is stale. Exactly this far is
/// not (Serveros).
pub const TOLERANCE: u64 = 60_000;

/// The longest sealed message that is read, in characters: a request with lists of everything has 3,700, and
/// 16 KiB of request target must be taken.
pub const SEALED: usize = 24_576;

/// The longest name of a cipher or hash that is repeated to whoever sent it, in bytes.
pub const NAME: usize = 64;

/// The longest id of an application, in bytes.
pub const ID: usize = 128;

/// The most keys that a lock is tried with, the newest first: as many as an application may have registered. Each
/// costs an RSA private operation.
pub const KEYS: usize = 8;

/// Nonces are below this: integers that every JSON implementation keeps exactly.
pub const NONCE_BOUND: u64 = 1 << 53;
