//! The log: lines on standard error that never block or fail the process.
//!
//! A thread of its own writes the lines, so that a slow reader does not delay a login. A line for which
//! there is no room, or that cannot be written (a closed pipe, a full disk), is dropped and counted; the
//! log reports the number when it can be written again. Messages of the process for its user are written
//! by the same thread.

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

/// The greatest number of lines that wait to be written: bounds memory while the reader is slow.
const WAITING: usize = 4_096;
/// How long the end of the process waits until the queued lines are written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// The environment variable that overrides the configured level.
pub(crate) const LEVEL: &str = "COUNTERSIGN_LOG";

/// The writer of this process's log, once it has started.
static STARTED: OnceLock<Writer> = OnceLock::new();

/// Starts the writing thread, once. From then on it also writes messages for the user.
pub(crate) fn open() -> Result<&'static Writer, Failure> {
    if let Some(writer) = STARTED.get() {
        return Ok(writer);
    }
    let writer = Writer::start(io::stderr());
    let writer = writer
        .map_err(|error| Failure::new(Exit::Failure, "log", format_args!("the log: {error}")))?;
    Ok(STARTED.get_or_init(|| writer))
}

/// Queues a line for the user in the log, without blocking; `false` if this process has no log.
pub(crate) fn tell(line: &str) -> bool {
    let writer = STARTED.get();
    writer.is_some_and(|writer| {
        writer.hand_over(format!("{line}\n").into_bytes());
        true
    })
}

/// Waits until the queued lines are written, at most one second. A slower reader misses the rest.
pub(crate) fn flush() {
    if let Some(writer) = STARTED.get() {
        writer.wait();
    }
}

/// The log of this process. Dropping it writes the queued lines.
pub(crate) struct Log {
    level: reload::Handle<EnvFilter, Registry>,
}

impl Log {
    /// Starts the log as configured.
    pub(crate) fn start(config: &Config) -> Result<Self, Failure> {
        let writer = open()?.clone();
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

    /// A handle that changes the level.
    pub(crate) fn level(&self) -> Level {
        Level(self.level.clone())
    }

    /// Whether the environment overrides the configured level.
    pub(crate) fn level_is_given() -> bool {
        std::env::var_os(LEVEL).is_some_and(|level| !level.is_empty())
    }
}

/// Changes the level of the log.
pub(crate) struct Level(reload::Handle<EnvFilter, Registry>);

impl Level {
    /// Checks that the level of another configuration can take effect.
    #[allow(
        clippy::unused_self,
        reason = "only a log that runs has a level to change"
    )]
    pub(crate) fn check(&self, config: &Config) -> Result<(), Failure> {
        filter(config).map(drop)
    }

    /// Changes to the level of another configuration.
    pub(crate) fn reload(&self, config: &Config) -> Result<(), Failure> {
        let reloaded = self.0.reload(filter(config)?);
        reloaded.map_err(|error| Failure::new(Exit::Failure, "log", error))
    }
}

#[cfg(test)]
impl Level {
    /// The level of a log that writes nowhere, and the layer that holds it.
    pub(crate) fn of_no_log() -> (Self, reload::Layer<EnvFilter, Registry>) {
        let (layer, handle) = reload::Layer::new(EnvFilter::new("info"));
        (Self(handle), layer)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        flush();
    }
}

fn filter(config: &Config) -> Result<EnvFilter, Failure> {
    Ok(config.log.level.or_environment()?.filter())
}

/// Whether the user disabled colors (<https://no-color.org>).
fn is_without_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// A message to the writing thread.
enum Line {
    Text(Vec<u8>),
    /// Write everything before this, then send the notification.
    Last(SyncSender<()>),
}

/// Queues lines for the writing thread; never fails and never blocks.
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

    fn hand_over(&self, line: Vec<u8>) {
        if self.lines.try_send(Line::Text(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn wait(&self) {
        let (written, all_written) = sync_channel(1);
        if self.lines.try_send(Line::Last(written)).is_ok() {
            let _ = all_written.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

impl Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.hand_over(line.to_vec());
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

    /// A reader of the log that fails a given number of times.
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
        let (done, all) = sync_channel(1);
        writer.lines.send(Line::Last(done)).unwrap();
        all.recv().unwrap();
    }

    /// When the log could not be written, every login failed: writing the log line panicked.
    #[test]
    fn lines_that_cannot_be_written_are_dropped_and_counted() {
        let reader = Failing::default();
        reader.times.store(3, Ordering::Relaxed);
        let mut writer = Writer::start(reader.clone()).unwrap();
        // The first failure drops the first line, the second one the report about it, the third the second
        // line.
        for line in ["one\n", "two\n", "three\n"] {
            writer.write_all(line.as_bytes()).unwrap();
        }
        written(&writer);
        let text = String::from_utf8(reader.written.lock().unwrap().clone()).unwrap();
        assert_eq!(text, "2 log lines were dropped\nthree\n");
    }

    /// At the limit and one over: a reader that does not read blocks no caller.
    #[test]
    fn a_slow_reader_does_not_block_the_caller() {
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
        // The writer may have taken one line already.
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
