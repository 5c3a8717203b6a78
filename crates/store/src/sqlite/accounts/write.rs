//! Writes changes of accounts and credentials, kind by kind.

use countersign_core::accounts::{
    Account, CredentialId, DeliveredKeyCredential, KeyCredential, PassphraseCredential, PersonData,
};
use countersign_core::id::AccountId;
use countersign_core::store::Thing;
use countersign_crypto::certificate::Thumbprint;
use sqlx::sqlite::SqliteConnection;

use super::{is_damaged_account, words};
use crate::sqlite::failure::{Failure, document, expect, expect_damaged, not_found, stale};
use crate::sqlite::row::signed;
use crate::sqlite::statement::Many;

/// Changes of accounts, in the order in which they are written.
#[derive(Default)]
pub(in crate::sqlite) struct Changes<'a> {
    pub(in crate::sqlite) inserted: Vec<&'a Account>,
    pub(in crate::sqlite) updated: Vec<&'a Account>,
    pub(in crate::sqlite) data: Vec<(AccountId, &'a PersonData)>,
    pub(in crate::sqlite) passphrases: Vec<&'a PassphraseCredential>,
    pub(in crate::sqlite) withdrawn: Vec<AccountId>,
    pub(in crate::sqlite) delivered: Vec<&'a DeliveredKeyCredential>,
    pub(in crate::sqlite) keys: Vec<&'a KeyCredential>,
    pub(in crate::sqlite) revoked: Vec<(AccountId, Thumbprint)>,
    pub(in crate::sqlite) deleted: Vec<(AccountId, u64)>,
    /// The names of damaged accounts to delete.
    pub(in crate::sqlite) damaged: Vec<&'a str>,
    /// Accounts with the revision and the pass phrase that they must have.
    pub(in crate::sqlite) expected: Vec<(AccountId, u64, Option<CredentialId>)>,
}

impl Changes<'_> {
    pub(in crate::sqlite) async fn write(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<(), Failure> {
        self.write_accounts(connection).await?;
        self.write_data(connection).await?;
        self.write_credentials(connection).await?;
        self.delete_accounts(connection).await?;
        self.expect_unchanged(connection).await
    }

    async fn write_accounts(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        INSERT_ACCOUNT
            .execute(connection, &self.inserted, |row, account| {
                row.put(account.id.as_bytes().as_slice())?;
                row.put(account.name.to_string())?;
                row.put(account.kind.as_str())?;
                row.put(account.role.as_str())?;
                row.put(account.full_name.as_str())?;
                row.put(account.email.as_str())?;
                row.put(account.state.as_str())?;
                row.put(signed(account.revision))?;
                row.put(account.created.millis())?;
                row.put(account.changed.millis())
            })
            .await?;
        write_words(connection, &self.inserted).await?;
        let updated = UPDATE_ACCOUNT
            .execute(connection, &self.updated, |row, account| {
                row.put(account.id.as_bytes().as_slice())?;
                row.put(account.name.to_string())?;
                row.put(account.role.as_str())?;
                row.put(account.full_name.as_str())?;
                row.put(account.email.as_str())?;
                row.put(account.state.as_str())?;
                row.put(signed(account.revision))?;
                row.put(account.changed.millis())
            })
            .await?;
        let ids = self.updated.iter().map(|account| account.id);
        expect_current(connection, updated, ids).await?;
        write_words(connection, &self.updated).await
    }

    async fn write_data(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        let mut documents = Vec::with_capacity(self.data.len());
        for (account, data) in &self.data {
            documents.push((*account, document(serde_json::to_string(data))?));
        }
        let put = PUT_PERSON_DATA
            .execute(connection, &documents, |row, (account, document)| {
                row.put(account.as_bytes().as_slice())?;
                row.put(document.as_str())
            })
            .await?;
        expect(put, documents.len(), not_found(Thing::Account))
    }

    async fn write_credentials(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        let passphrases = PUT_PASSPHRASE
            .execute(connection, &self.passphrases, |row, credential| {
                row.put(credential.account.as_bytes().as_slice())?;
                row.put(credential.version)?;
                row.put(credential.suite.as_str())?;
                row.put(credential.setup.as_bytes().as_slice())?;
                row.put(credential.credential_id.0.as_slice())?;
                row.put(credential.record.as_slice())?;
                row.put(credential.sealed_identity.as_slice())?;
                row.put(credential.certificate.as_deref())?;
                row.put(credential.changed.millis())
            })
            .await?;
        expect(
            passphrases,
            self.passphrases.len(),
            not_found(Thing::Account),
        )?;
        DELETE_DELIVERED_KEY
            .execute(connection, &self.withdrawn, |row, account| {
                row.put(account.as_bytes().as_slice())
            })
            .await?;
        let delivered = PUT_DELIVERED_KEY
            .execute(connection, &self.delivered, |row, credential| {
                row.put(credential.account.as_bytes().as_slice())?;
                row.put(credential.key.certificate().der())?;
                row.put(credential.key.encrypted_key())?;
                row.put(credential.changed.millis())
            })
            .await?;
        expect(delivered, self.delivered.len(), not_found(Thing::Account))?;
        let keys = INSERT_KEY
            .execute(connection, &self.keys, |row, key| {
                row.put(key.account.as_bytes().as_slice())?;
                row.put(key.thumbprint.0.as_slice())?;
                row.put(key.certificate.as_slice())?;
                row.put(key.agreement.0.as_slice())?;
                row.put(key.label.as_str())?;
                row.put(key.added.millis())
            })
            .await?;
        expect(keys, self.keys.len(), not_found(Thing::Account))?;
        let revoked = DELETE_KEY
            .execute(connection, &self.revoked, |row, (account, thumbprint)| {
                row.put(account.as_bytes().as_slice())?;
                row.put(thumbprint.0.as_slice())
            })
            .await?;
        expect(revoked, self.revoked.len(), not_found(Thing::Key))
    }

    async fn delete_accounts(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        let deleted = DELETE_ACCOUNT
            .execute(connection, &self.deleted, |row, (account, revision)| {
                row.put(account.as_bytes().as_slice())?;
                row.put(signed(*revision))
            })
            .await?;
        let ids = self.deleted.iter().map(|(id, _)| *id);
        expect_current(connection, deleted, ids).await?;
        for name in &self.damaged {
            delete_damaged(connection, name).await?;
        }
        Ok(())
    }

    async fn expect_unchanged(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        for (id, revision, passphrase) in &self.expected {
            let unchanged: Option<bool> = sqlx::query_scalar(IS_UNCHANGED)
                .bind(id.as_bytes().as_slice())
                .bind(signed(*revision))
                .bind(
                    passphrase
                        .as_ref()
                        .map(|passphrase| passphrase.0.as_slice()),
                )
                .fetch_optional(&mut *connection)
                .await?;
            match unchanged {
                Some(true) => {}
                Some(false) => return Err(stale(Thing::Account)),
                None => return Err(not_found(Thing::Account)),
            }
        }
        Ok(())
    }
}

/// Writes the words by which a search finds the accounts.
async fn write_words(
    connection: &mut SqliteConnection,
    accounts: &[&Account],
) -> Result<(), Failure> {
    let texts = accounts.iter().map(|account| {
        let (name, full_name) = (account.name.to_string(), account.full_name.as_str());
        (
            account.id.as_bytes().as_slice(),
            name,
            full_name,
            account.email.as_str(),
        )
    });
    Ok(words::write(connection, texts).await?)
}

/// Deletes a damaged account.
async fn delete_damaged(connection: &mut SqliteConnection, name: &str) -> Result<(), Failure> {
    let damaged = is_damaged_account(connection, name).await;
    expect_damaged(damaged, Thing::Account)?;
    sqlx::query("DELETE FROM account WHERE name = ?")
        .bind(name)
        .execute(connection)
        .await?;
    Ok(())
}

/// Checks that all accounts were changed. Otherwise one of them was deleted or changed meanwhile.
async fn expect_current(
    connection: &mut SqliteConnection,
    changed: u64,
    accounts: impl ExactSizeIterator<Item = AccountId> + Send,
) -> Result<(), Failure> {
    if changed == accounts.len() as u64 {
        return Ok(());
    }
    for account in accounts {
        if !account_exists(connection, account).await? {
            return Err(not_found(Thing::Account));
        }
    }
    Err(stale(Thing::Account))
}

async fn account_exists(
    connection: &mut SqliteConnection,
    id: AccountId,
) -> Result<bool, sqlx::Error> {
    sqlx::query("SELECT 1 FROM account WHERE id = ?")
        .bind(id.as_bytes().as_slice())
        .fetch_optional(connection)
        .await
        .map(|row| row.is_some())
}

const INSERT_ACCOUNT: Many = Many {
    before: "INSERT INTO account \
             (id, name, kind, role, full_name, email, state, revision, created, changed) VALUES ",
    row: "(?,?,?,?,?,?,?,?,?,?)",
    after: "",
};

const UPDATE_ACCOUNT: Many = Many {
    before: "WITH new (id, name, role, full_name, email, state, revision, changed) AS (VALUES ",
    row: "(?,?,?,?,?,?,?,?)",
    after: ") UPDATE account SET name = new.name, role = new.role, full_name = new.full_name, \
            email = new.email, state = new.state, revision = new.revision, changed = new.changed \
            FROM new WHERE account.id = new.id AND account.revision = new.revision - 1",
};

const PUT_PERSON_DATA: Many = Many {
    before: "WITH new (id, document) AS (VALUES ",
    row: "(?,?)",
    after: ") INSERT INTO person_data SELECT account.key, new.document \
            FROM new CROSS JOIN account ON account.id = new.id WHERE true \
            ON CONFLICT (account) DO UPDATE SET document = excluded.document",
};

// CROSS JOIN fixes the order of the join: first the given rows, then a lookup by index.
const PUT_PASSPHRASE: Many = Many {
    before: "WITH new (id, version, suite, setup, credential_id, record, sealed_identity, \
             certificate, changed) AS (VALUES ",
    row: "(?,?,?,?,?,?,?,?,?)",
    after: ") INSERT INTO passphrase SELECT account.key, new.version, new.suite, new.setup, \
            new.credential_id, new.record, new.sealed_identity, new.certificate, new.changed \
            FROM new CROSS JOIN account ON account.id = new.id WHERE true \
            ON CONFLICT (account) DO UPDATE SET version = excluded.version, \
            suite = excluded.suite, setup = excluded.setup, \
            credential_id = excluded.credential_id, record = excluded.record, \
            sealed_identity = excluded.sealed_identity, certificate = excluded.certificate, \
            changed = excluded.changed",
};

const PUT_DELIVERED_KEY: Many = Many {
    before: "WITH new (id, certificate, encrypted_key, changed) AS (VALUES ",
    row: "(?,?,?,?)",
    after: ") INSERT INTO delivered_key SELECT account.key, new.certificate, new.encrypted_key, \
            new.changed FROM new CROSS JOIN account ON account.id = new.id WHERE true \
            ON CONFLICT (account) DO UPDATE SET certificate = excluded.certificate, \
            encrypted_key = excluded.encrypted_key, changed = excluded.changed",
};

const DELETE_DELIVERED_KEY: Many = Many {
    before: "WITH gone (id) AS (VALUES ",
    row: "(?)",
    after: ") DELETE FROM delivered_key WHERE account IN (SELECT account.key FROM gone \
            CROSS JOIN account ON account.id = gone.id)",
};

const INSERT_KEY: Many = Many {
    before: "WITH new (id, thumbprint, certificate, agreement, label, added) AS (VALUES ",
    row: "(?,?,?,?,?,?)",
    after: ") INSERT INTO account_key (account, thumbprint, certificate, agreement, label, added) \
            SELECT account.key, new.thumbprint, new.certificate, new.agreement, new.label, \
            new.added FROM new CROSS JOIN account ON account.id = new.id",
};

const DELETE_KEY: Many = Many {
    before: "WITH gone (id, thumbprint) AS (VALUES ",
    row: "(?,?)",
    after: ") DELETE FROM account_key WHERE key IN (SELECT account_key.key FROM gone \
            CROSS JOIN account_key ON account_key.thumbprint = gone.thumbprint \
            CROSS JOIN account ON account.key = account_key.account AND account.id = gone.id)",
};

const DELETE_ACCOUNT: Many = Many {
    before: "WITH gone (id, revision) AS (VALUES ",
    row: "(?,?)",
    after: ") DELETE FROM account WHERE key IN (SELECT account.key FROM gone CROSS JOIN account \
            ON account.id = gone.id AND account.revision = gone.revision)",
};

/// Whether the account has this revision and this pass phrase.
const IS_UNCHANGED: &str = "SELECT account.revision = ?2 AND passphrase.credential_id IS ?3 \
    FROM account LEFT JOIN passphrase ON passphrase.account = account.key WHERE account.id = ?1";
