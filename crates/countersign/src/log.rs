//! The log: lines to standard error that stop nothing.
//!
//! A thread of its own writes them, so that nobody waits for a reader that is slow. A line for which there is
//! no room, or that cannot be written (a closed pipe, a full disk), is dropped and counted; the log says so
//! when it can be written again. What a site tells besides its log goes the same way, in the same order.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config::{Config, LogFormat};
use crate::failure::{Exit, Failure};

/// Lines that may wait to be written: bounds memory while the reader is slow.
const WAITING: usize = 4_096;
/// How long the end of the process waits for lines that wait.
const PATIENCE: Duration = Duration::from_secs(1);
/// Sets the level in place of the configuration.
const LEVEL: &str = "COUNTERSIGN_LOG";

/// What writes to standard error; `None` before [`begin`].
static WRITER: OnceLock<Writer> = OnceLock::new();

/// From now on the thread of the log writes to standard error, and no one else.
pub(crate) fn begin() -> Result<Writer, Failure> {
    if let Some(writer) = WRITER.get() {
        return Ok(writer.clone());
    }
    let started = Writer::start(io::stderr());
    let writer = started
        .map_err(|error| Failure::new(Exit::Failure, "log", format_args!("the log: {error}")))?;
    Ok(WRITER.get_or_init(|| writer).clone())
}

/// Takes a line for standard error, if the log has begun. At a terminal it is there when this returns, so that
/// a prompt comes after it.
pub(crate) fn take(line: &str) -> bool {
    let Some(mut writer) = WRITER.get().cloned() else {
        return false;
    };
    let _ = writer.write(format!("{line}\n").as_bytes());
    if io::stderr().is_terminal() {
        writer.finish();
    }
    true
}

/// Waits a moment until what waits is written: before the process ends.
pub(crate) fn finish() {
    if let Some(writer) = WRITER.get() {
        writer.finish();
    }
}

/// The log of this process; what waits is written when it is dropped.
pub(crate) struct Log {
    level: reload::Handle<EnvFilter, Registry>,
}

impl Log {
    /// Starts the log as configured.
    pub(crate) fn start(config: &Config) -> Result<Self, Failure> {
        let writer = begin()?;
        let (level, handle) = reload::Layer::new(filter(config)?);
        let layer = fmt::layer()
            .with_writer(writer)
            .log_internal_errors(false)
            .with_ansi(io::stderr().is_terminal() && !is_without_color());
        let layer = match config.log.format {
            LogFormat::Text => layer.with_target(false).boxed(),
            LogFormat::Json => layer.json().boxed(),
        };
        tracing_subscriber::registry()
            .with(level)
            .with(layer)
            .init();
        Ok(Self { level: handle })
    }

    /// Logs with the level of another configuration from now on.
    pub(crate) fn reload(&self, config: &Config) -> Result<(), Failure> {
        let reloaded = self.level.reload(filter(config)?);
        reloaded.map_err(|error| Failure::new(Exit::Failure, "log", error))
    }

    /// Whether the environment sets the level, and the configuration does not.
    pub(crate) fn level_is_given() -> bool {
        std::env::var_os(LEVEL).is_some_and(|level| !level.is_empty())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        finish();
    }
}

fn filter(config: &Config) -> Result<EnvFilter, Failure> {
    Ok(config.log.level.or_environment()?.filter())
}

/// Whether the user wants no colors anywhere (<https://no-color.org>).
fn is_without_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// What the thread that writes is told.
enum Line {
    Text(Vec<u8>),
    /// Everything before it is to be written, and this is told then.
    Last(SyncSender<()>),
}

/// Hands lines over to the thread that writes them; never fails and never waits.
#[derive(Clone)]
pub(crate) struct Writer {
    lines: SyncSender<Line>,
    dropped: Arc<AtomicU64>,
}

impl Writer {
    fn start(to: impl Write + Send + 'static) -> io::Result<Self> {
        let (lines, waiting) = sync_channel(WAITING);
        let dropped = Arc::<AtomicU64>::default();
        let writer = Self {
            lines,
            dropped: dropped.clone(),
        };
        let thread = std::thread::Builder::new().name("log".to_owned());
        thread.spawn(move || write(&waiting, to, &dropped))?;
        Ok(writer)
    }

    fn finish(&self) {
        let (written, all_written) = sync_channel(1);
        if self.lines.try_send(Line::Last(written)).is_ok() {
            // A reader that is slower than this misses the end.
            let _ = all_written.recv_timeout(PATIENCE);
        }
    }
}

impl Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.try_send(Line::Text(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Writes lines until the process ends.
fn write(lines: &Receiver<Line>, mut to: impl Write, dropped: &AtomicU64) {
    while let Ok(line) = lines.recv() {
        match line {
            Line::Text(text) => {
                let missing = dropped.swap(0, Ordering::Relaxed);
                if missing > 0 && writeln!(to, "{missing} log lines were dropped").is_err() {
                    dropped.fetch_add(missing, Ordering::Relaxed);
                }
                if to.write_all(&text).is_err() {
                    dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
            Line::Last(written) => {
                let _ = to.flush();
                let _ = written.send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A reader of the log that fails as often as it is told.
    #[derive(Clone, Default)]
    struct Failing {
        times: Arc<AtomicU64>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.times.load(Ordering::Relaxed) > 0 {
                self.times.fetch_sub(1, Ordering::Relaxed);
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(writer: &Writer) {
        let (told, all) = sync_channel(1);
        writer.lines.send(Line::Last(told)).unwrap();
        all.recv().unwrap();
    }

    /// A site whose log could not be written ended every login: the line that told of it panicked.
    #[test]
    fn what_cannot_be_written_is_dropped_and_counted() {
        let reader = Failing::default();
        reader.times.store(3, Ordering::Relaxed);
        let mut writer = Writer::start(reader.clone()).unwrap();
        // The second failure is that of the remark on the first line, and the third that of the second line.
        for line in ["one\n", "two\n", "three\n"] {
            writer.write_all(line.as_bytes()).unwrap();
        }
        written(&writer);
        let text = String::from_utf8(reader.written.lock().unwrap().clone()).unwrap();
        assert_eq!(text, "2 log lines were dropped\nthree\n");
    }

    /// At the limit and one over: a reader that does not read keeps nobody waiting.
    #[test]
    fn nobody_waits_for_a_slow_reader() {
        struct Slow(Receiver<()>, Failing);
        impl Write for Slow {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                self.1.write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (read, reads) = sync_channel(1);
        let reader = Failing::default();
        let mut writer = Writer::start(Slow(reads, reader.clone())).unwrap();
        // One may be in the writer's hand already.
        for _ in 0..WAITING + 1 + 5 {
            writer.write_all(b"a line\n").unwrap();
        }
        assert!((5..=6).contains(&writer.dropped.load(Ordering::Relaxed)));
        drop(read);
        written(&writer);
        let text = String::from_utf8(reader.written.lock().unwrap().clone()).unwrap();
        assert!(text.contains("log lines were dropped\n"), "{text:.80}");
    }
}
