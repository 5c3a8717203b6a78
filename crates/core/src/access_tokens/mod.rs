//! Access tokens: bearer secrets with which a program calls operations over HTTP.
//!
//! ```text
//!             create                      expiry
//! (nothing) ─────────▶ valid ───────────────────▶ expired
//!                        │                           │ another token of the account is created
//!                        │ revoke, new pass phrase,  ▼
//!                        └────────────────────────▶ deleted
//!                          account deleted
//! ```
//!
//! The site stores the SHA-256 of a token, never the token. A token permits the operations that it
//! names, and never more than the role of its account. While the account is locked, disabled or in
//! lockdown, its tokens are refused.

mod secret;

use countersign_crypto::hash::sha256;

use crate::id::{AccessTokenId, AccountId};
use crate::timestamp::Timestamp;

pub use secret::{AccessTokenSecret, BadAccessToken, PREFIX};

/// The maximum number of stored tokens of one account, so that no account fills the store.
pub const MAX_TOKENS_PER_ACCOUNT: u64 = 64;
/// The maximum number of operations that one token names. It bounds the size of a stored token.
pub const MAX_OPERATIONS_PER_TOKEN: usize = 64;
/// The shortest lifetime of a token, in seconds.
pub const MIN_LIFETIME: u32 = 60;
/// The lifetime of a token if its creator names none, in seconds: 30 days.
pub const USUAL_LIFETIME: u32 = 30 * 24 * 60 * 60;
/// The time after its expiry during which a token is still listed, in seconds: 7 days.
pub const LISTED_AFTER_EXPIRY: u32 = 7 * 24 * 60 * 60;

/// SHA-256 of a token. It does not reveal the token, of which there are 2^256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccessTokenHash(pub [u8; 32]);

impl AccessTokenHash {
    /// The hash of the token with these bytes.
    #[must_use]
    pub fn of(token: &[u8; 32]) -> Self {
        Self(sha256(token))
    }
}

/// An access token as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// Its id, which the token itself does not contain.
    pub id: AccessTokenId,
    /// The account that calls operations with it.
    pub account: AccountId,
    /// SHA-256 of the token; unique in the site.
    pub token_hash: AccessTokenHash,
    /// A label for people; may be empty.
    pub label: String,
    /// The names of the operations that it permits, as `group.command`, sorted.
    pub operations: Vec<String>,
    /// When it was created.
    pub created: Timestamp,
    /// The first moment at which it is refused.
    pub expires: Timestamp,
    /// When it was last used, as far as that was written.
    pub last_used: Option<Timestamp>,
}
