//! Identifies a file from its first bytes before SQLite opens it. SQLite may change a file even when it only
//! reads it: it applies a write-ahead log and rolls back an interrupted transaction.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::open::{APPLICATION_ID, OpenError};

/// The beginning of an SQLite file (<https://www.sqlite.org/fileformat2.html#the_database_header>).
const MAGIC: &[u8] = b"SQLite format 3\0";
/// The position of the application id, a big-endian number.
const MARK: std::ops::Range<usize> = 68..72;
/// The length of the header in bytes.
const HEADER: u64 = 100;

/// Refuses a file with content other than a Countersign database. The application id is in the file itself
/// from its first transaction on, also while later changes are in a write-ahead log.
pub(super) fn examine(file: &Path) -> Result<(), OpenError> {
    let found = std::fs::metadata(file);
    if !found.is_ok_and(|found| found.is_file() && found.len() > 0) {
        // SQLite creates a missing file and refuses a path that is not a file.
        return Ok(());
    }
    let mut head = Vec::new();
    let read = File::open(file).and_then(|opened| opened.take(HEADER).read_to_end(&mut head));
    let ours = head.starts_with(MAGIC) && head.get(MARK) == Some(&APPLICATION_ID.to_be_bytes());
    match (read, ours) {
        // SQLite will report why the file cannot be read.
        (Err(_), _) | (Ok(_), true) => Ok(()),
        (Ok(_), false) => Err(OpenError::NotOurs {
            file: file.to_owned(),
        }),
    }
}
