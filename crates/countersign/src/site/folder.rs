//! A site's folder and the files in it.

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

/// The database, and the files that SQLite creates next to it.
pub(crate) const DATABASE: [&str; 3] = ["site.db", "site.db-wal", "site.db-shm"];
/// The secret of a file slot.
pub(crate) const SLOT_FILE: &str = "site-key.slot";
/// The configuration file.
pub(crate) const CONFIG: &str = "countersign.toml";
/// Files whose presence shows that the folder has, or had, a site.
const TRACES: [&str; 6] = [
    CONFIG,
    SLOT_FILE,
    "admin.sock",
    "site.db-wal",
    "site.db-shm",
    "site.db",
];

/// A site's folder, locked by this process.
pub(crate) struct Folder {
    path: PathBuf,
    /// Holds the lock. The operating system releases it however the process ends.
    _lock: File,
}

impl Folder {
    /// Locks the folder. Creates it with mode 0700 if it does not exist.
    pub(crate) fn lock(path: &Path) -> Result<Self, Failure> {
        let failed = |error: &std::io::Error| {
            Failure::new(
                Exit::Failure,
                "folder",
                format_args!("{}: {error}", path.display()),
            )
            .hint("name a folder with --data to which this user may write")
        };
        // The database contains credentials: only this user may read the files that this process creates,
        // also in a folder that other users can enter.
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
                "warning: other users can write to {0}; run `chmod 700 {0}`",
                path.display()
            ));
        }
        let lock = File::create(path.join("lock")).map_err(|error| failed(&error))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            Failure::new(
                Exit::Failure,
                "folder_in_use",
                format_args!("another process uses the site in {}", path.display()),
            )
            .hint("stop that process, or name another folder with --data")
        })?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Creates a new folder with mode 0700 for a temporary site.
    ///
    /// All users share the folder for temporary files. The name is random, so that an attacker cannot
    /// create the folder first and read the key that is written into it.
    pub(crate) fn temporary() -> Result<PathBuf, Failure> {
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

    /// The slot file, with which the site unseals itself at its start.
    pub(crate) fn slot_file(&self) -> PathBuf {
        self.path.join(SLOT_FILE)
    }

    /// Whether the database is missing or an empty file.
    pub(crate) fn has_no_database(&self) -> bool {
        std::fs::metadata(self.database()).map_or(true, |found| found.len() == 0)
    }

    /// Removes a database that could not be created completely.
    pub(crate) fn remove_database(&self) {
        for name in DATABASE {
            let _ = std::fs::remove_file(self.path.join(name));
        }
    }

    /// The files that show that the folder has, or had, a site.
    pub(crate) fn traces(&self) -> Vec<&'static str> {
        Self::traces_in(&self.path)
    }

    /// [`Self::traces`] of a folder that is not locked.
    pub(crate) fn traces_in(folder: &Path) -> Vec<&'static str> {
        let is_there = |name: &&str| folder.join(name).symlink_metadata().is_ok();
        TRACES.into_iter().filter(is_there).collect()
    }

    /// Sets the mode of the database and the slot file to 0600: a copied file may have another mode.
    ///
    /// # Errors
    /// The mode cannot be set: the site does not start with secrets that other users can read.
    pub(crate) fn keep_to_owner(&self) -> Result<(), Failure> {
        for name in DATABASE.into_iter().chain([SLOT_FILE]) {
            let path = self.path.join(name);
            // The site does not change the target of a symbolic link.
            let found = std::fs::symlink_metadata(&path).ok();
            let mode = found.filter(std::fs::Metadata::is_file);
            if mode.is_none_or(|found| found.permissions().mode() & 0o077 == 0) {
                continue;
            }
            std::fs::set_permissions(&path, Permissions::from_mode(PRIVATE)).map_err(|error| {
                Failure::file(&path, &error).hint(format_args!(
                    "other users can read this file; run `chmod 600 {}` as its owner",
                    path.display()
                ))
            })?;
            warn!(file = %path.display(), "other users could read this file; its mode was set to 0600");
        }
        Ok(())
    }

    /// The initialisation scripts, in the order of their names. Each is applied once.
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
    fn a_folder_is_locked_by_one_process_at_a_time() {
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
    fn a_temporary_folder_is_new_and_only_its_owner_has_access() {
        let (one, other) = (Folder::temporary().unwrap(), Folder::temporary().unwrap());
        assert_ne!(one, other);
        for path in [one, other] {
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
            std::fs::remove_dir(path).unwrap();
        }
    }
}
