//! Reads: each one statement, each look-up by an index.

use countersign_core::account::{Account, Kind};
use countersign_core::application::{Application, ApplicationId};
use countersign_core::credential::{DeliveredKeyCredential, KeyCredential, PassphraseCredential};
use countersign_core::id::AccountId;
use countersign_core::store::{
    DamagedAccount, DamagedApplication, Page, ScriptProgress, Setting, StoreError,
};
use countersign_crypto::certificate::Thumbprint;
use countersign_proto::name::AccountName;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Sqlite, SqliteExecutor, SqlitePool};

use super::open::primary_code;
use super::row::{self, Columns};

type Query = sqlx::query::Query<'static, Sqlite, SqliteArguments>;

macro_rules! account_columns {
    () => {
        "account.id, account.name, account.kind, account.role, account.full_name, account.email, \
         account.state, account.revision, account.created, account.changed"
    };
}

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

pub(super) async fn account(
    readers: &SqlitePool,
    id: AccountId,
) -> Result<Option<Account>, StoreError> {
    let query = sqlx::query(concat!(
        "SELECT ",
        account_columns!(),
        " FROM account WHERE id = ?"
    ));
    one(readers, query.bind(id.as_bytes().to_vec()), row::account).await
}

pub(super) async fn account_by_name(
    readers: &SqlitePool,
    name: &AccountName,
) -> Result<Option<Account>, StoreError> {
    let query = sqlx::query(concat!(
        "SELECT ",
        account_columns!(),
        " FROM account WHERE name = ?"
    ));
    one(readers, query.bind(name.to_string()), row::account).await
}

pub(super) async fn accounts(
    readers: &SqlitePool,
    kind: Kind,
    page: &Page<String>,
) -> Result<Vec<Result<Account, DamagedAccount>>, StoreError> {
    // The kind stands in the text, so that SQLite may use the index that holds services only. One whose kind
    // cannot be read is listed with the persons.
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
    // No name sorts before the empty text.
    let after = page.after.clone().unwrap_or_default();
    let query = sqlx::query(text).bind(after).bind(page.limit);
    many(readers, query, row::listed_account).await
}

pub(super) async fn damaged_account(
    readers: &SqlitePool,
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
    let listed = one(readers, query, row::listed_account).await?;
    Ok(listed.and_then(Result::err))
}

/// Whether the account of that name cannot be read; `None` without one.
pub(super) async fn is_damaged_account(
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

pub(super) async fn passphrase(
    readers: &SqlitePool,
    account: AccountId,
) -> Result<Option<PassphraseCredential>, StoreError> {
    let query = sqlx::query(concat!(
        "SELECT ",
        passphrase_columns!(),
        " FROM account JOIN passphrase ON passphrase.account = account.key WHERE account.id = ?"
    ));
    one(
        readers,
        query.bind(account.as_bytes().to_vec()),
        |columns| row::passphrase(columns, account),
    )
    .await
}

pub(super) async fn passphrase_login(
    readers: &SqlitePool,
    name: &AccountName,
) -> Result<Option<(Account, PassphraseCredential)>, StoreError> {
    let query = sqlx::query(concat!(
        "SELECT ",
        account_columns!(),
        ", ",
        passphrase_columns!(),
        " FROM account JOIN passphrase ON passphrase.account = account.key WHERE account.name = ?"
    ));
    one(readers, query.bind(name.to_string()), |columns| {
        let account = row::account(columns)?;
        let credential = row::passphrase(columns, account.id)?;
        Ok((account, credential))
    })
    .await
}

pub(super) async fn delivered_key(
    readers: &SqlitePool,
    account: AccountId,
) -> Result<Option<DeliveredKeyCredential>, StoreError> {
    let query = sqlx::query(
        "SELECT delivered_key.certificate, delivered_key.encrypted_key, delivered_key.changed \
         FROM delivered_key JOIN account ON account.key = delivered_key.account \
         WHERE account.id = ?",
    );
    one(
        readers,
        query.bind(account.as_bytes().as_slice()),
        |columns| row::delivered_key(columns, account),
    )
    .await
}

pub(super) async fn delivered_login(
    readers: &SqlitePool,
    name: &AccountName,
) -> Result<Option<(Account, DeliveredKeyCredential)>, StoreError> {
    let query = sqlx::query(concat!(
        "SELECT ",
        account_columns!(),
        ", delivered_key.certificate, delivered_key.encrypted_key, delivered_key.changed \
         FROM account JOIN delivered_key ON delivered_key.account = account.key \
         WHERE account.name = ?"
    ));
    one(readers, query.bind(name.to_string()), |columns| {
        let account = row::account(columns)?;
        let credential = row::delivered_key(columns, account.id)?;
        Ok((account, credential))
    })
    .await
}

pub(super) async fn key_login(
    readers: &SqlitePool,
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
    one(readers, query.bind(thumbprint.0.to_vec()), |columns| {
        let account = row::account(columns)?;
        let key = row::key(columns, account.id)?;
        Ok((account, key))
    })
    .await
}

pub(super) async fn keys_of(
    readers: &SqlitePool,
    account: AccountId,
) -> Result<Vec<KeyCredential>, StoreError> {
    let query = sqlx::query(concat!(
        "SELECT ",
        key_columns!(),
        " FROM account JOIN account_key ON account_key.account = account.key \
         WHERE account.id = ? ORDER BY account_key.key"
    ));
    many(
        readers,
        query.bind(account.as_bytes().to_vec()),
        |columns| row::key(columns, account),
    )
    .await
}

pub(super) async fn application(
    readers: &SqlitePool,
    id: &ApplicationId,
) -> Result<Option<Application>, StoreError> {
    let query = sqlx::query("SELECT document FROM application WHERE id = ?");
    one(readers, query.bind(id.to_string()), row::application).await
}

pub(super) async fn applications(
    readers: &SqlitePool,
    page: &Page<String>,
) -> Result<Vec<Result<Application, DamagedApplication>>, StoreError> {
    // No id sorts before the empty text.
    let after = page.after.clone().unwrap_or_default();
    let query =
        sqlx::query("SELECT document, id FROM application WHERE id > ? ORDER BY id LIMIT ?")
            .bind(after)
            .bind(page.limit);
    many(readers, query, row::listed_application).await
}

pub(super) async fn damaged_application(
    executor: impl SqliteExecutor<'_>,
    id: &ApplicationId,
) -> Result<Option<DamagedApplication>, StoreError> {
    let listed = listed_application(executor, id).await?;
    Ok(listed.and_then(Result::err))
}

/// Whether the application of that id cannot be read; `None` without one.
pub(super) async fn is_damaged_application(
    connection: &mut SqliteConnection,
    id: &ApplicationId,
) -> Result<Option<bool>, StoreError> {
    let listed = listed_application(connection, id).await?;
    Ok(listed.map(|listed| listed.is_err()))
}

async fn listed_application(
    executor: impl SqliteExecutor<'_>,
    id: &ApplicationId,
) -> Result<Option<Result<Application, DamagedApplication>>, StoreError> {
    let query = sqlx::query("SELECT document, id FROM application WHERE id = ?");
    one(
        executor,
        query.bind(id.to_string()),
        row::listed_application,
    )
    .await
}

pub(super) async fn setting(
    readers: &SqlitePool,
    name: &str,
) -> Result<Option<Setting>, StoreError> {
    let query = sqlx::query("SELECT value, revision FROM setting WHERE name = ?");
    one(readers, query.bind(name.to_owned()), row::setting).await
}

pub(super) async fn script(
    readers: &SqlitePool,
    name: &str,
) -> Result<Option<ScriptProgress>, StoreError> {
    let query = sqlx::query("SELECT name, digest, lines, applied FROM script WHERE name = ?");
    one(readers, query.bind(name.to_owned()), row::script).await
}

pub(super) async fn one<T>(
    executor: impl SqliteExecutor<'_>,
    query: Query,
    read: impl Fn(&mut Columns<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let row = query
        .fetch_optional(executor)
        .await
        .map_err(|error| fault(&error))?;
    row.map(|row| read(&mut Columns::of(&row))).transpose()
}

pub(super) async fn many<T>(
    readers: &SqlitePool,
    query: Query,
    read: impl Fn(&mut Columns<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let rows: Vec<SqliteRow> = query
        .fetch_all(readers)
        .await
        .map_err(|error| fault(&error))?;
    rows.iter().map(|row| read(&mut Columns::of(row))).collect()
}

/// What a failure of SQLite means to a caller.
pub(super) fn fault(error: &sqlx::Error) -> StoreError {
    let problem = error.to_string();
    // 11 is SQLITE_CORRUPT, 26 SQLITE_NOTADB.
    match (primary_code(error), error) {
        (Some(11 | 26), _) | (_, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => {
            StoreError::Damaged { problem }
        }
        _ => StoreError::Unavailable { problem },
    }
}
