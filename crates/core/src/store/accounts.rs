//! Accounts and what they log in with.

use async_trait::async_trait;
use countersign_crypto::certificate::Thumbprint;
use countersign_proto::name::AccountName;

use super::StoreError;
use crate::accounts::{Account, DeliveredKeyCredential, KeyCredential, Kind, PassphraseCredential};
use crate::id::AccountId;
use crate::page::Page;

/// Reads accounts and their credentials.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// The account of that id.
    async fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError>;

    /// The account of that name.
    async fn account_by_name(&self, name: &AccountName) -> Result<Option<Account>, StoreError>;

    /// Accounts of a kind, by name. One that cannot be read takes its place in the list and does not keep the
    /// others out of it; it is a person unless it is a service.
    async fn accounts(
        &self,
        kind: Kind,
        page: &Page<String>,
    ) -> Result<Vec<Result<Account, DamagedAccount>>, StoreError>;

    /// The account of that kind and name, if it is there and cannot be read.
    async fn damaged_account(
        &self,
        kind: Kind,
        name: &str,
    ) -> Result<Option<DamagedAccount>, StoreError>;

    /// The pass phrase credential of that account.
    async fn passphrase(
        &self,
        account: AccountId,
    ) -> Result<Option<PassphraseCredential>, StoreError>;

    /// What a person of that name logs in with, in one look-up.
    async fn passphrase_login(
        &self,
        name: &AccountName,
    ) -> Result<Option<(Account, PassphraseCredential)>, StoreError>;

    /// What is delivered of that account.
    async fn delivered_key(
        &self,
        account: AccountId,
    ) -> Result<Option<DeliveredKeyCredential>, StoreError>;

    /// What is delivered of the person of that name, in one look-up.
    async fn delivered_login(
        &self,
        name: &AccountName,
    ) -> Result<Option<(Account, DeliveredKeyCredential)>, StoreError>;

    /// What the owner of that key logs in with, in one look-up.
    async fn key_login(
        &self,
        thumbprint: &Thumbprint,
    ) -> Result<Option<(Account, KeyCredential)>, StoreError>;

    /// The keys of that account, oldest first. An account has at most [`KEYS_PER_ACCOUNT`].
    async fn keys_of(&self, account: AccountId) -> Result<Vec<KeyCredential>, StoreError>;
}

/// The most keys that one account may have.
pub const KEYS_PER_ACCOUNT: usize = 64;

/// An account of which what is stored cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedAccount {
    /// Its id, if that can be read.
    pub id: Option<AccountId>,
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub problem: String,
}
