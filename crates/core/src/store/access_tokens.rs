//! Access tokens, and the requests over HTTP that were completed.

use async_trait::async_trait;

use super::{DamagedRow, StoreError};
use crate::access_tokens::{AccessToken, AccessTokenHash};
use crate::accounts::Account;
use crate::id::{AccessTokenId, AccountId};
use crate::page::Page;
use crate::timestamp::Timestamp;

/// The maximum number of completed requests that are stored for one account. Another one replaces
/// the oldest.
pub const MAX_COMPLETED_REQUESTS: u64 = 1_000;
/// The maximum number of completed requests that are stored for one credential of an account. Another
/// one replaces the oldest of the same credential: a stolen one does not use up the account's.
pub const MAX_COMPLETED_REQUESTS_OF_CREDENTIAL: u64 = MAX_COMPLETED_REQUESTS / 2;

/// Reads access tokens and completed requests.
#[async_trait]
pub trait AccessTokens: Send + Sync {
    /// The token with this hash and the account that owns it, in one look-up.
    async fn access_token_login(
        &self,
        hash: &AccessTokenHash,
    ) -> Result<Option<(Account, AccessToken)>, StoreError>;

    /// The token with this id.
    async fn access_token(&self, id: AccessTokenId) -> Result<Option<AccessToken>, StoreError>;

    /// The tokens of this account, or of all accounts, oldest first. A damaged token is an entry of the
    /// list and does not prevent reading the others.
    async fn access_tokens(
        &self,
        account: Option<AccountId>,
        page: &Page<AccessTokenId>,
    ) -> Result<Vec<Result<AccessToken, DamagedRow<AccessTokenId>>>, StoreError>;

    /// The token of this id if it exists and cannot be read.
    async fn damaged_access_token(
        &self,
        id: AccessTokenId,
    ) -> Result<Option<DamagedRow<AccessTokenId>>, StoreError>;

    /// The completed request of this account with this key.
    async fn completed_request(
        &self,
        account: AccountId,
        key: &[u8; 32],
    ) -> Result<Option<CompletedRequest>, StoreError>;
}

/// A request with an idempotency key that was carried out. It is written in the same transaction as
/// the change that it made, so that a repetition is recognised after a crash too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletedRequest {
    /// The account that sent it.
    pub account: AccountId,
    /// SHA-256 of its idempotency key.
    pub key: [u8; 32],
    /// SHA-256 of the request itself.
    pub request: [u8; 32],
    /// SHA-256 of the name of the credential that sent it
    /// ([`HttpCredential::digest`](crate::access::HttpCredential::digest)).
    pub credential: [u8; 32],
    /// When it was carried out.
    pub at: Timestamp,
    /// Requests of the account that were carried out before this are forgotten with the change.
    pub forget_before: Timestamp,
}

/// A change of access tokens.
#[derive(Debug, Clone, PartialEq)]
pub enum AccessTokenChange {
    /// A new token. [`StoreError::Conflict`] if the id or the token is taken, or if the account has
    /// [`MAX_TOKENS_PER_ACCOUNT`](crate::access_tokens::MAX_TOKENS_PER_ACCOUNT) tokens.
    Insert(AccessToken),
    /// Deletes a token. [`StoreError::NotFound`] if there is none.
    Delete {
        /// The token.
        id: AccessTokenId,
        /// Its account.
        account: AccountId,
    },
    /// Deletes the tokens of an account that expired before a moment; all if there is no moment.
    DeleteOf {
        /// The account.
        account: AccountId,
        /// The moment.
        expired_before: Option<Timestamp>,
    },
    /// Tokens were used. Changes nothing for a token that is gone.
    Used(Vec<(AccessTokenId, Timestamp)>),
}

impl AccessTokenChange {
    /// The account whose tokens change; `None` if the change does not depend on an account.
    #[must_use]
    pub const fn account(&self) -> Option<AccountId> {
        match self {
            Self::Insert(token) => Some(token.account),
            Self::Delete { account, .. } | Self::DeleteOf { account, .. } => Some(*account),
            Self::Used(_) => None,
        }
    }
}
