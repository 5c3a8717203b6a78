//! Writes files: complete or not at all, and replaces an existing file only with `--force`.
//!
//! ```text
//! regular file, or none   a temporary file in the same folder, renamed at the end
//! FIFO, device, /dev/fd   written directly; nothing is replaced. Another user's FIFO counts as an
//!                         existing file
//! symbolic link           counts as an existing file: `--force` replaces the link, never its target
//! ```

use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::failure::{Exit, Failure};

/// The mode of a file with a secret.
pub(crate) const PRIVATE: u32 = 0o600;
/// The mode of a file that other users may read, such as a public key.
pub(crate) const PUBLIC: u32 = 0o644;

/// What happens to an existing file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It stays and the command fails.
    Kept,
    /// The new file replaces it.
    Replaced,
}

impl Existing {
    /// Replaced with `--force`, kept without.
    pub(crate) const fn forced(force: bool) -> Self {
        if force { Self::Replaced } else { Self::Kept }
    }
}

/// A file that is being written. If it is dropped before [`Self::finish`], it leaves nothing.
pub(crate) struct OutputFile {
    path: PathBuf,
    to: To,
}

enum To {
    /// A temporary file that is renamed to `path` at the end.
    Whole {
        part: NamedTempFile,
        mode: u32,
        existing: Existing,
    },
    /// A FIFO or a device.
    Through(File),
}

impl OutputFile {
    /// Starts writing `path`. An existing file is refused here, before any long work.
    ///
    /// # Errors
    /// Exit code 7 if the file exists and is [`Existing::Kept`].
    pub(crate) fn create(path: &Path, mode: u32, existing: Existing) -> Result<Self, Failure> {
        check(path, existing)?;
        let to = if is_written_directly(path) {
            // Append: `/dev/stdout` may be a log to which other processes write too.
            OpenOptions::new().append(true).open(path).map(To::Through)
        } else {
            temporary(path).map(|part| To::Whole {
                part,
                mode,
                existing,
            })
        };
        Ok(Self {
            to: to.map_err(|error| Failure::file(path, &error))?,
            path: path.to_owned(),
        })
    }

    /// The temporary file, if there is one.
    pub(crate) fn temporary_path(&self) -> Option<&Path> {
        match &self.to {
            To::Whole { part, .. } => Some(part.path()),
            To::Through(_) => None,
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = match &mut self.to {
            To::Whole { part, .. } => part.as_file_mut().write_all(bytes),
            To::Through(file) => file.write_all(bytes),
        };
        written.map_err(|error| Failure::file(&self.path, &error))
    }

    /// Completes the file under its name, and makes it survive a power cut.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let Self { path, to } = self;
        let failed = |error: &io::Error| match error.kind() {
            ErrorKind::AlreadyExists => exists(&path),
            _ => Failure::file(&path, error),
        };
        match to {
            To::Through(mut file) => file.flush().map_err(|error| failed(&error)),
            To::Whole {
                part,
                mode,
                existing,
            } => {
                part.as_file()
                    .set_permissions(Permissions::from_mode(mode))
                    .and_then(|()| part.as_file().sync_all())
                    .map_err(|error| failed(&error))?;
                let placed = match existing {
                    Existing::Kept => part.persist_noclobber(&path),
                    Existing::Replaced => part.persist(&path),
                };
                placed.map_err(|error| failed(&error.error))?;
                sync_folder(&path).map_err(|error| failed(&error))
            }
        }
    }
}

/// Checks in advance whether [`OutputFile::create`] will refuse an existing file.
///
/// # Errors
/// Exit code 7 if it will.
pub(crate) fn check(path: &Path, existing: Existing) -> Result<(), Failure> {
    let refused = existing == Existing::Kept && path.symlink_metadata().is_ok();
    if refused && !is_written_directly(path) {
        return Err(exists(path));
    }
    Ok(())
}

/// Writes a file.
pub(crate) fn write(
    path: &Path,
    mode: u32,
    existing: Existing,
    bytes: &[u8],
) -> Result<(), Failure> {
    let mut file = OutputFile::create(path, mode, existing)?;
    file.write(bytes)?;
    file.finish()
}

/// Syncs the folder of `path`, so that renamed files survive a power cut.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

fn temporary(path: &Path) -> io::Result<NamedTempFile> {
    let name = path.file_name().unwrap_or(OsStr::new("file"));
    let mut prefix = OsStr::new(".").to_owned();
    prefix.push(name);
    prefix.push(".");
    tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".part")
        .permissions(Permissions::from_mode(PRIVATE))
        .tempfile_in(folder_of(path))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Whether the path is written directly: a FIFO, a device, or an open file under `/dev` or `/proc`, which
/// may be a regular file (`/dev/stdout` in `countersign … > log`).
fn is_written_directly(path: &Path) -> bool {
    let special = |found: Metadata| !found.is_file() && !found.is_dir();
    let system = folder_of(path)
        .canonicalize()
        .is_ok_and(|folder| folder == Path::new("/dev") || folder.starts_with("/proc"));
    system || path.metadata().is_ok_and(special) && is_ours(path)
}

/// Whether this user or root owns the file, and the symbolic link if the path is one. The owner of a FIFO
/// can read what is written to it.
fn is_ours(path: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let ours =
        |found: io::Result<Metadata>| found.is_ok_and(|found| [0, own].contains(&found.uid()));
    ours(path.symlink_metadata()) && ours(path.metadata())
}

fn exists(path: &Path) -> Failure {
    let message = format_args!("{} already exists", path.display());
    Failure::new(Exit::Conflict, "file_exists", message)
        .hint("choose another name, or move it away")
}

#[cfg(test)]
mod tests;
