//! Accounts and their credentials.

use async_trait::async_trait;
use countersign_crypto::certificate::Thumbprint;
use countersign_proto::name::AccountName;

use super::MemoryStore;
use super::rows::Rows;
use crate::accounts::{
    Account, AccountSearch, CredentialId, DeliveredKeyCredential, KeyCredential, Kind,
    PassphraseCredential, PersonData,
};
use crate::id::AccountId;
use crate::page::Page;
use crate::store::{Accounts, DamagedAccount, StoreError, Thing, Unique, WholeAccount};

const STALE: StoreError = StoreError::Stale {
    what: Thing::Account,
};
const NOT_FOUND: StoreError = StoreError::NotFound {
    what: Thing::Account,
};

#[derive(Debug, Default)]
pub(super) struct AccountRows {
    accounts: Rows<AccountId, Account>,
    by_name: Rows<String, AccountId>,
    data: Rows<AccountId, PersonData>,
    passphrases: Rows<AccountId, PassphraseCredential>,
    by_credential_id: Rows<[u8; 16], AccountId>,
    delivered: Rows<AccountId, DeliveredKeyCredential>,
    /// Each key with its position in the order in which keys were added.
    keys: Rows<Thumbprint, (u64, KeyCredential)>,
    /// The agreement keys that accounts have or had.
    agreements: Rows<[u8; 32], bool>,
    keys_added: u64,
}

impl AccountRows {
    pub(super) fn insert(&mut self, account: &Account) -> Result<(), StoreError> {
        if self.accounts.get(&account.id).is_some() {
            return conflict(Unique::AccountId);
        }
        self.name(account)?;
        self.accounts.put(account.id, account.clone());
        Ok(())
    }

    pub(super) fn is_active(&self, id: AccountId) -> bool {
        self.accounts.get(&id).is_some_and(Account::is_active)
    }

    pub(super) fn update(&mut self, account: &Account) -> Result<(), StoreError> {
        let before = self.accounts.get(&account.id).ok_or(NOT_FOUND)?.clone();
        if before.revision.checked_add(1) != Some(account.revision) {
            return Err(STALE);
        }
        self.by_name.remove(&before.name.to_string());
        self.name(account)?;
        let account = Account {
            kind: before.kind,
            created: before.created,
            ..account.clone()
        };
        self.accounts.put(account.id, account);
        Ok(())
    }

    fn name(&mut self, account: &Account) -> Result<(), StoreError> {
        let name = account.name.to_string();
        if self.by_name.get(&name).is_some() {
            return conflict(Unique::Name);
        }
        self.by_name.put(name, account.id);
        Ok(())
    }

    pub(super) fn delete(&mut self, id: AccountId, revision: u64) -> Result<(), StoreError> {
        let account = self.accounts.get(&id).ok_or(NOT_FOUND)?;
        if account.revision != revision {
            return Err(STALE);
        }
        self.by_name.remove(&account.name.to_string());
        self.accounts.remove(&id);
        self.data.remove(&id);
        self.release_credential_id(id);
        self.passphrases.remove(&id);
        self.delivered.remove(&id);
        for key in self.keys_of(id) {
            self.remove_key(&key);
        }
        Ok(())
    }

    pub(super) fn put_data(
        &mut self,
        account: AccountId,
        data: &PersonData,
    ) -> Result<(), StoreError> {
        self.expect(account)?;
        self.data.put(account, data.clone());
        Ok(())
    }

    /// Accounts in memory are never damaged.
    pub(super) fn delete_damaged(&self, name: &str) -> Result<(), StoreError> {
        Err(match self.by_name.get(name) {
            Some(_) => STALE,
            None => NOT_FOUND,
        })
    }

    pub(super) fn put_passphrase(
        &mut self,
        credential: &PassphraseCredential,
    ) -> Result<(), StoreError> {
        let account = self.expect(credential.account)?;
        self.release_credential_id(account);
        let id = credential.credential_id.0;
        if self.by_credential_id.get(&id).is_some() {
            return conflict(Unique::CredentialId);
        }
        self.by_credential_id.put(id, account);
        self.passphrases.put(account, credential.clone());
        Ok(())
    }

    fn release_credential_id(&mut self, account: AccountId) {
        if let Some(before) = self.passphrases.get(&account) {
            self.by_credential_id.remove(&before.credential_id.0);
        }
    }

    pub(super) fn put_delivered(
        &mut self,
        credential: &DeliveredKeyCredential,
    ) -> Result<(), StoreError> {
        let account = self.expect(credential.account)?;
        self.delivered.put(account, credential.clone());
        Ok(())
    }

    pub(super) fn delete_delivered(&mut self, account: AccountId) {
        self.delivered.remove(&account);
    }

    pub(super) fn insert_key(&mut self, key: &KeyCredential) -> Result<(), StoreError> {
        self.expect(key.account)?;
        match self.agreements.get(&key.agreement.0) {
            Some(false) => return conflict(Unique::RemovedKey),
            Some(true) => return conflict(Unique::Key),
            None if self.keys.get(&key.thumbprint).is_some() => return conflict(Unique::Key),
            None => {}
        }
        self.keys_added = self.keys_added.saturating_add(1);
        self.keys
            .put(key.thumbprint, (self.keys_added, key.clone()));
        self.agreements.put(key.agreement.0, true);
        Ok(())
    }

    pub(super) fn delete_key(
        &mut self,
        account: AccountId,
        thumbprint: &Thumbprint,
    ) -> Result<(), StoreError> {
        let found = self.keys.get(thumbprint);
        let found = found.filter(|(_, key)| key.account == account);
        let (_, key) = found.ok_or(StoreError::NotFound { what: Thing::Key })?;
        let key = key.clone();
        self.remove_key(&key);
        Ok(())
    }

    fn remove_key(&mut self, key: &KeyCredential) {
        self.keys.remove(&key.thumbprint);
        self.agreements.put(key.agreement.0, false);
    }

    pub(super) fn of(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(&id)
    }

    pub(super) fn expect(&self, account: AccountId) -> Result<AccountId, StoreError> {
        let found = self.accounts.get(&account);
        found.map(|found| found.id).ok_or(NOT_FOUND)
    }

    /// Checks that the account has this revision and this pass phrase.
    pub(super) fn expect_as(
        &self,
        id: AccountId,
        revision: u64,
        passphrase: Option<CredentialId>,
    ) -> Result<(), StoreError> {
        let account = self.accounts.get(&id).ok_or(NOT_FOUND)?;
        let own = self.passphrases.get(&id).map(|own| own.credential_id);
        match account.revision == revision && own == passphrase {
            true => Ok(()),
            false => Err(STALE),
        }
    }

    pub(super) fn has(&self, account: AccountId) -> bool {
        self.accounts.get(&account).is_some()
    }

    pub(super) fn by_name(&self) -> impl Iterator<Item = &Account> {
        let ids = self.by_name.values();
        ids.filter_map(|id| self.accounts.get(id))
    }

    fn named(&self, name: &AccountName) -> Option<&Account> {
        self.accounts.get(self.by_name.get(&name.to_string())?)
    }

    fn keys_of(&self, account: AccountId) -> Vec<KeyCredential> {
        let all = self.keys.values().filter(|(_, key)| key.account == account);
        let mut own: Vec<_> = all.collect();
        own.sort_by_key(|(place, _)| *place);
        own.into_iter().map(|(_, key)| key.clone()).collect()
    }

    pub(super) fn commit(&mut self) {
        self.accounts.commit();
        self.by_name.commit();
        self.data.commit();
        self.passphrases.commit();
        self.by_credential_id.commit();
        self.delivered.commit();
        self.keys.commit();
        self.agreements.commit();
    }

    pub(super) fn roll_back(&mut self) {
        self.accounts.roll_back();
        self.by_name.roll_back();
        self.data.roll_back();
        self.passphrases.roll_back();
        self.by_credential_id.roll_back();
        self.delivered.roll_back();
        self.keys.roll_back();
        self.agreements.roll_back();
    }
}

const fn conflict(what: Unique) -> Result<(), StoreError> {
    Err(StoreError::Conflict { what })
}

#[async_trait]
impl Accounts for MemoryStore {
    async fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        self.read(|rows| rows.accounts.accounts.get(&id).cloned())
            .await
    }

    async fn account_by_name(&self, name: &AccountName) -> Result<Option<Account>, StoreError> {
        self.read(|rows| rows.accounts.named(name).cloned()).await
    }

    async fn accounts(
        &self,
        kind: Kind,
        page: &Page<String>,
        search: Option<&AccountSearch>,
    ) -> Result<Vec<Result<Account, DamagedAccount>>, StoreError> {
        self.read(|rows| {
            let rows = &rows.accounts;
            let names = rows.by_name.after(page.after.as_ref());
            let accounts = names.filter_map(|(_, id)| rows.accounts.get(id));
            let of_kind = accounts.filter(|account| account.kind == kind);
            let found = of_kind.filter(|account| search.is_none_or(|search| search.finds(account)));
            let page = found.take(page.limit as usize);
            page.map(|account| Ok(account.clone())).collect()
        })
        .await
    }

    async fn damaged_account(
        &self,
        _: Kind,
        _: &str,
    ) -> Result<Option<DamagedAccount>, StoreError> {
        Ok(None)
    }

    async fn with_data(&self, id: AccountId) -> Result<Option<(Account, PersonData)>, StoreError> {
        self.read(|rows| {
            let account = rows.accounts.accounts.get(&id)?;
            let data = rows.accounts.data.get(&id).cloned();
            Some((account.clone(), data.unwrap_or_default()))
        })
        .await
    }

    async fn whole_account(&self, id: AccountId) -> Result<Option<WholeAccount>, StoreError> {
        self.read(|rows| {
            let rows = &rows.accounts;
            let passphrase = rows.passphrases.get(&id);
            Some(WholeAccount {
                account: rows.accounts.get(&id)?.clone(),
                data: rows.data.get(&id).cloned().unwrap_or_default(),
                setup: passphrase.map(|credential| credential.setup),
                keys: rows.keys_of(id),
            })
        })
        .await
    }

    async fn passphrase(
        &self,
        account: AccountId,
    ) -> Result<Option<PassphraseCredential>, StoreError> {
        self.read(|rows| rows.accounts.passphrases.get(&account).cloned())
            .await
    }

    async fn passphrase_login(
        &self,
        name: &AccountName,
    ) -> Result<Option<(Account, PassphraseCredential)>, StoreError> {
        self.read(|rows| {
            let account = rows.accounts.named(name)?;
            let credential = rows.accounts.passphrases.get(&account.id)?;
            Some((account.clone(), credential.clone()))
        })
        .await
    }

    async fn delivered_key(
        &self,
        account: AccountId,
    ) -> Result<Option<DeliveredKeyCredential>, StoreError> {
        self.read(|rows| rows.accounts.delivered.get(&account).cloned())
            .await
    }

    async fn delivered_login(
        &self,
        name: &AccountName,
    ) -> Result<Option<(Account, DeliveredKeyCredential)>, StoreError> {
        self.read(|rows| {
            let account = rows.accounts.named(name)?;
            let credential = rows.accounts.delivered.get(&account.id)?;
            Some((account.clone(), credential.clone()))
        })
        .await
    }

    async fn key_login(
        &self,
        thumbprint: &Thumbprint,
    ) -> Result<Option<(Account, KeyCredential)>, StoreError> {
        self.read(|rows| {
            let (_, key) = rows.accounts.keys.get(thumbprint)?;
            let account = rows.accounts.accounts.get(&key.account)?;
            Some((account.clone(), key.clone()))
        })
        .await
    }

    async fn keys_of(&self, account: AccountId) -> Result<Vec<KeyCredential>, StoreError> {
        self.read(|rows| rows.accounts.keys_of(account)).await
    }
}
