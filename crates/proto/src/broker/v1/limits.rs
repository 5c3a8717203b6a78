//! Every limit of edition v1 and its reason.

/// The maximum difference between two clocks, in milliseconds. As in Serveros, this difference
/// itself is accepted.
pub const TOLERANCE: u64 = 60_000;

/// The maximum length of a sealed message, in bytes. A request with complete lists has 3,700, and a
/// request target of 16 KiB must be accepted.
pub const SEALED: usize = 24_576;

/// The maximum length of a cipher or hash name that a refusal repeats, in bytes.
pub const NAME: usize = 64;

/// The maximum length of an application's id, in bytes.
pub const ID: usize = 128;

/// The maximum number of keys that decryption tries, newest first: as many as an application may
/// register. Each try costs an RSA private-key operation.
pub const KEYS: usize = 8;

/// Nonces are below this bound, so that every JSON implementation represents them exactly.
pub const NONCE_BOUND: u64 = 1 << 53;
