//! Reads the small files that the configuration names: secrets of one line, certificates and templates.
//!
//! The site reads them again at SIGHUP, while it runs. A device or a pipe in their place must neither stop it nor
//! fill its memory.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::failure::{Exit, Failure};
use crate::input;
use crate::secret_input::warn_if_others_can_read;

/// The greatest size of such a file. A password has one line, and a certificate about 2 KiB.
const MAX_NAMED_FILE_BYTES: u64 = 64 * 1024;

/// Reads a secret of one line as [`input::secret`] does, and warns if other users can read the file.
///
/// # Errors
/// The file cannot be read, is not a regular file, is too large, or is not text.
pub(crate) fn secret(file: &Path) -> Result<String, Failure> {
    let bytes = bytes(file)?;
    warn_if_others_can_read(file);
    input::as_text(file, bytes).map(input::without_line_end)
}

/// Reads all bytes of a file.
///
/// # Errors
/// The file cannot be read, is not a regular file, or is too large.
pub(crate) fn bytes(file: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| Failure::file(file, &error);
    // Without NONBLOCK, opening a pipe waits for its writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(file, flags, Mode::empty());
    let opened = File::from(opened.map_err(|error| failed(error.into()))?);
    let found = opened.metadata().map_err(failed)?;
    if !found.is_file() {
        return Err(refused(file, "is not a regular file"));
    }
    // The file may grow while it is read.
    let mut bytes = Vec::new();
    let limit = MAX_NAMED_FILE_BYTES.saturating_add(1);
    opened.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    match u64::try_from(bytes.len()) {
        Ok(read) if read <= MAX_NAMED_FILE_BYTES => Ok(bytes),
        _ => Err(refused(file, "is larger than 65,536 bytes")),
    }
}

fn refused(file: &Path, problem: &str) -> Failure {
    let text = format_args!("{} {problem}", file.display());
    Failure::new(Exit::Failure, "file", text).hint(
        "name a file with one secret, with the certificates of one server, or with one template",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ca_file = "/dev/zero"` filled the memory, and a pipe without a writer stopped the site for ever.
    #[test]
    fn only_a_regular_file_of_at_most_65_536_bytes_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        for no_file in [
            Path::new("/dev/zero"),
            Path::new("-"),
            &pipe,
            &link,
            folder.path(),
        ] {
            assert!(bytes(no_file).is_err(), "{}", no_file.display());
        }
        let file = folder.path().join("file");
        for (size, read) in [(0, true), (65_536, true), (65_537, false)] {
            std::fs::write(&file, vec![b'a'; size]).unwrap();
            assert_eq!(bytes(&file).is_ok(), read, "{size}");
        }
    }

    #[test]
    fn a_secret_is_one_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "open sesame\r\n").unwrap();
        assert_eq!(secret(file.path()).unwrap(), "open sesame");
    }
}
