//! The tasks of a running server.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;

use tokio::task::{Id, JoinError, JoinSet};

use super::Ended;

/// The tasks that the server requires, with their names.
#[derive(Default)]
pub(super) struct Tasks {
    pub(super) running: JoinSet<io::Result<Infallible>>,
    names: HashMap<Id, &'static str>,
}

impl Tasks {
    pub(super) fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = io::Result<Infallible>> + Send + 'static,
    ) {
        self.names.insert(self.running.spawn(task).id(), name);
    }

    /// Waits until a task ends.
    pub(super) async fn ended(&mut self) -> Ended {
        let (id, cause) = match self.running.join_next_with_id().await {
            Some(Ok((_, Ok(never)))) => match never {},
            Some(Ok((id, Err(error)))) => (id, error.to_string()),
            Some(Err(error)) => (JoinError::id(&error), error.to_string()),
            None => return std::future::pending().await,
        };
        let task = self.names.get(&id).copied().unwrap_or("a task");
        Ended { task, cause }
    }
}
