//! Access tokens, and the requests over HTTP that were completed.

use async_trait::async_trait;

use super::MemoryStore;
use super::rows::Rows;
use crate::access_tokens::{AccessToken, AccessTokenHash, MAX_TOKENS_PER_ACCOUNT};
use crate::accounts::Account;
use crate::id::{AccessTokenId, AccountId};
use crate::page::Page;
use crate::store::{
    AccessTokenChange, AccessTokens, CompletedRequest, DamagedRow, MAX_COMPLETED_REQUESTS,
    MAX_COMPLETED_REQUESTS_OF_CREDENTIAL, StoreError, Thing, Unique,
};

#[derive(Debug, Default)]
pub(super) struct AccessTokenRows {
    tokens: Rows<AccessTokenId, AccessToken>,
    by_hash: Rows<AccessTokenHash, AccessTokenId>,
    completed: Rows<(AccountId, [u8; 32]), CompletedRequest>,
}

impl AccessTokenRows {
    /// `has` returns whether an account exists.
    pub(super) fn apply(
        &mut self,
        change: &AccessTokenChange,
        has: impl Fn(AccountId) -> bool,
    ) -> Result<(), StoreError> {
        match change {
            AccessTokenChange::Insert(token) if !has(token.account) => Err(StoreError::NotFound {
                what: Thing::Account,
            }),
            AccessTokenChange::Insert(token) => self.insert(token),
            AccessTokenChange::Delete { id, account } => {
                let found = self.tokens.get(id).filter(|one| one.account == *account);
                let what = Thing::AccessToken;
                found.ok_or(StoreError::NotFound { what })?;
                self.remove(*account, |token| token.id == *id);
                Ok(())
            }
            AccessTokenChange::DeleteOf {
                account,
                expired_before,
            } => {
                self.remove(*account, |token| {
                    expired_before.is_none_or(|before| token.expires < before)
                });
                Ok(())
            }
            AccessTokenChange::Used(tokens) => {
                for (id, at) in tokens {
                    if let Some(token) = self.tokens.get(id).cloned() {
                        let last_used = Some(*at);
                        self.tokens.put(*id, AccessToken { last_used, ..token });
                    }
                }
                Ok(())
            }
        }
    }

    fn insert(&mut self, token: &AccessToken) -> Result<(), StoreError> {
        let own = self.tokens.values();
        let own = own.filter(|one| one.account == token.account).count();
        let taken = self.tokens.get(&token.id).is_some();
        let what = match self.by_hash.get(&token.token_hash) {
            _ if own as u64 >= MAX_TOKENS_PER_ACCOUNT => Unique::AccessTokenRoom,
            None if !taken => {
                self.by_hash.put(token.token_hash, token.id);
                self.tokens.put(token.id, token.clone());
                return Ok(());
            }
            _ => Unique::AccessToken,
        };
        Err(StoreError::Conflict { what })
    }

    pub(super) fn complete(&mut self, request: &CompletedRequest) -> Result<(), StoreError> {
        let own = self.completed.values();
        let mut own: Vec<_> = own
            .filter(|one| one.account == request.account)
            .map(|one| (one.at, one.key, one.credential))
            .collect();
        own.sort_unstable();
        let mut of_account = MAX_COMPLETED_REQUESTS - 1;
        let mut of_credential = MAX_COMPLETED_REQUESTS_OF_CREDENTIAL - 1;
        for (at, key, credential) in own.into_iter().rev() {
            let same = credential == request.credential;
            let stays =
                at >= request.forget_before && of_account > 0 && (!same || of_credential > 0);
            if stays {
                of_account -= 1;
                of_credential -= u64::from(same);
            } else {
                self.completed.remove(&(request.account, key));
            }
        }
        let key = (request.account, request.key);
        if self.completed.get(&key).is_some() {
            let what = Unique::CompletedRequest;
            return Err(StoreError::Conflict { what });
        }
        self.completed.put(key, request.clone());
        Ok(())
    }

    /// Removes what belongs to an account that is deleted.
    pub(super) fn delete_of(&mut self, account: AccountId) {
        self.remove(account, |_| true);
        let completed = self.completed.values();
        let completed = completed.filter(|one| one.account == account);
        let completed: Vec<_> = completed.map(|one| (account, one.key)).collect();
        for key in completed {
            self.completed.remove(&key);
        }
    }

    fn remove(&mut self, account: AccountId, gone: impl Fn(&AccessToken) -> bool) {
        let tokens = self.tokens.values();
        let gone: Vec<_> = tokens
            .filter(|token| token.account == account && gone(token))
            .map(|token| (token.id, token.token_hash))
            .collect();
        for (id, hash) in gone {
            self.tokens.remove(&id);
            self.by_hash.remove(&hash);
        }
    }

    pub(super) fn commit(&mut self) {
        self.tokens.commit();
        self.by_hash.commit();
        self.completed.commit();
    }

    pub(super) fn roll_back(&mut self) {
        self.tokens.roll_back();
        self.by_hash.roll_back();
        self.completed.roll_back();
    }
}

#[async_trait]
impl AccessTokens for MemoryStore {
    async fn access_token_login(
        &self,
        hash: &AccessTokenHash,
    ) -> Result<Option<(Account, AccessToken)>, StoreError> {
        self.read(|rows| {
            let id = rows.access_tokens.by_hash.get(hash)?;
            let token = rows.access_tokens.tokens.get(id)?;
            let account = rows.accounts.of(token.account)?;
            Some((account.clone(), token.clone()))
        })
        .await
    }

    async fn access_token(&self, id: AccessTokenId) -> Result<Option<AccessToken>, StoreError> {
        self.read(|rows| rows.access_tokens.tokens.get(&id).cloned())
            .await
    }

    async fn access_tokens(
        &self,
        account: Option<AccountId>,
        page: &Page<AccessTokenId>,
    ) -> Result<Vec<Result<AccessToken, DamagedRow<AccessTokenId>>>, StoreError> {
        self.read(|rows| {
            let behind = rows.access_tokens.tokens.after(page.after.as_ref());
            let wanted = behind
                .map(|(_, token)| token)
                .filter(|token| account.is_none_or(|account| token.account == account));
            let wanted = wanted.take(page.limit as usize);
            wanted.map(|token| Ok(token.clone())).collect()
        })
        .await
    }

    /// Tokens in memory are never damaged.
    async fn damaged_access_token(
        &self,
        _: AccessTokenId,
    ) -> Result<Option<DamagedRow<AccessTokenId>>, StoreError> {
        Ok(None)
    }

    async fn completed_request(
        &self,
        account: AccountId,
        key: &[u8; 32],
    ) -> Result<Option<CompletedRequest>, StoreError> {
        self.read(|rows| rows.access_tokens.completed.get(&(account, *key)).cloned())
            .await
    }
}
