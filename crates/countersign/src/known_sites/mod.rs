//! The sites that this user has logged in to by URI: what is known of each, so that a site may replace
//! its key without a new URI, and an older key that a thief has is not accepted again.
//!
//! ```text
//! $XDG_STATE_HOME/countersign, or ~/.local/state/countersign
//!   known_sites.json             for each pinned key: the site's id and its newest key event
//! ```
//!
//! An enrolled device has this in its profile instead.

use std::fs::{DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use countersign_client::ConnectError;
use countersign_crypto::site_key::SitePublicKey;
use countersign_proto::session::LoginError;
use countersign_proto::site_identity::{KeyEventsError, KnownSite};
use serde::{Deserialize, Serialize};

use crate::failure::{Exit, Failure};
use crate::files::{self, Existing, PRIVATE};
use crate::input;

/// The version of the file format that this program reads and writes.
const VERSION: u32 = 1;
/// Maximum number of entries. The oldest one makes room, and its site is a new one again.
const MAX_KNOWN_SITES: usize = 1_000;
/// The longest file that is read, in bytes. An entry has some 600.
const MAX_FILE: u64 = 2 * 1024 * 1024;

/// The file of known sites.
#[derive(Debug, Clone)]
pub(crate) struct KnownSites {
    folder: PathBuf,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    version: u32,
    sites: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The key in the URI, as in the URI.
    pin: String,
    known: KnownSite,
}

impl Document {
    /// Parses the text of the file.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let document: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match document.version {
            VERSION => Ok(document),
            other => Err(format!("version {other} is not supported")),
        }
    }
}

impl KnownSites {
    /// The file of this user; `None` without a home folder. Each login is then a first contact.
    pub(crate) fn of_user() -> Option<Self> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let state = variable("XDG_STATE_HOME").map(PathBuf::from);
        let state = state.filter(|state| state.is_absolute());
        let home = || Some(PathBuf::from(variable("HOME")?).join(".local/state"));
        let folder = state.or_else(home)?.join("countersign");
        Some(Self { folder })
    }

    /// What is known of the site with this pinned key.
    ///
    /// # Errors
    /// The file is damaged or cannot be read.
    pub(crate) fn find(&self, pin: &SitePublicKey) -> Result<Option<KnownSite>, Failure> {
        let document = self.read()?;
        let pin = pin.to_string();
        let found = document.sites.iter().find(|entry| entry.pin == pin);
        Ok(found.map(|entry| entry.known))
    }

    /// Stores what a connection with this pinned key has shown of its site.
    ///
    /// # Errors
    /// It contradicts what is known of the same site through another URI; or the file is damaged or
    /// cannot be written.
    pub(crate) fn record(&self, pin: &SitePublicKey, learned: KnownSite) -> Result<(), Failure> {
        if self.find(pin)? == Some(learned) {
            return Ok(());
        }
        let _lock = self.lock()?;
        let mut document = self.read()?;
        let pin = pin.to_string();
        let mut newest = learned;
        let same_site = |entry: &&mut Entry| entry.known.id() == learned.id();
        for entry in document
            .sites
            .iter()
            .filter(|entry| entry.known.id() == learned.id())
        {
            newest = newer(newest, entry.known)?;
        }
        for entry in document.sites.iter_mut().filter(same_site) {
            entry.known = newest;
        }
        if !document.sites.iter().any(|entry| entry.pin == pin) {
            let room = MAX_KNOWN_SITES.saturating_sub(1);
            let excess = document.sites.len().saturating_sub(room);
            document.sites.drain(..excess);
            document.sites.push(Entry { pin, known: newest });
        }
        document.version = VERSION;
        let text = serde_json::to_vec_pretty(&document)
            .map_err(|error| Failure::new(Exit::Failure, "known_sites", error))?;
        files::write(&self.file(), PRIVATE, Existing::Replaced, &text)
    }

    fn read(&self) -> Result<Document, Failure> {
        let file = self.file();
        let length = match std::fs::metadata(&file) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Document::default()),
            Err(error) => return Err(Failure::file(&file, &error)),
        };
        if length > MAX_FILE {
            return Err(damaged(&file, &"it is too long"));
        }
        Document::parse(&input::text(&file)?).map_err(|problem| damaged(&file, &problem))
    }

    /// Creates the folder and locks it until the result is dropped, so that of two commands none
    /// loses what the other stores.
    fn lock(&self) -> Result<File, Failure> {
        let created = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder);
        let locked = created.and_then(|()| {
            let opened = File::open(&self.folder)?;
            opened.lock().map(|()| opened)
        });
        locked.map_err(|error| Failure::file(&self.folder, &error))
    }

    fn file(&self) -> PathBuf {
        self.folder.join("known_sites.json")
    }
}

/// The newer of two that were verified of one site.
fn newer(one: KnownSite, other: KnownSite) -> Result<KnownSite, Failure> {
    let number = |known: &KnownSite| known.newest().event().number;
    if number(&one) != number(&other) {
        return Ok(if number(&one) > number(&other) {
            one
        } else {
            other
        });
    }
    match one.newest().event().digest() == other.newest().event().digest() {
        true => Ok(one),
        false => {
            let fork = KeyEventsError::Fork {
                number: number(&one),
            };
            Err(ConnectError::Login(LoginError::KeyEvents(fork)).into())
        }
    }
}

fn damaged(file: &Path, problem: &dyn std::fmt::Display) -> Failure {
    let message = format_args!("the file of known sites {}: {problem}", file.display());
    Failure::new(Exit::Failure, "known_sites", message).hint(
        "restore the file from a backup; or move it away, after you compared the keys of your sites with \
         those that their operators give",
    )
}

#[cfg(test)]
mod tests;
