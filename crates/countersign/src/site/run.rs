//! Runs a site until a signal or a failure ends it.
//!
//! ```text
//! starting --started--> serving --SIGINT, SIGTERM--------> stopped: exit code 0
//!    |                     |  ^ '--SIGHUP (`serve`)--> settings are reloaded ----.
//!    |                     |  '--------------------------------------------------'
//!    |                     '--a required task ends--> stopped: exit code 1
//!    '--SIGINT, SIGTERM--> start cancelled: exit code 0
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
use crate::secret_input::prompt;

/// How long to wait for a cancelled start, which may be in the middle of a computation.
const CANCEL_TIMEOUT: Duration = Duration::from_millis(500);

/// A site that has started.
pub(super) struct Serving {
    pub(super) server: Server,
    pub(super) store: Arc<SqliteStore>,
    /// Keeps the folder locked.
    pub(super) _folder: Folder,
}

/// The runtime and the signal handlers of this process.
///
/// It is created before slow steps such as unsealing: the first process of a container ignores signals
/// that it does not catch.
pub(super) struct Supervisor {
    runtime: Runtime,
    signals: Signals,
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    /// SIGHUP arrived before the site had started.
    reload: bool,
}

/// The request of a signal.
enum Request {
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
            // With a handler, a write beyond the file size limit fails as on a full disk and does not end
            // the process. The handler stays when the listener is dropped.
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

    /// Runs a site until a signal stops it or a required task ends. `reload` reads the settings again at
    /// SIGHUP; without it SIGHUP stops the site.
    ///
    /// # Errors
    /// The site could not start, or a required task ended.
    pub(super) fn run(
        self,
        starting: impl Future<Output = Result<Serving, Failure>> + Send + 'static,
        reload: Option<impl FnMut(&Server)>,
    ) -> Result<(), Failure> {
        let Self {
            runtime,
            mut signals,
        } = self;
        // For a site that was started from a terminal, SIGHUP means that the terminal was closed.
        let reload = reload.filter(|_| !std::io::stdin().is_terminal());
        let starting = runtime.spawn(starting);
        let result = runtime.block_on(async {
            match signals.started(starting, reload.is_some()).await? {
                Some(serving) => signals.serve(serving, reload).await,
                None => Ok(()),
            }
        });
        // A cancelled start may still wait, for example at a prompt.
        prompt::give_up();
        runtime.shutdown_background();
        result
    }
}

impl Signals {
    async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.interrupt.recv() => Request::Stop,
            _ = self.terminate.recv() => Request::Stop,
            _ = self.hang_up.recv() => Request::HangUp,
        }
    }

    /// Waits for the start; `None` if a signal cancelled it.
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
                request = self.next() => match request {
                    Request::HangUp if reloads => self.reload = true,
                    Request::Stop | Request::HangUp => break,
                }
            }
        }
        info!("stopped by a signal before the start was complete");
        starting.abort();
        if let Ok(Ok(Ok(serving))) = tokio::time::timeout(CANCEL_TIMEOUT, starting).await {
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
                request = self.next() => match (request, &mut reload) {
                    (Request::HangUp, Some(reload)) => reload(&serving.server),
                    (Request::Stop | Request::HangUp, _) => break Ok(()),
                },
                task = serving.server.ended() => break Err(ended(task.task, &task.cause)),
                () = serving.store.ended() => {
                    break Err(ended("the writer of the database", &"see the log"));
                }
            }
        };
        if let Err(failure) = &result {
            error!(problem = failure.message, "the site cannot continue");
        }
        stop(serving).await;
        result
    }
}

/// The failure when a required task ended. The process ends too, so that its supervisor restarts it.
fn ended(task: &str, cause: &dyn Display) -> Failure {
    Failure::new(
        Exit::Failure,
        "task_ended",
        format_args!("{task} ended, so the site stopped: {cause}"),
    )
    .hint("start the site again; if this happens again, please report it")
}

async fn stop(serving: Serving) {
    info!("stopping");
    serving.server.stop().await;
    serving.store.close().await;
}
