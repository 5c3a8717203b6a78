//! Reads a backup. Its content is valid only after the end was read and verified.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use countersign_crypto::hash::Sha256;
use countersign_crypto::sealed_file::{FileOpenError, FileOpener, SEALED_CHUNK};
use countersign_crypto::secret::Passphrase;
use countersign_crypto::site_key_slots::SlotSecret;
use indicatif::ProgressBar;

use super::{ANY_VERSION, MAGIC, MAX_LINE, Manifest, PLAIN, SEALED};
use crate::failure::{Exit, Failure};
use crate::files::PRIVATE;

/// Bytes copied at a time.
const PIECE: usize = 64 * 1024;

/// An open backup whose files have not been read.
pub(crate) struct Archive {
    file: PathBuf,
    body: Body,
    sum: Sha256,
    pub(crate) sealed: bool,
}

enum Body {
    Plain(BufReader<File>),
    Sealed {
        chunks: BufReader<File>,
        opener: FileOpener,
        text: io::Cursor<Vec<u8>>,
        ended: bool,
    },
}

impl Archive {
    /// Opens a backup; asks for its pass phrase if it is sealed.
    pub(crate) fn open(
        file: &Path,
        passphrase: impl FnOnce() -> Result<Passphrase, Failure>,
    ) -> Result<Self, Failure> {
        let opened = File::open(file).map_err(|error| Failure::file(file, &error))?;
        let mut reader = BufReader::with_capacity(SEALED_CHUNK, opened);
        let first = line(&mut reader).map_err(|error| damaged(file, &error))?;
        let sealed = match first.strip_prefix(MAGIC) {
            Some(PLAIN) => false,
            Some(SEALED) => true,
            None if first.starts_with(ANY_VERSION) => {
                let message = format_args!(
                    "{} was written by a newer version of Countersign",
                    file.display()
                );
                return Err(Failure::new(Exit::Failure, "newer_backup", message)
                    .hint("use that version or a later one"));
            }
            _ => {
                let message = format_args!("{} is not a backup of a site", file.display());
                return Err(Failure::new(Exit::Failure, "no_backup", message)
                    .hint("`countersign backup create FILE` makes one"));
            }
        };
        let body = if sealed {
            let header = line(&mut reader).map_err(|error| damaged(file, &error))?;
            let opener = open_header(file, &header, &passphrase()?)?;
            Body::Sealed {
                chunks: reader,
                opener,
                text: io::Cursor::default(),
                ended: false,
            }
        } else {
            Body::Plain(reader)
        };
        Ok(Self {
            file: file.to_owned(),
            body,
            sum: Sha256::new(),
            sealed,
        })
    }

    /// Writes the files of the backup into a folder without them. They must not be used if this fails.
    pub(crate) fn extract(mut self, folder: &Path, bar: &ProgressBar) -> Result<Manifest, Failure> {
        let file = self.file.clone();
        let manifest = self.manifest().map_err(|error| damaged(&file, &error))?;
        for listed in &manifest.files {
            let path = folder.join(&listed.name);
            let mut out = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(PRIVATE)
                .open(&path)
                .map_err(|error| Failure::file(&path, &error))?;
            let mut left = listed.bytes;
            let mut piece = vec![0; PIECE];
            while left > 0 {
                let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
                let piece = piece.get_mut(..most).unwrap_or_default();
                let read = self.read(piece).map_err(|error| damaged(&file, &error))?;
                let read = piece.get(..read).unwrap_or_default();
                if read.is_empty() {
                    return Err(damaged(&file, &"the file is truncated"));
                }
                out.write_all(read)
                    .map_err(|error| Failure::file(&path, &error))?;
                left = left.saturating_sub(read.len() as u64);
                bar.inc(read.len() as u64);
            }
            out.sync_all()
                .map_err(|error| Failure::file(&path, &error))?;
        }
        self.end().map_err(|error| damaged(&file, &error))?;
        Ok(manifest)
    }

    fn manifest(&mut self) -> io::Result<Manifest> {
        let mut line = Vec::new();
        let mut byte = [0];
        while (line.len() as u64) < MAX_LINE && self.read(&mut byte)? == 1 {
            let [byte] = byte;
            if byte == b'\n' {
                return Manifest::parse(&line)
                    .ok_or_else(|| io::Error::other("its manifest is invalid"));
            }
            line.push(byte);
        }
        Err(io::Error::other("it has no manifest"))
    }

    /// Checks that the rest of the file is the right digest.
    fn end(mut self) -> io::Result<()> {
        let expected = std::mem::replace(&mut self.sum, Sha256::new()).finish();
        let mut rest = Vec::new();
        (&mut self).take(33).read_to_end(&mut rest)?;
        if rest == expected {
            return Ok(());
        }
        Err(io::Error::other("its digest does not match"))
    }
}

impl Read for Archive {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.body {
            Body::Plain(reader) => reader.read(into)?,
            Body::Sealed {
                chunks,
                opener,
                text,
                ended,
            } => loop {
                let read = text.read(into)?;
                if read > 0 || *ended {
                    break read;
                }
                let mut chunk = Vec::with_capacity(SEALED_CHUNK);
                chunks
                    .by_ref()
                    .take(SEALED_CHUNK as u64)
                    .read_to_end(&mut chunk)?;
                *ended = chunks.fill_buf()?.is_empty();
                let opened = opener.open_chunk(chunk, *ended);
                *text = io::Cursor::new(
                    opened
                        .map_err(|_| io::Error::other("a part of it is missing or was changed"))?,
                );
            },
        };
        self.sum.update(into.get(..read).unwrap_or_default());
        Ok(read)
    }
}

fn open_header(file: &Path, header: &str, secret: &Passphrase) -> Result<FileOpener, Failure> {
    FileOpener::open(header, SlotSecret::Passphrase(secret)).map_err(|error| match error {
        FileOpenError::WrongSecret => Failure::new(
            Exit::NotAuthenticated,
            "backup_passphrase",
            format_args!("the pass phrase does not open {}", file.display()),
        )
        .hint("give the pass phrase with which the backup was made"),
        FileOpenError::Damaged => damaged(file, &error),
    })
}

/// Reads the next line of a file of any content.
fn line(reader: &mut BufReader<File>) -> io::Result<String> {
    let mut line = String::new();
    reader
        .by_ref()
        .take(MAX_LINE)
        .read_line(&mut line)
        .map_err(|_| io::Error::other("it does not begin as a backup does"))?;
    if line.pop() == Some('\n') {
        return Ok(line);
    }
    // Not text, or truncated.
    Ok(String::new())
}

fn damaged(file: &Path, problem: &dyn std::fmt::Display) -> Failure {
    let message = format_args!("the backup {} is damaged: {problem}", file.display());
    Failure::new(Exit::Problems, "damaged_backup", message)
        .hint("nothing was restored; use another backup or another copy of this one")
}
