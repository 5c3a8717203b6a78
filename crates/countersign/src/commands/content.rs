//! Content on its way to a file or to standard output, with a progress bar for whoever waits.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};

use crate::failure::Failure;
use crate::input::STANDARD;

/// Where content goes. A file is there when it is whole, and not before.
pub(crate) enum Sink {
    /// To a file beside the one that is meant, which takes its place at the end.
    File {
        file: File,
        part: PathBuf,
        whole: PathBuf,
    },
    Standard(std::io::Stdout),
}

impl Sink {
    /// Opens `--save`, or standard output when nothing was said and it is no terminal.
    pub(crate) fn open(save: Option<&Path>) -> Result<Self, Failure> {
        match save {
            Some(path) if path != Path::new(STANDARD) => {
                let mut part = path.as_os_str().to_owned();
                part.push(".part");
                let part = PathBuf::from(part);
                let file = File::create(&part).map_err(|error| Failure::file(&part, &error))?;
                Ok(Self::File {
                    file,
                    part,
                    whole: path.to_owned(),
                })
            }
            None if std::io::stdout().is_terminal() => {
                Err(Failure::usage("content may be of any length and any bytes")
                    .hint("say --save FILE, or --save - to have it on the terminal"))
            }
            _ => Ok(Self::Standard(std::io::stdout())),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::File { file, part, .. } => file
                .write_all(bytes)
                .map_err(|error| Failure::file(part, &error)),
            Self::Standard(out) => out
                .write_all(bytes)
                .map_err(|error| Failure::output(&error)),
        }
    }

    /// The content is whole.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        match self {
            Self::File { file, part, whole } => file
                .sync_all()
                .and_then(|()| std::fs::rename(&part, &whole))
                .map_err(|error| Failure::file(&whole, &error)),
            Self::Standard(mut out) => out.flush().map_err(|error| Failure::output(&error)),
        }
    }

    /// The content is not whole: no file is left of it.
    pub(crate) fn give_up(self) {
        if let Self::File { part, .. } = self {
            let _ = std::fs::remove_file(part);
        }
    }
}

/// How far the content of a file has come; of what cannot be measured, how much it was.
pub(crate) fn progress_of(file: &Path) -> ProgressBar {
    let whole = std::fs::metadata(file)
        .ok()
        .filter(std::fs::Metadata::is_file);
    progress(whole.map(|file| file.len()))
}

/// How far content has come, on standard error if that is a terminal.
pub(crate) fn progress(whole: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, form) = match whole {
        Some(bytes) => (
            ProgressBar::new(bytes),
            "{wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec}",
        ),
        None => (
            ProgressBar::new_spinner(),
            "{spinner} {bytes} {binary_bytes_per_sec}",
        ),
    };
    match ProgressStyle::with_template(form) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_when_it_is_whole_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("export");
        let mut sink = Sink::open(Some(&path)).unwrap();
        sink.write(b"some").unwrap();
        assert!(!path.exists());
        sink.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"some");

        let mut sink = Sink::open(Some(&path)).unwrap();
        sink.write(b"other").unwrap();
        sink.give_up();
        assert_eq!(std::fs::read(&path).unwrap(), b"some");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
