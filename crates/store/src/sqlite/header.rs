//! Whose file it is, found out from its first bytes before SQLite opens it. SQLite may write to a file that it is
//! only to read: it copies what waits in a log beside it, and rolls back what a crash left half done.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::open::{APPLICATION_ID, OpenError};

/// What a file of SQLite begins with (<https://www.sqlite.org/fileformat2.html#the_database_header>).
const MAGIC: &[u8] = b"SQLite format 3\0";
/// Where the application id stands in it, most significant byte first.
const MARK: std::ops::Range<usize> = 68..72;
/// Bytes of the header.
const HEADER: u64 = 100;

/// Refuses a file that holds something and is not ours. Our mark stands in the file itself from its first
/// transaction on, whatever waits in a log beside it.
pub(super) fn examine(file: &Path) -> Result<(), OpenError> {
    let found = std::fs::metadata(file);
    if !found.is_ok_and(|found| found.is_file() && found.len() > 0) {
        // SQLite makes what is not there, and refuses what is no file.
        return Ok(());
    }
    let mut head = Vec::new();
    let read = File::open(file).and_then(|opened| opened.take(HEADER).read_to_end(&mut head));
    let ours = head.starts_with(MAGIC) && head.get(MARK) == Some(&APPLICATION_ID.to_be_bytes());
    match (read, ours) {
        // SQLite says what keeps it from being read.
        (Err(_), _) | (Ok(_), true) => Ok(()),
        (Ok(_), false) => Err(OpenError::NotOurs {
            file: file.to_owned(),
        }),
    }
}
