//! Whose file it is: found out before anything of it is changed.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sqlx::sqlite::SqliteConnection;

use crate::TicketStoreError;

/// Marks the file as a provider's tickets (`PRAGMA application_id`): the letters `CSpt`.
const APPLICATION_ID: i32 = 0x4353_7074;
/// The number of the layout (`PRAGMA user_version`). Files of layout 0 do not know whose a request is.
const LAYOUT: i32 = 1;

/// What a file of SQLite begins with (<https://www.sqlite.org/fileformat2.html#the_database_header>).
const MAGIC: &[u8] = b"SQLite format 3\0";
/// Where the application id stands in it, most significant byte first.
const MARK: std::ops::Range<usize> = 68..72;

/// Refuses what is there and is not ours, without SQLite, which may write to what it only reads. Our mark stands in
/// the file itself from its first transaction on, whatever waits in a log beside it.
pub(super) fn examine(file: &Path) -> Result<(), TicketStoreError> {
    let trouble = |error: std::io::Error| TicketStoreError(format!("{}: {error}", file.display()));
    let found = match std::fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(trouble)?,
    };
    if found.is_file() && found.len() == 0 {
        return Ok(());
    }
    let mut head = Vec::new();
    if found.is_file() {
        let opened = File::open(file).map_err(trouble)?;
        let read = opened.take(100).read_to_end(&mut head);
        read.map_err(trouble)?;
    }
    let ours = head.starts_with(MAGIC) && head.get(MARK) == Some(&APPLICATION_ID.to_be_bytes());
    match ours {
        true => Ok(()),
        false => Err(TicketStoreError(format!(
            "{}: this is not a file of tickets, and was not changed; choose another name",
            file.display()
        ))),
    }
}

/// Makes the file with its permissions, or takes others' from one that is there. The files that SQLite puts
/// beside it get the same.
pub(super) fn own_alone(file: &Path) -> std::io::Result<()> {
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

/// Marks an empty file as ours and lays it out, in one transaction, or brings an older one of ours up to date.
pub(super) async fn claim(connection: &mut SqliteConnection) -> Result<(), TicketStoreError> {
    execute(connection, "BEGIN IMMEDIATE").await?;
    let laid_out = lay_out(connection).await;
    match laid_out {
        Ok(()) => execute(connection, "COMMIT").await,
        Err(error) => {
            // What failed is told; where there is no transaction any more there is nothing to undo.
            let _ = execute(connection, "ROLLBACK").await;
            Err(error)
        }
    }
}

async fn lay_out(connection: &mut SqliteConnection) -> Result<(), TicketStoreError> {
    let found: (i32, i32, i64) = sqlx::query_as(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
         FROM pragma_application_id, pragma_user_version",
    )
    .fetch_one(&mut *connection)
    .await?;
    match found {
        (0, 0, 0) => {
            execute(connection, include_str!("layout.sql")).await?;
            execute(connection, "PRAGMA application_id = 0x43537074").await?;
        }
        (APPLICATION_ID, 0, _) => {
            let column = "ALTER TABLE request ADD COLUMN application TEXT NOT NULL DEFAULT ''";
            execute(connection, column).await?;
        }
        (APPLICATION_ID, LAYOUT, _) => return Ok(()),
        (APPLICATION_ID, ..) => {
            let newer = "it was written by a newer version; run that version or a later one";
            return Err(TicketStoreError(newer.to_owned()));
        }
        _ => return Err(TicketStoreError("another program's file".to_owned())),
    }
    execute(connection, "PRAGMA user_version = 1").await
}

async fn execute(
    connection: &mut SqliteConnection,
    statements: &'static str,
) -> Result<(), TicketStoreError> {
    sqlx::raw_sql(statements).execute(connection).await?;
    Ok(())
}
