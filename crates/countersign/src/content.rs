//! Content on its way to a file or to standard output, with a progress bar for whoever waits.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::{Exit, Failure};
use crate::files::{Existing, OutputFile, PRIVATE};
use crate::input::STANDARD;
use crate::output::{Format, report};

/// Where content goes. A file is there when it is whole, and not before.
pub(crate) enum Sink {
    File(OutputFile),
    Standard(std::io::Stdout),
}

impl Sink {
    /// Opens `--save`, or standard output when nothing was said and it is no terminal.
    pub(crate) fn open(save: Option<&Path>, existing: Existing) -> Result<Self, Failure> {
        match save {
            Some(path) if path != Path::new(STANDARD) => {
                OutputFile::create(path, PRIVATE, existing).map(Self::File)
            }
            None if std::io::stdout().is_terminal() => {
                Err(Failure::usage("content may be of any length and any bytes")
                    .hint("say --save FILE, or --save - to have it on the terminal"))
            }
            _ => Ok(Self::Standard(std::io::stdout())),
        }
    }

    /// The same, and nothing is left of the file when Ctrl-C or a termination signal ends the process.
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

    /// The content is whole. A sink that is dropped before leaves no file.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        match self {
            Self::File(file) => file.finish(),
            Self::Standard(mut out) => out.flush().map_err(|error| Failure::output(&error)),
        }
    }
}

/// That the content was not wanted any more.
pub(crate) fn cancelled() -> Failure {
    let message = "the content was not taken to its end";
    Failure::new(Exit::Failure, "cancelled", message)
}

/// Watches for the signals that end a process, beside work that cannot be interrupted.
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
