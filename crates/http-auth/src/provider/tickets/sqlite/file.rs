//! Checks that a file is a ticket store before anything in it is changed, and creates the schema.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sqlx::sqlite::SqliteConnection;

use crate::TicketStoreError;

/// Marks the file as a provider's tickets (`PRAGMA application_id`): the letters `CSpt`.
const APPLICATION_ID: i32 = 0x4353_7074;
/// The schema version (`PRAGMA user_version`). Version 0 does not store the application of a
/// request, and version 1 does not store which tickets are void. Version 2 deletes that after a day,
/// and has no index of tickets by application.
const SCHEMA_VERSION: i32 = 3;

/// The table that version 2 added, as it is now.
const VOID: &str = include_str!("void.sql");
/// The index that version 3 added. Without it, each event about one application reads all tickets.
const TICKETS_BY_APPLICATION: &str = "CREATE INDEX ticket_application ON ticket (application)";

/// The first bytes of a SQLite file
/// (<https://www.sqlite.org/fileformat2.html#the_database_header>).
const MAGIC: &[u8] = b"SQLite format 3\0";
/// The position of the application id in the header, most significant byte first.
const APPLICATION_ID_BYTES: std::ops::Range<usize> = 68..72;

/// Rejects an existing file that is not a ticket store. It does not use SQLite, which may write to
/// a file that it only reads. Our application id is in the main file from its first transaction on,
/// even if later transactions are still in the write-ahead log.
pub(super) fn check_owner(file: &Path) -> Result<(), TicketStoreError> {
    let failure = |error: std::io::Error| TicketStoreError(format!("{}: {error}", file.display()));
    let found = match std::fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(failure)?,
    };
    if found.is_file() && found.len() == 0 {
        return Ok(());
    }
    let mut head = Vec::new();
    if found.is_file() {
        let opened = File::open(file).map_err(failure)?;
        let read = opened.take(100).read_to_end(&mut head);
        read.map_err(failure)?;
    }
    let id = head.get(APPLICATION_ID_BYTES);
    let ours = head.starts_with(MAGIC) && id == Some(&APPLICATION_ID.to_be_bytes());
    match ours {
        true => Ok(()),
        false => Err(TicketStoreError(format!(
            "{}: this is not a file of tickets; it was not changed; choose another name",
            file.display()
        ))),
    }
}

/// Creates the file with mode 0600, or sets that mode on an existing one. SQLite gives its other
/// files the same mode.
pub(super) fn restrict_mode(file: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        let opened = options.mode(0o600).open(file)?;
        opened.set_permissions(std::fs::Permissions::from_mode(0o600))
    }
    #[cfg(not(unix))]
    options.open(file).map(|_| ())
}

/// In one transaction, creates the schema in an empty file and sets the application id, or upgrades
/// an older schema.
pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<(), TicketStoreError> {
    execute(connection, "BEGIN IMMEDIATE").await?;
    let migrated = create_or_upgrade(connection).await;
    match migrated {
        Ok(()) => execute(connection, "COMMIT").await,
        Err(error) => {
            // The first error is reported. The rollback fails only if no transaction is open.
            let _ = execute(connection, "ROLLBACK").await;
            Err(error)
        }
    }
}

async fn create_or_upgrade(connection: &mut SqliteConnection) -> Result<(), TicketStoreError> {
    let found: (i32, i32, i64) = sqlx::query_as(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
         FROM pragma_application_id, pragma_user_version",
    )
    .fetch_one(&mut *connection)
    .await?;
    match found {
        (0, 0, 0) => {
            execute(connection, include_str!("schema.sql")).await?;
            execute(connection, VOID).await?;
            execute(connection, "PRAGMA application_id = 0x43537074").await?;
        }
        (APPLICATION_ID, 0, _) => {
            let column = "ALTER TABLE request ADD COLUMN application TEXT NOT NULL DEFAULT ''";
            execute(connection, column).await?;
            execute(connection, VOID).await?;
        }
        (APPLICATION_ID, 1, _) => execute(connection, VOID).await?,
        (APPLICATION_ID, 2, _) => execute(connection, "ALTER TABLE void DROP COLUMN until").await?,
        (APPLICATION_ID, SCHEMA_VERSION, _) => return Ok(()),
        (APPLICATION_ID, ..) => {
            let newer = "a newer version wrote this file; run that version or a later one";
            return Err(TicketStoreError(newer.to_owned()));
        }
        _ => {
            let other = "this file belongs to another program; choose another name";
            return Err(TicketStoreError(other.to_owned()));
        }
    }
    execute(connection, TICKETS_BY_APPLICATION).await?;
    execute(connection, "PRAGMA user_version = 3").await
}

async fn execute(
    connection: &mut SqliteConnection,
    statements: &'static str,
) -> Result<(), TicketStoreError> {
    sqlx::raw_sql(statements).execute(connection).await?;
    Ok(())
}
