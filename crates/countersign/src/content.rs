//! Writes content to a file or to standard output, with a progress bar.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::{Exit, Failure};
use crate::files::{Existing, OutputFile, PRIVATE};
use crate::input::STANDARD;
use crate::output::{Format, report};

/// The destination of content. A file appears under its name only when it is complete.
pub(crate) enum Sink {
    File(OutputFile),
    Standard(std::io::Stdout),
}

impl Sink {
    /// Opens the file of `--save`; without it, standard output unless that is a terminal.
    pub(crate) fn open(save: Option<&Path>, existing: Existing) -> Result<Self, Failure> {
        match save {
            Some(path) if path != Path::new(STANDARD) => {
                OutputFile::create(path, PRIVATE, existing).map(Self::File)
            }
            None if std::io::stdout().is_terminal() => Err(Failure::usage(
                "the result has content, which may be long and is not always text",
            )
            .hint("give --save FILE, or --save - to write it to the terminal")),
            _ => Ok(Self::Standard(std::io::stdout())),
        }
    }

    /// Opens the destination as [`Self::open`] does, and removes an incomplete file when Ctrl-C or a
    /// termination signal ends the process.
    pub(crate) fn open_interruptible(
        save: Option<&Path>,
        existing: Existing,
        format: Format,
    ) -> Result<Self, Failure> {
        let sink = Self::open(save, existing)?;
        if let Self::File(file) = &sink
            && let Some(part) = file.temporary_path()
        {
            remove_when_interrupted(part.to_owned(), format)?;
        }
        Ok(sink)
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Standard(out) => out
                .write_all(bytes)
                .map_err(|error| Failure::output(&error)),
        }
    }

    /// Completes the file. A sink that is dropped before leaves no file.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        match self {
            Self::File(file) => file.finish(),
            Self::Standard(mut out) => out.flush().map_err(|error| Failure::output(&error)),
        }
    }
}

/// The failure when the transfer was interrupted.
pub(crate) fn cancelled() -> Failure {
    let message = "the transfer of the content was interrupted";
    Failure::new(Exit::Failure, "cancelled", message)
}

/// Watches for signals that end the process while work runs that cannot be interrupted.
fn remove_when_interrupted(part: PathBuf, format: Format) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(Exit::Failure, "signal", error);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(failed)?;
    let throttle = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    drop(throttle);
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        });
        let _ = std::fs::remove_file(part);
        report(&cancelled(), format);
        std::process::exit(Exit::Failure as i32);
    });
    Ok(())
}

/// A progress bar for reading a file. If its size is unknown, it shows the number of bytes.
pub(crate) fn progress_of(file: &Path) -> ProgressBar {
    let whole = std::fs::metadata(file)
        .ok()
        .filter(std::fs::Metadata::is_file);
    progress(whole.map(|file| file.len()))
}

/// A progress bar on standard error; hidden if that is not a terminal.
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
