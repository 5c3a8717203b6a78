//! Changes as statements. Each checks, while it writes, that the decision behind the change still
//! stands: unique values by an index, revisions and accounts by the number of rows it changed.

use countersign_core::audit::AuditEntry;
use countersign_core::id::AccountId;
use countersign_core::store::{Change, ScriptProgress, Setting, StoreError, Thing, Unique};
use countersign_core::timestamp::Timestamp;
use sqlx::error::ErrorKind;
use sqlx::sqlite::SqliteConnection;

use super::application;
use super::batch::ByKind;
use super::reads;
use super::row::signed;
use super::statement::Many;

/// Why changes were not written. The transaction, or the savepoint, must be rolled back.
#[derive(Debug)]
pub(super) enum Failure {
    /// A decision does not stand any more.
    Overtaken(StoreError),
    /// The store is in trouble.
    Trouble(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        match taken(&error) {
            Some(what) => Self::Overtaken(StoreError::Conflict { what }),
            None => Self::Trouble(error),
        }
    }
}

/// SQLite's result code of what a trigger refused.
const CONSTRAINT_TRIGGER: &str = "1811";

/// What a unique index or a trigger refused.
fn taken(error: &sqlx::Error) -> Option<Unique> {
    let error = error.as_database_error()?;
    // A trigger that refuses says the same with another code.
    let unique = error.kind() == ErrorKind::UniqueViolation;
    if !unique && error.code().as_deref() != Some(CONSTRAINT_TRIGGER) {
        return None;
    }
    let (_, column) = error.message().rsplit_once("failed: ")?;
    match column {
        "account.name" => Some(Unique::Name),
        "account.id" => Some(Unique::AccountId),
        "account_key.thumbprint" => Some(Unique::Key),
        "passphrase.credential_id" => Some(Unique::CredentialId),
        "removed_key.agreement" => Some(Unique::RemovedKey),
        "application.id" => Some(Unique::Application),
        _ => None,
    }
}

/// Writes one change, and finds out what exactly it ran into.
pub(super) async fn one(connection: &mut SqliteConnection, change: &Change) -> Result<(), Failure> {
    match all(connection, &ByKind::one(change)).await {
        Err(Failure::Overtaken(StoreError::Stale {
            what: Thing::Account,
        })) => {
            let id = match change {
                Change::UpdateAccount(account) => account.id,
                Change::DeleteAccount { id, .. } => *id,
                _ => return Err(not_found(Thing::Account)),
            };
            Err(if account_exists(connection, id).await? {
                stale(Thing::Account)
            } else {
                not_found(Thing::Account)
            })
        }
        other => other,
    }
}

/// Writes changes, kind by kind.
pub(super) async fn all(
    connection: &mut SqliteConnection,
    changes: &ByKind<'_>,
) -> Result<(), Failure> {
    INSERT_ACCOUNT
        .execute(connection, &changes.inserted, |row, account| {
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
    let updated = UPDATE_ACCOUNT
        .execute(connection, &changes.updated, |row, account| {
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
    expect(updated, changes.updated.len(), stale(Thing::Account))?;
    let passphrases = PUT_PASSPHRASE
        .execute(connection, &changes.passphrases, |row, credential| {
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
        changes.passphrases.len(),
        not_found(Thing::Account),
    )?;
    DELETE_DELIVERED_KEY
        .execute(connection, &changes.withdrawn, |row, account| {
            row.put(account.as_bytes().as_slice())
        })
        .await?;
    let delivered = PUT_DELIVERED_KEY
        .execute(connection, &changes.delivered, |row, credential| {
            row.put(credential.account.as_bytes().as_slice())?;
            row.put(credential.key.certificate().der())?;
            row.put(credential.key.encrypted_key())?;
            row.put(credential.changed.millis())
        })
        .await?;
    expect(
        delivered,
        changes.delivered.len(),
        not_found(Thing::Account),
    )?;
    let keys = INSERT_KEY
        .execute(connection, &changes.keys, |row, key| {
            row.put(key.account.as_bytes().as_slice())?;
            row.put(key.thumbprint.0.as_slice())?;
            row.put(key.certificate.as_slice())?;
            row.put(key.agreement.0.as_slice())?;
            row.put(key.label.as_str())?;
            row.put(key.added.millis())
        })
        .await?;
    expect(keys, changes.keys.len(), not_found(Thing::Account))?;
    let revoked = DELETE_KEY
        .execute(
            connection,
            &changes.revoked,
            |row, (account, thumbprint)| {
                row.put(account.as_bytes().as_slice())?;
                row.put(thumbprint.0.as_slice())
            },
        )
        .await?;
    expect(revoked, changes.revoked.len(), not_found(Thing::Key))?;
    let deleted = DELETE_ACCOUNT
        .execute(connection, &changes.deleted, |row, (account, revision)| {
            row.put(account.as_bytes().as_slice())?;
            row.put(signed(*revision))
        })
        .await?;
    expect(deleted, changes.deleted.len(), stale(Thing::Account))?;
    for name in &changes.damaged {
        delete_damaged(connection, name).await?;
    }
    for change in &changes.applications {
        application::apply(connection, change).await?;
    }
    for (name, setting) in &changes.settings {
        put_setting(connection, name, setting).await?;
    }
    for progress in &changes.scripts {
        put_script(connection, progress).await?;
    }
    Ok(())
}

/// Deletes an account that cannot be read.
async fn delete_damaged(connection: &mut SqliteConnection, name: &str) -> Result<(), Failure> {
    let damaged = reads::is_damaged_account(connection, name).await;
    expect_damaged(damaged, Thing::Account)?;
    sqlx::query("DELETE FROM account WHERE name = ?")
        .bind(name)
        .execute(connection)
        .await?;
    Ok(())
}

/// What is to be deleted as damaged is there and damaged: it may have been deleted and made anew meanwhile.
pub(super) fn expect_damaged(
    found: Result<Option<bool>, StoreError>,
    what: Thing,
) -> Result<(), Failure> {
    match found.map_err(Failure::Overtaken)? {
        Some(true) => Ok(()),
        Some(false) => Err(stale(what)),
        None => Err(not_found(what)),
    }
}

/// Appends entries to the audit log.
pub(super) async fn audit(
    connection: &mut SqliteConnection,
    entries: &[AuditEntry],
) -> Result<(), sqlx::Error> {
    APPEND_AUDIT
        .execute(connection, entries, |row, entry| {
            let draft = &entry.draft;
            row.put(signed(entry.seq))?;
            row.put(draft.time.millis())?;
            row.put(draft.actor.account.map(|id| id.as_bytes().to_vec()))?;
            row.put(draft.actor.name.as_str())?;
            row.put(draft.door.as_str())?;
            row.put(draft.operation.as_str())?;
            row.put(draft.target.as_deref())?;
            row.put(draft.outcome.as_str())?;
            row.put(draft.details.as_str())?;
            row.put(entry.previous.as_slice())?;
            row.put(entry.hash.as_slice())
        })
        .await
        .map(|_| ())
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

// CROSS JOIN keeps SQLite from turning the join round: the given rows first, then an index look-up.
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

const APPEND_AUDIT: Many = Many {
    before: "INSERT INTO audit (seq, time, account, actor, door, operation, target, outcome, \
             details, previous, hash) VALUES ",
    row: "(?,?,?,?,?,?,?,?,?,?,?)",
    after: "",
};

async fn put_setting(
    connection: &mut SqliteConnection,
    name: &str,
    setting: &Setting,
) -> Result<(), Failure> {
    let statement = if setting.revision == 1 {
        "INSERT INTO setting (value, revision, name) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
    } else {
        "UPDATE setting SET value = ?1, revision = ?2 WHERE name = ?3 AND revision = ?2 - 1"
    };
    let put = sqlx::query(statement)
        .bind(setting.value.as_slice())
        .bind(signed(setting.revision))
        .bind(name)
        .execute(connection)
        .await?;
    expect(put.rows_affected(), 1, stale(Thing::Setting))
}

async fn put_script(
    connection: &mut SqliteConnection,
    progress: &ScriptProgress,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO script (name, digest, lines, applied) VALUES (?, ?, ?, ?) ON CONFLICT (name) \
         DO UPDATE SET digest = excluded.digest, lines = excluded.lines, applied = excluded.applied",
    )
    .bind(progress.name.as_str())
    .bind(progress.digest.as_slice())
    .bind(progress.lines)
    .bind(progress.applied.map(Timestamp::millis))
    .execute(connection)
    .await
    .map(|_| ())
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

pub(super) fn expect(changed: u64, wanted: usize, otherwise: Failure) -> Result<(), Failure> {
    if changed == wanted as u64 {
        Ok(())
    } else {
        Err(otherwise)
    }
}

pub(super) const fn stale(what: Thing) -> Failure {
    Failure::Overtaken(StoreError::Stale { what })
}

pub(super) const fn not_found(what: Thing) -> Failure {
    Failure::Overtaken(StoreError::NotFound { what })
}
