//! Opens the file: checks that it is a Countersign database, migrates it, and reports why it cannot be used.

use std::path::{Path, PathBuf};
use std::time::Duration;

use countersign_core::audit::ChainHead;
use countersign_core::store::StoreError;
use sqlx::error::DatabaseError;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqlSafeStr};

use super::readers::Readers;
use super::{audit, copy, header};

/// Marks the file as a Countersign site (`PRAGMA application_id`): the letters `CSgn`.
pub(super) const APPLICATION_ID: i32 = 0x4353_676e;

/// The number of connections that read. More than a small machine has cores, so that a long list does not
/// delay logins.
const READERS: u32 = 4;

/// Prepared statements that the writer caches: each kind of change for each number of rows.
const WRITER_STATEMENTS: usize = 256;

/// The number of pages in the write-ahead log before a checkpoint (32 MiB). A page that changes many times
/// is copied once. Recovery of a log of that size takes a fraction of a second.
const CHECKPOINT: &str = "PRAGMA wal_autocheckpoint = 8192";

/// The page cache of each connection, in KiB.
const CACHE_KIB: &str = "-16384";

/// The migrations, oldest first. The number of a layout is its position here, from 1.
pub(super) const LAYOUTS: [(&str, &str); 19] = [
    ("site", include_str!("../../migrations/0001_site.sql")),
    (
        "delivered key",
        include_str!("../../migrations/0002_delivered_key.sql"),
    ),
    (
        "application",
        include_str!("../../migrations/0003_application.sql"),
    ),
    ("bound", include_str!("../../migrations/0004_bound.sql")),
    ("channel", include_str!("../../migrations/0005_channel.sql")),
    ("devices", include_str!("../../migrations/0006_devices.sql")),
    ("alarms", include_str!("../../migrations/0007_alarms.sql")),
    (
        "person_data",
        include_str!("../../migrations/0008_person_data.sql"),
    ),
    (
        "refusals",
        include_str!("../../migrations/0009_refusals.sql"),
    ),
    ("peers", include_str!("../../migrations/0010_peers.sql")),
    (
        "removed_device_of",
        include_str!("../../migrations/0011_removed_device_of.sql"),
    ),
    (
        "message_ids",
        include_str!("../../migrations/0012_message_ids.sql"),
    ),
    (
        "audit_heads",
        include_str!("../../migrations/0013_audit_heads.sql"),
    ),
    (
        "sealed_data",
        include_str!("../../migrations/0014_sealed_data.sql"),
    ),
    ("http", include_str!("../../migrations/0015_http.sql")),
    (
        "accepted_pairs",
        include_str!("../../migrations/0016_accepted_pairs.sql"),
    ),
    (
        "signatures_and_voids",
        include_str!("../../migrations/0017_signatures_and_voids.sql"),
    ),
    (
        "person_search",
        include_str!("../../migrations/0018_person_search.sql"),
    ),
    (
        "credential_of_request",
        include_str!("../../migrations/0019_credential_of_request.sql"),
    ),
];

/// The store could not be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file or its folder is not writable, or the folder does not exist.
    #[error(
        "{file} cannot be opened for writing ({problem}); check the folder, its owner and its permissions"
    )]
    NotWritable {
        /// The file.
        file: PathBuf,
        /// The error of SQLite.
        problem: String,
    },
    /// The file is not a Countersign database.
    #[error("{file} is not a Countersign database; move it away or choose another folder")]
    NotOurs {
        /// The file.
        file: PathBuf,
    },
    /// The file is a damaged Countersign database.
    #[error(
        "{file} is damaged ({problem}); make a copy of it and restore the newest intact backup"
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// The error of SQLite.
        problem: String,
    },
    /// A newer version of Countersign wrote the file.
    #[error(
        "{file} was written by a newer version of Countersign (its layout {layout} is unknown here); run that version or a later one"
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// The number of its layout.
        layout: i64,
    },
    /// The disk is full, or another error of the machine.
    #[error(
        "{file} cannot be opened: {problem}; free disk space or fix this error, and start again"
    )]
    Unavailable {
        /// The file.
        file: PathBuf,
        /// The error of SQLite.
        problem: String,
    },
}

pub(super) struct Opened {
    pub(super) writer: SqliteConnection,
    pub(super) readers: Readers,
    pub(super) head: ChainHead,
}

pub(super) async fn open(file: &Path) -> Result<Opened, OpenError> {
    let fault = |error: &sqlx::Error| OpenError::of(file, error);
    header::examine(file)?;
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .pragma("cache_size", CACHE_KIB)
        .disable_statement_logging();
    let writing = options.clone().statement_cache_capacity(WRITER_STATEMENTS);
    let mut writer = SqliteConnection::connect_with(&writing)
        .await
        .map_err(|error| fault(&error))?;
    claim(&mut writer, file).await?;
    refuse_newer(&mut writer, file).await?;
    // The empty transaction detects a file that cannot be written now and not at the first change.
    for statement in [
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        CHECKPOINT,
        "BEGIN IMMEDIATE",
        "ROLLBACK",
        // A migration may move texts that are in the clear.
        "PRAGMA secure_delete = ON",
    ] {
        sqlx::query(statement)
            .execute(&mut writer)
            .await
            .map_err(|error| fault(&error))?;
    }
    check(&mut writer, file).await?;
    migrate(&mut writer, file).await?;
    sqlx::query("PRAGMA secure_delete = OFF")
        .execute(&mut writer)
        .await
        .map_err(|error| fault(&error))?;
    copy::remove_left_behind(file);
    let options = options
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("query_only", "ON");
    let readers = Readers::open(options, READERS)
        .await
        .map_err(|error| fault(&error))?;
    let head = audit::head(&readers)
        .await
        .map_err(|error| OpenError::of_store(file, error))?;
    Ok(Opened {
        writer,
        readers,
        head,
    })
}

/// Marks an empty file as a Countersign database. Refuses a file with other content.
async fn claim(connection: &mut SqliteConnection, file: &Path) -> Result<(), OpenError> {
    let fault = |error: sqlx::Error| OpenError::of(file, &error);
    let (id, tables): (i32, i64) = sqlx::query_as(
        "SELECT application_id, (SELECT count(*) FROM sqlite_schema) FROM pragma_application_id",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(fault)?;
    match (id, tables) {
        (APPLICATION_ID, _) => Ok(()),
        (0, 0) => sqlx::query("PRAGMA application_id = 0x4353676e")
            .execute(connection)
            .await
            .map(|_| ())
            .map_err(fault),
        _ => Err(OpenError::NotOurs {
            file: file.to_owned(),
        }),
    }
}

/// Refuses a file that a newer version wrote, before it is changed.
async fn refuse_newer(connection: &mut SqliteConnection, file: &Path) -> Result<(), OpenError> {
    let fault = |error: sqlx::Error| OpenError::of(file, &error);
    let migrated = "SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'";
    let migrated: i64 = sqlx::query_scalar(migrated)
        .fetch_one(&mut *connection)
        .await
        .map_err(fault)?;
    if migrated == 0 {
        return Ok(());
    }
    let newest: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
        .fetch_one(connection)
        .await
        .map_err(fault)?;
    let file = file.to_owned();
    match newest {
        Some(layout) if layout > LAYOUTS.len() as i64 => Err(OpenError::Newer { file, layout }),
        _ => Ok(()),
    }
}

/// Refuses a file with inconsistent pages, such as a file copy that was made while the site ran. This is
/// SQLite's quick check, which does not compare indices with their tables.
async fn check(connection: &mut SqliteConnection, file: &Path) -> Result<(), OpenError> {
    let found: String = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(connection)
        .await
        .map_err(|error| OpenError::of(file, &error))?;
    if found == "ok" {
        return Ok(());
    }
    Err(OpenError::Damaged {
        file: file.to_owned(),
        problem: found,
    })
}

async fn migrate(connection: &mut SqliteConnection, file: &Path) -> Result<(), OpenError> {
    let migrations = (1..)
        .zip(LAYOUTS)
        .map(|(version, (title, sql))| {
            let sql = sql.into_sql_str();
            Migration::new(version, title.into(), MigrationType::Simple, sql, false)
        })
        .collect();
    // `run` does the same, but with its generic bounds this future would not be `Send`.
    Migrator::with_migrations(migrations)
        .run_direct(None, connection, false)
        .await
        .map_err(|error| match error {
            MigrateError::VersionMissing(layout) => OpenError::Newer {
                file: file.to_owned(),
                layout,
            },
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                OpenError::of(file, &error)
            }
            other => OpenError::Damaged {
                file: file.to_owned(),
                problem: other.to_string(),
            },
        })
}

impl OpenError {
    /// Converts the error of a read during the opening.
    pub(super) fn of_store(file: &Path, error: StoreError) -> Self {
        let file = file.to_owned();
        match error {
            StoreError::Damaged { problem } => Self::Damaged { file, problem },
            other => Self::Unavailable {
                file,
                problem: other.to_string(),
            },
        }
    }

    pub(super) fn of(file: &Path, error: &sqlx::Error) -> Self {
        let file = file.to_owned();
        let problem = error.to_string();
        // Primary result codes: https://www.sqlite.org/rescode.html
        match primary_code(error) {
            Some(8 | 14) => Self::NotWritable { file, problem },
            Some(26) => Self::NotOurs { file },
            Some(11) => Self::Damaged { file, problem },
            _ => Self::Unavailable { file, problem },
        }
    }
}

/// SQLite's primary result code: the low byte of the extended code.
pub(super) fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error().and_then(DatabaseError::code)?;
    code.parse::<i32>().ok().map(|code| code & 0xff)
}
