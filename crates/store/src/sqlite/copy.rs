//! Copies: what is stored at one moment, in a file that is gone as soon as it was read.
//!
//! `VACUUM INTO` reads in one transaction, beside which the writer goes on. The file has no name any more when
//! its first byte is read, so that nothing is left of it however the reading ends.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use countersign_core::content::{Content, ContentBroken};
use countersign_core::store::{StoreCopy, StoreError};
use futures_util::stream;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::io::AsyncReadExt;
use tokio::sync::OwnedSemaphorePermit;

use super::reads;

/// How the names of such files begin and end.
const PREFIX: &str = ".site-copy-";
const SUFFIX: &str = ".part";
/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;

/// Makes a copy. The place is given back when the copy was read, or is not wanted any more.
pub(super) async fn copy(
    file: &Path,
    place: OwnedSemaphorePermit,
) -> Result<StoreCopy, StoreError> {
    let folder = folder_of(file);
    let failed = |problem: &dyn std::fmt::Display| StoreError::Unavailable {
        problem: format!(
            "no copy of it can be made in {}: {problem}",
            folder.display()
        ),
    };
    let part = tempfile::Builder::new()
        .prefix(PREFIX)
        .suffix(SUFFIX)
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(folder)
        .map_err(|error| failed(&error))?;
    vacuum(file, part.path())
        .await
        .map_err(|error| match reads::fault(&error) {
            StoreError::Unavailable { problem } => failed(&problem),
            damaged => damaged,
        })?;
    // Opened once more: SQLite may have put another file in its place.
    let copy = part.reopen().map_err(|error| failed(&error))?;
    drop(part);
    let bytes = copy.metadata().map_err(|error| failed(&error))?.len();
    let reader = (tokio::fs::File::from_std(copy), place);
    let pieces = stream::try_unfold(reader, |(mut copy, place)| async move {
        let mut piece = Vec::with_capacity(PIECE);
        let read = (&mut copy).take(PIECE as u64).read_to_end(&mut piece).await;
        match read {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some((piece, (copy, place)))),
            Err(error) => Err(ContentBroken(error.to_string())),
        }
    });
    Ok(StoreCopy {
        bytes,
        content: Content::new(pieces),
    })
}

async fn vacuum(file: &Path, copy: &Path) -> Result<(), sqlx::Error> {
    let mut connection = SqliteConnectOptions::new()
        .filename(file)
        .busy_timeout(Duration::from_secs(5))
        .disable_statement_logging()
        .connect()
        .await?;
    let vacuumed = sqlx::query("VACUUM INTO ?")
        .bind(copy.to_string_lossy().into_owned())
        .execute(&mut connection)
        .await;
    connection.close().await?;
    vacuumed.map(|_| ())
}

/// Removes what a process left that was killed while it made a copy.
pub(super) fn remove_left_behind(file: &Path) {
    let Ok(entries) = std::fs::read_dir(folder_of(file)) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}
