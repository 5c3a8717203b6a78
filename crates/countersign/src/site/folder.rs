//! A site's folder and what stands where in it.

use std::fs::{File, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::secret::Secret;
use data_encoding::HEXLOWER;
use rustix::fs::{FlockOperation, Mode, flock};
use rustix::process::umask;
use tracing::warn;

use crate::failure::{Exit, Failure};
use crate::files::PRIVATE;
use crate::output::say;

/// The database and what SQLite keeps beside it.
pub(crate) const DATABASE: [&str; 3] = ["site.db", "site.db-wal", "site.db-shm"];
/// The secret of a file slot.
pub(crate) const SLOT_FILE: &str = "site-key.slot";
/// The configuration.
pub(crate) const CONFIG: &str = "countersign.toml";
/// What only a site leaves in its folder.
const TRACES: [&str; 6] = [
    CONFIG,
    SLOT_FILE,
    "admin.sock",
    "site.db-wal",
    "site.db-shm",
    "site.db",
];

/// A folder that this process alone serves.
pub(crate) struct Folder {
    path: PathBuf,
    /// Holds the lock until the process ends, however it ends.
    _lock: File,
}

impl Folder {
    /// Makes the folder if there is none (for its owner alone), and locks it.
    pub(crate) fn lock(path: &Path) -> Result<Self, Failure> {
        let failed = |error: &std::io::Error| {
            Failure::new(
                Exit::Failure,
                "folder",
                format_args!("{}: {error}", path.display()),
            )
            .hint("a site needs a folder that its user may write to")
        };
        // Credentials stand in the database: what this process makes is its user's alone, also in a
        // folder that others may enter.
        umask(Mode::from_raw_mode(0o077));
        let mut builder = std::fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| failed(&error))?;
        let mode = std::fs::metadata(path).map(|found| found.permissions().mode());
        if mode.is_ok_and(|mode| mode & 0o022 != 0) {
            say(format_args!(
                "warning: others can write to {0}; `chmod 700 {0}` keeps it to you",
                path.display()
            ));
        }
        let lock = File::create(path.join("lock")).map_err(|error| failed(&error))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            Failure::new(
                Exit::Failure,
                "folder_in_use",
                format_args!("another process serves the site in {}", path.display()),
            )
            .hint("stop that one first, or name another folder with --data")
        })?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Makes a folder that nobody else made or can enter, for a site that is not kept.
    ///
    /// The folder for such things is everybody's: a name that can be guessed might be there already,
    /// made by somebody who waits for a key to be written into it.
    pub(crate) fn throw_away() -> Result<PathBuf, Failure> {
        let name = HEXLOWER.encode(Secret::<8>::generate(&mut SystemEntropy).expose());
        let path = std::env::temp_dir().join(format!("countersign-dev-{name}"));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| Failure::file(&path, &error))?;
        Ok(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The database.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join(DATABASE[0])
    }

    /// The secret of a file slot, for an unattended start.
    pub(crate) fn slot_file(&self) -> PathBuf {
        self.path.join(SLOT_FILE)
    }

    /// Whether there is no database, or an empty file in its place.
    pub(crate) fn has_no_database(&self) -> bool {
        std::fs::metadata(self.database()).map_or(true, |found| found.len() == 0)
    }

    /// Removes a database that could not be made.
    pub(crate) fn remove_database(&self) {
        for name in DATABASE {
            let _ = std::fs::remove_file(self.path.join(name));
        }
    }

    /// The files that only a site leaves in its folder, of those that are there.
    pub(crate) fn traces(&self) -> Vec<&'static str> {
        Self::traces_in(&self.path)
    }

    /// The same of a folder that is not locked.
    pub(crate) fn traces_in(folder: &Path) -> Vec<&'static str> {
        let is_there = |name: &&str| folder.join(name).symlink_metadata().is_ok();
        TRACES.into_iter().filter(is_there).collect()
    }

    /// Takes from others what they may do with database and slot file: a copy that was brought back may have
    /// come with the mode of any file.
    ///
    /// # Errors
    /// The site does not start with secrets that others can read.
    pub(crate) fn keep_to_owner(&self) -> Result<(), Failure> {
        for name in DATABASE.into_iter().chain([SLOT_FILE]) {
            let path = self.path.join(name);
            // What a link leads to is not the site's to change.
            let found = std::fs::symlink_metadata(&path).ok();
            let mode = found.filter(std::fs::Metadata::is_file);
            if mode.is_none_or(|found| found.permissions().mode() & 0o077 == 0) {
                continue;
            }
            std::fs::set_permissions(&path, Permissions::from_mode(PRIVATE)).map_err(|error| {
                Failure::file(&path, &error).hint(format_args!(
                    "others can read it; `chmod 600 {}` as its owner keeps it to you",
                    path.display()
                ))
            })?;
            warn!(file = %path.display(), "others could read this; its mode is 0600 from now on");
        }
        Ok(())
    }

    /// The initialisation scripts, each applied once, in the order of their names.
    pub(crate) fn scripts(&self) -> Result<Vec<PathBuf>, Failure> {
        let folder = self.path.join("init.d");
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| Failure::file(&folder, &error))?,
        };
        let mut scripts: Vec<PathBuf> = entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "jsonl")
            })
            .collect();
        scripts.sort();
        Ok(scripts)
    }

    /// The admin socket of the site in `folder`.
    pub(crate) fn admin_socket_in(folder: &Path) -> PathBuf {
        folder.join("admin.sock")
    }

    /// The configuration file of the site in `folder`.
    pub(crate) fn config_in(folder: &Path) -> PathBuf {
        folder.join(CONFIG)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_served_by_one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = Folder::lock(folder.path()).unwrap();
        let second = Folder::lock(folder.path()).err().unwrap();
        assert_eq!(
            (second.exit, second.code.as_str()),
            (Exit::Failure, "folder_in_use")
        );
        drop(first);
        assert!(Folder::lock(folder.path()).is_ok());
    }

    #[test]
    fn a_throw_away_folder_is_new_and_its_owners_alone() {
        let (one, other) = (Folder::throw_away().unwrap(), Folder::throw_away().unwrap());
        assert_ne!(one, other);
        for path in [one, other] {
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
            std::fs::remove_dir(path).unwrap();
        }
    }
}
