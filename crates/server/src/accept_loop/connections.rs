//! The set of connections that are being served.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// The connections of all listeners, so that a shutdown can wait for them. Dropping all clones
/// aborts them.
#[derive(Clone, Default)]
pub(crate) struct Connections(Arc<Mutex<JoinSet<()>>>);

impl Connections {
    /// Serves a connection in a task, and removes tasks that have finished.
    pub(crate) async fn spawn(&self, served: impl Future<Output = ()> + Send + 'static) {
        let mut running = self.0.lock().await;
        while running.try_join_next().is_some() {}
        running.spawn(served);
    }

    /// Waits until all connections have ended, and aborts them after the timeout. Returns whether
    /// all ended by themselves.
    pub(crate) async fn end(&self, timeout: Duration) -> bool {
        let mut running = self.0.lock().await;
        let all = async { while running.join_next().await.is_some() {} };
        let in_time = tokio::time::timeout(timeout, all).await.is_ok();
        if !in_time {
            running.shutdown().await;
        }
        in_time
    }
}
