//! Connections that are being served.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// The connections of all listeners, so that a stop can wait for them. Dropping all clones ends them.
#[derive(Clone, Default)]
pub struct Connections(Arc<Mutex<JoinSet<()>>>);

impl Connections {
    /// Serves one more, and lets go of those that are over.
    pub async fn spawn(&self, served: impl Future<Output = ()> + Send + 'static) {
        let mut running = self.0.lock().await;
        while running.try_join_next().is_some() {}
        running.spawn(served);
    }

    /// Waits for their ends, and after that time ends them. Whether all ended by themselves.
    pub async fn end(&self, patience: Duration) -> bool {
        let mut running = self.0.lock().await;
        let all = async { while running.join_next().await.is_some() {} };
        let in_time = tokio::time::timeout(patience, all).await.is_ok();
        if !in_time {
            running.shutdown().await;
        }
        in_time
    }
}
