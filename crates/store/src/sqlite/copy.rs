//! Copies the store to a temporary file and reads that.
//!
//! `VACUUM INTO` reads in one transaction while the writer continues. The file is deleted before its first
//! byte is read, so that it leaves nothing however the reading ends.

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

/// The beginning and the end of the names of these files.
const PREFIX: &str = ".site-copy-";
const SUFFIX: &str = ".part";
/// Bytes read at a time.
const PIECE: usize = 64 * 1024;

/// Makes a copy. `place`, the permit, is released when the content was read or is dropped.
pub(super) async fn copy(
    file: &Path,
    place: OwnedSemaphorePermit,
) -> Result<StoreCopy, StoreError> {
    let folder = folder_of(file);
    let failed = |problem: &dyn std::fmt::Display| StoreError::Unavailable {
        problem: format!("it cannot be copied to {}: {problem}", folder.display()),
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
    // Open the file again: SQLite may have replaced it.
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

/// Removes files of a process that was killed while it made a copy.
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
