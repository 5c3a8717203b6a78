//! Running a site: its signals, and what ends it.
//!
//! ```text
//! starting --started--> serving --SIGINT, SIGTERM--------> stopped: exit code 0
//!    |                     |  ^ '--SIGHUP (`serve`)--> settings are read again --.
//!    |                     |  '--------------------------------------------------'
//!    |                     '--a task that must live ends--> stopped: exit code 1
//!    '--SIGINT, SIGTERM--> given up: exit code 0
//! ```

use std::fmt::Display;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use countersign_server::Server;
use countersign_store::SqliteStore;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tracing::{error, info};

use super::folder::Folder;
use crate::failure::{Exit, Failure};
use crate::prompt;

/// How long a start that is given up may go on: it may be in the middle of a computation.
const GIVEN_UP: Duration = Duration::from_millis(500);

/// A site that serves.
pub(super) struct Serving {
    pub(super) server: Server,
    pub(super) store: Arc<SqliteStore>,
    /// Locked for as long as it serves.
    pub(super) _folder: Folder,
}

/// The runtime, and the signals of this process, which are caught from the moment in which this is made: what
/// takes long, such as opening the key, comes after it. The first process of a container is sent signals that
/// it ignores unless it catches them.
pub(super) struct Supervisor {
    runtime: Runtime,
    signals: Signals,
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    /// It was told to read its settings again before it served.
    reload: bool,
}

/// What a signal asks for.
enum Told {
    Stop,
    HangUp,
}

impl Supervisor {
    pub(super) fn new() -> Result<Self, Failure> {
        let runtime =
            Runtime::new().map_err(|error| Failure::new(Exit::Failure, "runtime", error))?;
        let signals = {
            let _entered = runtime.enter();
            let listen =
                |kind| signal(kind).map_err(|error| Failure::new(Exit::Failure, "signal", error));
            // A write beyond the limit on the size of files then fails, as one on a full disk does, and does not
            // end the process. What is caught once stays caught.
            drop(listen(SignalKind::from_raw(
                rustix::process::Signal::XFSZ.as_raw(),
            ))?);
            Signals {
                interrupt: listen(SignalKind::interrupt())?,
                terminate: listen(SignalKind::terminate())?,
                hang_up: listen(SignalKind::hangup())?,
                reload: false,
            }
        };
        Ok(Self { runtime, signals })
    }

    /// Runs a site until it is told to stop, or cannot go on. `reload` reads its settings again; without it
    /// SIGHUP is one more signal to stop.
    pub(super) fn run(
        self,
        starting: impl Future<Output = Result<Serving, Failure>> + Send + 'static,
        reload: Option<impl FnMut(&Server)>,
    ) -> Result<(), Failure> {
        let Self {
            runtime,
            mut signals,
        } = self;
        // Started from a terminal, a site is told by SIGHUP that its terminal is gone.
        let reload = reload.filter(|_| !std::io::stdin().is_terminal());
        let starting = runtime.spawn(starting);
        let result = runtime.block_on(async {
            match signals.started(starting, reload.is_some()).await? {
                Some(serving) => signals.serve(serving, reload).await,
                None => Ok(()),
            }
        });
        // What was given up may still wait, for example at a prompt.
        prompt::give_up();
        runtime.shutdown_background();
        result
    }
}

impl Signals {
    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.terminate.recv() => Told::Stop,
            _ = self.hang_up.recv() => Told::HangUp,
        }
    }

    /// What was started; `None` when it was told to stop first.
    async fn started(
        &mut self,
        mut starting: JoinHandle<Result<Serving, Failure>>,
        reloads: bool,
    ) -> Result<Option<Serving>, Failure> {
        loop {
            tokio::select! {
                started = &mut starting => {
                    let started = started.map_err(|error| ended("the start", &error))?;
                    return started.map(Some);
                }
                told = self.next() => match told {
                    Told::HangUp if reloads => self.reload = true,
                    Told::Stop | Told::HangUp => break,
                }
            }
        }
        info!("told to stop before it served");
        starting.abort();
        if let Ok(Ok(Ok(serving))) = tokio::time::timeout(GIVEN_UP, starting).await {
            stop(serving).await;
        }
        Ok(None)
    }

    async fn serve(
        &mut self,
        mut serving: Serving,
        mut reload: Option<impl FnMut(&Server)>,
    ) -> Result<(), Failure> {
        if let (true, Some(reload)) = (self.reload, &mut reload) {
            reload(&serving.server);
        }
        let result = loop {
            tokio::select! {
                told = self.next() => match (told, &mut reload) {
                    (Told::HangUp, Some(reload)) => reload(&serving.server),
                    (Told::Stop | Told::HangUp, _) => break Ok(()),
                },
                task = serving.server.ended() => break Err(ended(task.task, &task.cause)),
                () = serving.store.ended() => {
                    break Err(ended("the writer of the database", &"see the log"));
                }
            }
        };
        if let Err(failure) = &result {
            error!(problem = failure.message, "the site cannot go on");
        }
        stop(serving).await;
        result
    }
}

/// A task ended without which a site is of no use: the process ends too, so that what supervises it knows.
fn ended(task: &str, cause: &dyn Display) -> Failure {
    Failure::new(
        Exit::Failure,
        "task_ended",
        format_args!("{task} ended, and the site with it: {cause}"),
    )
    .hint("start it again; please report it if that happens again")
}

async fn stop(serving: Serving) {
    info!("stopping");
    serving.server.stop().await;
    serving.store.close().await;
}
