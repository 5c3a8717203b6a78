//! The format of a backup: one file with the database and other files of a site.
//!
//! ```text
//! plain    "countersign backup/1 plain" LF  body
//! sealed   "countersign backup/1 sealed" LF  header LF  body, in chunks (countersign_crypto::sealed_file)
//!
//! body     manifest (one line of JSON) LF  the files, one after the other  SHA-256 of the body before it
//! ```
//!
//! The digest at the end detects accidental truncation and changes of a plain backup. The chunks of a
//! sealed backup are authenticated.

mod check;
mod reader;
mod writer;

use serde::{Deserialize, Serialize};

pub(crate) use self::check::{Checked, check, open_site};
pub(crate) use self::reader::Archive;
pub(crate) use self::writer::Writer;
use crate::site::folder::{CONFIG, DATABASE, SLOT_FILE};

const MAGIC: &str = "countersign backup/1 ";
const ANY_VERSION: &str = "countersign backup/";
const PLAIN: &str = "plain";
const SEALED: &str = "sealed";
/// The greatest length of a line before the files, in bytes.
const MAX_LINE: u64 = 64 * 1024;
/// The files that a backup may contain. The database is required and comes first.
const FILES: [&str; 3] = [DATABASE[0], CONFIG, SLOT_FILE];

/// The manifest of a backup.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// When the backup was made, in milliseconds since 1970.
    pub(crate) created: i64,
    /// The version of Countersign that made it.
    pub(crate) version: String,
    /// The files, in their order.
    pub(crate) files: Vec<Listed>,
}

/// A file in a backup.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

impl Manifest {
    /// Parses the first line of a backup; `None` if it is not a valid manifest.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let read = serde_json::from_slice(line).ok();
        read.filter(Self::is_valid)
    }

    /// Whether it lists only files that a backup may contain, each once, with the database first.
    fn is_valid(&self) -> bool {
        let names: Vec<&str> = self.files.iter().map(|file| file.name.as_str()).collect();
        let mut known = FILES.iter();
        names.first() == FILES.first() && names.iter().all(|name| known.any(|file| file == name))
    }
}

#[cfg(test)]
mod tests;
