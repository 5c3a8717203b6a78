//! Accounts with their credentials. Each read is one statement and each lookup uses an index.

pub(super) mod row;
mod words;
mod write;

use async_trait::async_trait;
use countersign_core::accounts::{
    Account, AccountSearch, DeliveredKeyCredential, KeyCredential, Kind, PassphraseCredential,
    PersonData,
};
use countersign_core::id::AccountId;
use countersign_core::page::Page;
use countersign_core::store::{Accounts, DamagedAccount, StoreError, WholeAccount};
use countersign_crypto::certificate::Thumbprint;
use countersign_proto::name::AccountName;
use sqlx::sqlite::SqliteConnection;

use super::SqliteStore;
use super::reads::{many, one};

pub(super) use row::account as account_row;
pub(super) use words::write_missing as write_missing_words;
pub(super) use write::Changes;

macro_rules! account_columns {
    () => {
        "account.id, account.name, account.kind, account.role, account.full_name, account.email, \
         account.state, account.revision, account.created, account.changed"
    };
}

pub(super) use account_columns;

macro_rules! passphrase_columns {
    () => {
        "passphrase.version, passphrase.suite, passphrase.setup, passphrase.credential_id, \
         passphrase.record, passphrase.sealed_identity, passphrase.certificate, passphrase.changed"
    };
}

macro_rules! key_columns {
    () => {
        "account_key.thumbprint, account_key.certificate, account_key.agreement, \
         account_key.label, account_key.added"
    };
}

#[async_trait]
impl Accounts for SqliteStore {
    async fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let query = sqlx::query(concat!(
            "SELECT ",
            account_columns!(),
            " FROM account WHERE id = ?"
        ));
        one(
            &self.readers,
            query.bind(id.as_bytes().to_vec()),
            row::account,
        )
        .await
    }

    async fn account_by_name(&self, name: &AccountName) -> Result<Option<Account>, StoreError> {
        let query = sqlx::query(concat!(
            "SELECT ",
            account_columns!(),
            " FROM account WHERE name = ?"
        ));
        one(&self.readers, query.bind(name.to_string()), row::account).await
    }

    async fn accounts(
        &self,
        kind: Kind,
        page: &Page<String>,
        search: Option<&AccountSearch>,
    ) -> Result<Vec<Result<Account, DamagedAccount>>, StoreError> {
        // The kind is part of the text, so that SQLite can use the index of services. An account of an unknown
        // kind is listed with the persons.
        let text = match kind {
            Kind::Person => concat!(
                "SELECT ",
                account_columns!(),
                " FROM account WHERE kind <> 'service' AND name > ? ORDER BY name LIMIT ?"
            ),
            Kind::Service => concat!(
                "SELECT ",
                account_columns!(),
                " FROM account WHERE kind = 'service' AND name > ? ORDER BY name LIMIT ?"
            ),
        };
        // The empty text sorts before every name.
        let after = page.after.clone().unwrap_or_default();
        let query = match search {
            None => sqlx::query(text).bind(after).bind(page.limit),
            Some(search) => words::found(&self.readers, kind, page, search).await?,
        };
        many(&self.readers, query, row::listed_account).await
    }

    async fn damaged_account(
        &self,
        kind: Kind,
        name: &str,
    ) -> Result<Option<DamagedAccount>, StoreError> {
        let text = match kind {
            Kind::Person => concat!(
                "SELECT ",
                account_columns!(),
                " FROM account WHERE name = ? AND kind <> 'service'"
            ),
            Kind::Service => concat!(
                "SELECT ",
                account_columns!(),
                " FROM account WHERE name = ? AND kind = 'service'"
            ),
        };
        let query = sqlx::query(text).bind(name.to_owned());
        let listed = one(&self.readers, query, row::listed_account).await?;
        Ok(listed.and_then(Result::err))
    }

    async fn with_data(&self, id: AccountId) -> Result<Option<(Account, PersonData)>, StoreError> {
        let query = sqlx::query(concat!(
            "SELECT ",
            account_columns!(),
            ", person_data.document FROM account \
             LEFT JOIN person_data ON person_data.account = account.key WHERE account.id = ?"
        ));
        one(
            &self.readers,
            query.bind(id.as_bytes().to_vec()),
            |columns| {
                let account = row::account(columns)?;
                let data = row::person_data(columns)?;
                Ok((account, data))
            },
        )
        .await
    }

    async fn whole_account(&self, id: AccountId) -> Result<Option<WholeAccount>, StoreError> {
        let query = sqlx::query(concat!(
            "SELECT ",
            account_columns!(),
            ", person_data.document, passphrase.setup, account_key.key, ",
            key_columns!(),
            " FROM account \
             LEFT JOIN person_data ON person_data.account = account.key \
             LEFT JOIN passphrase ON passphrase.account = account.key \
             LEFT JOIN account_key ON account_key.account = account.key \
             WHERE account.id = ? ORDER BY account_key.key"
        ));
        // A row for each key, or one.
        let rows = many(
            &self.readers,
            query.bind(id.as_bytes().to_vec()),
            row::whole_account,
        );
        let whole = rows.await?.into_iter().reduce(|mut whole, next| {
            whole.keys.extend(next.keys);
            whole
        });
        Ok(whole)
    }

    async fn passphrase(
        &self,
        account: AccountId,
    ) -> Result<Option<PassphraseCredential>, StoreError> {
        let query = sqlx::query(concat!(
            "SELECT ",
            passphrase_columns!(),
            " FROM account JOIN passphrase ON passphrase.account = account.key WHERE account.id = ?"
        ));
        one(
            &self.readers,
            query.bind(account.as_bytes().to_vec()),
            |columns| row::passphrase(columns, account),
        )
        .await
    }

    async fn passphrase_login(
        &self,
        name: &AccountName,
    ) -> Result<Option<(Account, PassphraseCredential)>, StoreError> {
        let query = sqlx::query(concat!(
            "SELECT ",
            account_columns!(),
            ", ",
            passphrase_columns!(),
            " FROM account JOIN passphrase ON passphrase.account = account.key WHERE account.name = ?"
        ));
        one(&self.readers, query.bind(name.to_string()), |columns| {
            let account = row::account(columns)?;
            let credential = row::passphrase(columns, account.id)?;
            Ok((account, credential))
        })
        .await
    }

    async fn delivered_key(
        &self,
        account: AccountId,
    ) -> Result<Option<DeliveredKeyCredential>, StoreError> {
        let query = sqlx::query(
            "SELECT delivered_key.certificate, delivered_key.encrypted_key, delivered_key.changed \
             FROM delivered_key JOIN account ON account.key = delivered_key.account \
             WHERE account.id = ?",
        );
        one(
            &self.readers,
            query.bind(account.as_bytes().as_slice()),
            |columns| row::delivered_key(columns, account),
        )
        .await
    }

    async fn delivered_login(
        &self,
        name: &AccountName,
    ) -> Result<Option<(Account, DeliveredKeyCredential)>, StoreError> {
        let query = sqlx::query(concat!(
            "SELECT ",
            account_columns!(),
            ", delivered_key.certificate, delivered_key.encrypted_key, delivered_key.changed \
             FROM account JOIN delivered_key ON delivered_key.account = account.key \
             WHERE account.name = ?"
        ));
        one(&self.readers, query.bind(name.to_string()), |columns| {
            let account = row::account(columns)?;
            let credential = row::delivered_key(columns, account.id)?;
            Ok((account, credential))
        })
        .await
    }

    async fn key_login(
        &self,
        thumbprint: &Thumbprint,
    ) -> Result<Option<(Account, KeyCredential)>, StoreError> {
        let query = sqlx::query(concat!(
            "SELECT ",
            account_columns!(),
            ", ",
            key_columns!(),
            " FROM account_key JOIN account ON account.key = account_key.account \
             WHERE account_key.thumbprint = ?"
        ));
        one(
            &self.readers,
            query.bind(thumbprint.0.to_vec()),
            |columns| {
                let account = row::account(columns)?;
                let key = row::key(columns, account.id)?;
                Ok((account, key))
            },
        )
        .await
    }

    async fn keys_of(&self, account: AccountId) -> Result<Vec<KeyCredential>, StoreError> {
        let query = sqlx::query(concat!(
            "SELECT ",
            key_columns!(),
            " FROM account JOIN account_key ON account_key.account = account.key \
             WHERE account.id = ? ORDER BY account_key.key"
        ));
        many(
            &self.readers,
            query.bind(account.as_bytes().to_vec()),
            |columns| row::key(columns, account),
        )
        .await
    }
}

/// Whether the account of that name is damaged; `None` if there is none.
async fn is_damaged_account(
    connection: &mut SqliteConnection,
    name: &str,
) -> Result<Option<bool>, StoreError> {
    let query = sqlx::query(concat!(
        "SELECT ",
        account_columns!(),
        " FROM account WHERE name = ?"
    ));
    let listed = one(connection, query.bind(name.to_owned()), row::listed_account);
    Ok(listed.await?.map(|listed| listed.is_err()))
}
