//! The tasks that a server requires.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

/// A required task ended. End the process, so that its supervisor starts it again: a site must not continue
/// without one of its listeners.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{task} ended unexpectedly: {cause}")]
pub struct Ended {
    /// The name of the task.
    pub task: &'static str,
    /// The error of the operating system, or the panic.
    pub cause: String,
}

/// The tasks that the server requires, with their names.
#[derive(Default)]
pub(crate) struct Tasks {
    running: JoinSet<io::Result<Infallible>>,
    names: HashMap<Id, &'static str>,
    /// Those that a stop ends, without those that run to the end.
    stoppable: Vec<AbortHandle>,
    ended: Arc<AtomicBool>,
}

/// Notes that its task ended, also by a panic.
struct Noted(Arc<AtomicBool>);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Tasks {
    pub(crate) fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = io::Result<Infallible>> + Send + 'static,
    ) {
        let handle = self.spawn_to_the_end(name, task);
        self.stoppable.push(handle);
    }

    /// As [`Self::spawn`], for a task that [`Self::stop`] leaves running. It ends with this set.
    pub(crate) fn spawn_to_the_end(
        &mut self,
        name: &'static str,
        task: impl Future<Output = io::Result<Infallible>> + Send + 'static,
    ) -> AbortHandle {
        let noted = Noted(Arc::clone(&self.ended));
        let task = async move {
            let _noted = noted;
            task.await
        };
        let handle = self.running.spawn(task);
        self.names.insert(handle.id(), name);
        handle
    }

    /// Becomes true when one of the tasks ends.
    pub(crate) fn any_ended(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.ended)
    }

    /// Waits until a task ends.
    pub(crate) async fn ended(&mut self) -> Ended {
        let (id, cause) = match self.running.join_next_with_id().await {
            Some(Ok((_, Ok(never)))) => match never {},
            Some(Ok((id, Err(error)))) => (id, error.to_string()),
            Some(Err(error)) => (JoinError::id(&error), error.to_string()),
            None => return std::future::pending().await,
        };
        let task = self.names.get(&id).copied().unwrap_or("a task");
        Ended { task, cause }
    }

    /// Stops the tasks, except for those that run to the end.
    pub(crate) async fn stop(&mut self) {
        for task in &self.stoppable {
            task.abort();
        }
        while self.stoppable.iter().any(|task| !task.is_finished()) {
            self.running.join_next().await;
        }
    }
}
