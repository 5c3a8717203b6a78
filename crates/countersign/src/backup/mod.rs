//! The form of a backup: one file with a site's database and what stands beside it.
//!
//! ```text
//! plain    "countersign backup/1 plain" LF  body
//! sealed   "countersign backup/1 sealed" LF  header LF  body, in chunks (countersign_crypto::sealed_file)
//!
//! body     manifest (one line of JSON) LF  the files, one after the other  SHA-256 of the body before it
//! ```
//!
//! The digest at the end tells a plain backup that is whole from one that was cut short or changed by an
//! accident; a sealed one is authenticated chunk by chunk besides.

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
/// The longest line before the files.
const MAX_LINE: u64 = 64 * 1024;
/// What a backup may hold; the database comes first and is never missing.
const FILES: [&str; 3] = [DATABASE[0], CONFIG, SLOT_FILE];

/// What stands in a backup.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// When it was made, in milliseconds since 1970.
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
    /// Whether it lists what a backup may hold, each once and the database first.
    fn is_sound(&self) -> bool {
        let names: Vec<&str> = self.files.iter().map(|file| file.name.as_str()).collect();
        let mut known = FILES.iter();
        names.first() == FILES.first() && names.iter().all(|name| known.any(|file| file == name))
    }
}

#[cfg(test)]
mod tests;
