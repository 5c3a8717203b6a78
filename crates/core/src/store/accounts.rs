//! Reading accounts and their credentials.

use async_trait::async_trait;
use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::passphrase::SetupId;
use countersign_proto::name::AccountName;

use super::StoreError;
use crate::accounts::{
    Account, AccountSearch, DeliveredKeyCredential, KeyCredential, Kind, PassphraseCredential,
    PersonData,
};
use crate::id::AccountId;
use crate::page::Page;

/// Reads accounts and their credentials.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Returns the account with this id.
    async fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError>;

    /// Returns the account with this name.
    async fn account_by_name(&self, name: &AccountName) -> Result<Option<Account>, StoreError>;

    /// Returns a page of the accounts of a kind, sorted by name: all, or those that the search
    /// finds. A damaged account is an entry of the list and does not prevent reading the others. It
    /// counts as a person unless it is known to be a service.
    async fn accounts(
        &self,
        kind: Kind,
        page: &Page<String>,
        search: Option<&AccountSearch>,
    ) -> Result<Vec<Result<Account, DamagedAccount>>, StoreError>;

    /// Returns the account of this kind and name if it exists and cannot be read.
    async fn damaged_account(
        &self,
        kind: Kind,
        name: &str,
    ) -> Result<Option<DamagedAccount>, StoreError>;

    /// Returns an account and the data of its person, in one query. The data is empty if none was stored.
    async fn with_data(&self, id: AccountId) -> Result<Option<(Account, PersonData)>, StoreError>;

    /// Returns an account with what belongs to it, in one query.
    async fn whole_account(&self, id: AccountId) -> Result<Option<WholeAccount>, StoreError>;

    /// Returns the pass phrase credential of this account.
    async fn passphrase(
        &self,
        account: AccountId,
    ) -> Result<Option<PassphraseCredential>, StoreError>;

    /// Returns the account and the pass phrase credential of a person, in one query.
    async fn passphrase_login(
        &self,
        name: &AccountName,
    ) -> Result<Option<(Account, PassphraseCredential)>, StoreError>;

    /// Returns the delivered key of this account.
    async fn delivered_key(
        &self,
        account: AccountId,
    ) -> Result<Option<DeliveredKeyCredential>, StoreError>;

    /// Returns the account and the delivered key of a person, in one query.
    async fn delivered_login(
        &self,
        name: &AccountName,
    ) -> Result<Option<(Account, DeliveredKeyCredential)>, StoreError>;

    /// Returns the account and the credential that belong to this key, in one query.
    async fn key_login(
        &self,
        thumbprint: &Thumbprint,
    ) -> Result<Option<(Account, KeyCredential)>, StoreError>;

    /// Returns the keys of this account, oldest first. An account has at most [`KEYS_PER_ACCOUNT`].
    async fn keys_of(&self, account: AccountId) -> Result<Vec<KeyCredential>, StoreError>;
}

/// The maximum number of keys of an account.
pub const KEYS_PER_ACCOUNT: usize = 64;

/// An account with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeAccount {
    /// The account.
    pub account: Account,
    /// The data of the person; empty if none was stored.
    pub data: PersonData,
    /// The OPAQUE server setup under which the pass phrase was registered; `None` without one.
    pub setup: Option<SetupId>,
    /// The keys, oldest first: at most [`KEYS_PER_ACCOUNT`].
    pub keys: Vec<KeyCredential>,
}

/// An account whose stored form cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedAccount {
    /// The account's id, if it can be read.
    pub id: Option<AccountId>,
    /// The account's name.
    pub name: String,
    /// What is wrong with the stored form.
    pub problem: String,
}
