//! Virtual time for tests on one thread (`#[tokio::test]`). It advances when the test says so.
//!
//! Sockets and databases do not use virtual time. A test therefore advances time with [`pass`], and
//! waits for the consequences with [`until`].

use std::time::Duration;

use tokio::time;

/// Advances the time of all timers and of the server's clock at once. Timers that become due fire
/// at the end of it: to keep an order between them, advance in steps.
pub async fn pass(time: Duration) {
    time::pause();
    time::advance(time).await;
    time::resume();
}

/// Waits until the condition holds, without a limit.
pub async fn until(mut holds: impl AsyncFnMut() -> bool) {
    while !holds().await {
        time::sleep(Duration::from_millis(2)).await;
    }
}

/// Runs all tasks that can make progress without time passing. Tasks that wait for another thread,
/// as for the database, may not be done.
pub async fn settle() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}
