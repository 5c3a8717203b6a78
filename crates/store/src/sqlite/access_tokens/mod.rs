//! Access tokens, and the requests over HTTP that were completed.

mod write;

use async_trait::async_trait;
use countersign_core::access_tokens::{AccessToken, AccessTokenHash};
use countersign_core::accounts::Account;
use countersign_core::id::{AccessTokenId, AccountId};
use countersign_core::page::Page;
use countersign_core::store::{AccessTokens, CompletedRequest, DamagedRow, StoreError};
use countersign_core::timestamp::Timestamp;

use super::SqliteStore;
use super::accounts::account_row;
use super::reads::{many, one, page_query};
use super::row::{Columns, damaged, owned};

pub(super) use write::{apply, complete};

macro_rules! select {
    ($others:literal, $from:literal) => {
        concat!(
            "SELECT token.id, account.id, token.token_hash, token.label, token.operations, \
             token.created, token.expires, token.last_used",
            $others,
            " FROM ",
            $from
        )
    };
}

const BY_HASH: &str = select!(
    ", account.id, account.name, account.kind, account.role, account.full_name, account.email, \
     account.state, account.revision, account.created, account.changed",
    "access_token AS token JOIN account ON account.key = token.account WHERE token.token_hash = ?"
);
const BY_ID: &str = select!(
    "",
    "access_token AS token JOIN account ON account.key = token.account WHERE token.id = ?"
);
// CROSS JOIN keeps SQLite from turning the join round: an account's own tokens are found by their
// index.
const OF_ACCOUNT: &str = select!(
    "",
    "account CROSS JOIN access_token AS token ON token.account = account.key \
     WHERE account.id = ? AND token.id > ? ORDER BY token.id LIMIT ?"
);
const ALL: &str = select!(
    "",
    "access_token AS token CROSS JOIN account ON account.key = token.account \
     WHERE token.id > ? ORDER BY token.id LIMIT ?"
);
const COMPLETED: &str = "SELECT done.request, done.credential, done.at FROM account \
     CROSS JOIN completed_request AS done ON done.account = account.key \
     WHERE account.id = ? AND done.idempotency_key = ?";

#[async_trait]
impl AccessTokens for SqliteStore {
    async fn access_token_login(
        &self,
        hash: &AccessTokenHash,
    ) -> Result<Option<(Account, AccessToken)>, StoreError> {
        let query = sqlx::query(BY_HASH).bind(hash.0.to_vec());
        one(&self.readers, query, |columns| {
            let token = row(columns)?;
            Ok((account_row(columns)?, token))
        })
        .await
    }

    async fn access_token(&self, id: AccessTokenId) -> Result<Option<AccessToken>, StoreError> {
        let query = sqlx::query(BY_ID).bind(id.as_bytes().to_vec());
        one(&self.readers, query, row).await
    }

    async fn access_tokens(
        &self,
        account: Option<AccountId>,
        page: &Page<AccessTokenId>,
    ) -> Result<Vec<Result<AccessToken, DamagedRow<AccessTokenId>>>, StoreError> {
        let after = page.after.map(|id| *id.as_bytes());
        let query = page_query(OF_ACCOUNT, ALL, account, after, page.limit);
        many(&self.readers, query, listed).await
    }

    async fn damaged_access_token(
        &self,
        id: AccessTokenId,
    ) -> Result<Option<DamagedRow<AccessTokenId>>, StoreError> {
        let query = sqlx::query(BY_ID).bind(id.as_bytes().to_vec());
        let listed = one(&self.readers, query, listed).await?;
        Ok(listed.and_then(Result::err))
    }

    async fn completed_request(
        &self,
        account: AccountId,
        key: &[u8; 32],
    ) -> Result<Option<CompletedRequest>, StoreError> {
        let query = sqlx::query(COMPLETED)
            .bind(account.as_bytes().to_vec())
            .bind(key.to_vec());
        one(&self.readers, query, |columns| {
            let (request, credential) = (columns.bytes()?, columns.bytes()?);
            let at = columns.time()?;
            Ok(CompletedRequest {
                account,
                key: *key,
                request,
                credential,
                at,
                forget_before: at,
            })
        })
        .await
    }
}

fn row(columns: &mut Columns<'_>) -> Result<AccessToken, StoreError> {
    Ok(listed(columns)??)
}

fn listed(
    columns: &mut Columns<'_>,
) -> Result<Result<AccessToken, DamagedRow<AccessTokenId>>, StoreError> {
    owned(columns, AccessTokenId::from_bytes, whole)
}

fn whole(
    columns: &mut Columns<'_>,
    id: AccessTokenId,
    account: AccountId,
) -> Result<AccessToken, StoreError> {
    Ok(AccessToken {
        id,
        account,
        token_hash: AccessTokenHash(columns.bytes()?),
        label: columns.take()?,
        operations: {
            let names: &str = columns.take()?;
            serde_json::from_str(names).map_err(|error| damaged(&error))?
        },
        created: columns.time()?,
        expires: columns.time()?,
        last_used: columns.take::<Option<i64>>()?.map(Timestamp::from_millis),
    })
}
