//! Files that this binary writes: whole or not at all, for their owner alone, and never over another file
//! without being told to.
//!
//! ```text
//! regular file, or none   a temporary file beside it, renamed at the end
//! FIFO, device, /dev/fd   written through; nothing is replaced. Another user's FIFO counts as a file that exists
//! symbolic link           counts as a file that exists: `--force` replaces the link, never its target
//! ```

use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::failure::{Exit, Failure};

/// The mode of a file with a secret in it.
pub(crate) const PRIVATE: u32 = 0o600;
/// The mode of a file that others may read: a public key.
pub(crate) const PUBLIC: u32 = 0o644;

/// What becomes of a file that stands there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It stays, and the command fails.
    Kept,
    /// The new file takes its place.
    Replaced,
}

impl Existing {
    /// As `--force` says.
    pub(crate) const fn forced(force: bool) -> Self {
        if force { Self::Replaced } else { Self::Kept }
    }
}

/// A file on its way. When it is dropped before [`Self::finish`], nothing is left of it.
pub(crate) struct OutputFile {
    path: PathBuf,
    to: To,
}

enum To {
    /// A temporary file that takes the place of `path` at the end.
    Whole {
        part: NamedTempFile,
        mode: u32,
        existing: Existing,
    },
    /// A FIFO or a device.
    Through(File),
}

impl OutputFile {
    /// Opens what `path` will be. A file that exists is refused here, before any long work is done.
    ///
    /// # Errors
    /// Exit code 7 when the file exists and is [`Existing::Kept`].
    pub(crate) fn create(path: &Path, mode: u32, existing: Existing) -> Result<Self, Failure> {
        check(path, existing)?;
        let to = if is_written_through(path) {
            // Appending: `/dev/stdout` may be a log that others write to as well.
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

    /// Where the bytes are until the file is whole, if that is a file of its own.
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

    /// The file is whole: from now on it stands where it was meant to, also after a power cut.
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

/// Refuses a file that exists and is to be kept.
///
/// # Errors
/// Exit code 7, with which [`OutputFile::create`] would fail.
pub(crate) fn check(path: &Path, existing: Existing) -> Result<(), Failure> {
    let kept = existing == Existing::Kept && path.symlink_metadata().is_ok();
    if kept && !is_written_through(path) {
        return Err(exists(path));
    }
    Ok(())
}

/// Writes a whole file.
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

/// Makes the names in the folder of `path` durable.
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

/// Whether the path names no regular file: a FIFO, a device, or an open file under `/dev` or `/proc`, which
/// may lead to a regular one (`/dev/stdout` in `countersign … > log`).
fn is_written_through(path: &Path) -> bool {
    let special = |found: Metadata| !found.is_file() && !found.is_dir();
    let system = folder_of(path)
        .canonicalize()
        .is_ok_and(|folder| folder == Path::new("/dev") || folder.starts_with("/proc"));
    system || path.metadata().is_ok_and(special) && is_ours(path)
}

/// Whether only this user or root made what the path names, and the link that it may be: who made a FIFO
/// reads what is written to it.
fn is_ours(path: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let ours =
        |found: io::Result<Metadata>| found.is_ok_and(|found| [0, own].contains(&found.uid()));
    ours(path.symlink_metadata()) && ours(path.metadata())
}

fn exists(path: &Path) -> Failure {
    let message = format_args!("{} exists already", path.display());
    Failure::new(Exit::Conflict, "file_exists", message)
        .hint("choose another name, or move it away")
}

#[cfg(test)]
mod tests;
