//! Opening the file: finding out whether it is ours, bringing it up to date, and saying clearly what
//! is wrong when that cannot be done.

use std::path::{Path, PathBuf};
use std::time::Duration;

use countersign_core::audit::ChainHead;
use countersign_core::store::StoreError;
use sqlx::error::DatabaseError;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, SqlSafeStr, SqlitePool};

use super::{audit, copy, header};

/// Marks the file as a Countersign site (`PRAGMA application_id`): the letters `CSgn`.
pub(super) const APPLICATION_ID: i32 = 0x4353_676e;

/// Connections that read. More than the cores of a small machine, so that a long list does not make
/// logins wait.
const READERS: u32 = 4;

/// Prepared statements kept by the writer: each kind of change in each length of a run.
const WRITER_STATEMENTS: usize = 256;

/// How many pages the write-ahead log takes before they are copied to their places (32 MiB): a page
/// that changes again and again is then copied once. A log of that size is read back after a crash in
/// a fraction of a second.
const CHECKPOINT: &str = "PRAGMA wal_autocheckpoint = 8192";

/// KiB of pages that each connection keeps.
const CACHE_KIB: &str = "-16384";

/// The layouts that the file went through, oldest first: its number is its place here, from 1.
pub(super) const LAYOUTS: [(&str, &str); 6] = [
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
    ("alarms", include_str!("../../migrations/0007_alarms.sql")),
];

/// The store could not be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file or its folder may not be written, or there is no such folder.
    #[error(
        "{file} cannot be opened for writing ({problem}); check the folder, its owner and its permissions"
    )]
    NotWritable {
        /// Which file.
        file: PathBuf,
        /// What SQLite said.
        problem: String,
    },
    /// The file is something else.
    #[error("{file} is not a Countersign database; move it away or choose another folder")]
    NotOurs {
        /// Which file.
        file: PathBuf,
    },
    /// The file was one of ours, and is damaged.
    #[error("{file} is damaged ({problem}); keep a copy of it and restore the newest sound backup")]
    Damaged {
        /// Which file.
        file: PathBuf,
        /// What SQLite said.
        problem: String,
    },
    /// A newer version of Countersign has written it.
    #[error(
        "{file} was written by a newer version of Countersign (its layout {layout} is unknown here); run that version or a later one"
    )]
    Newer {
        /// Which file.
        file: PathBuf,
        /// The layout's number.
        layout: i64,
    },
    /// The disk is full, or some other trouble of the machine.
    #[error(
        "{file} cannot be opened: {problem}; make room on its disk or put right what it says, and start again"
    )]
    Unavailable {
        /// Which file.
        file: PathBuf,
        /// What SQLite said.
        problem: String,
    },
}

pub(super) struct Opened {
    pub(super) writer: SqliteConnection,
    pub(super) readers: SqlitePool,
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
    // The empty transaction finds out now, and not at the first change, that nothing can be written.
    for statement in [
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        CHECKPOINT,
        "BEGIN IMMEDIATE",
        "ROLLBACK",
    ] {
        sqlx::query(statement)
            .execute(&mut writer)
            .await
            .map_err(|error| fault(&error))?;
    }
    check(&mut writer, file).await?;
    migrate(&mut writer, file).await?;
    copy::remove_left_behind(file);
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .min_connections(1)
        .test_before_acquire(false)
        .connect_with(
            options
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .pragma("query_only", "ON"),
        )
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

/// Marks an empty file as ours, and refuses one that holds something else.
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

/// Refuses a file that a newer version has written, before anything of it is changed.
async fn refuse_newer(connection: &mut SqliteConnection, file: &Path) -> Result<(), OpenError> {
    let fault = |error: sqlx::Error| OpenError::of(file, &error);
    let laid_out = "SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'";
    let laid_out: i64 = sqlx::query_scalar(laid_out)
        .fetch_one(&mut *connection)
        .await
        .map_err(fault)?;
    if laid_out == 0 {
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

/// Refuses a file whose pages do not belong together, as a copy's do that was taken while the site ran. This
/// is the cheap check, which does not compare indices with their tables.
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
    // `run` would do the same, but its generic bounds keep this future from being `Send`.
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
    /// What a failure to read what is stored means for opening it.
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

/// SQLite's primary result code: the low byte of the extended one.
pub(super) fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error().and_then(DatabaseError::code)?;
    code.parse::<i32>().ok().map(|code| code & 0xff)
}
