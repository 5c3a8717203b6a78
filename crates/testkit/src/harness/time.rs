//! Time in tests that run on one thread (`#[tokio::test]`): it passes when the test says so, and not because
//! something took long.
//!
//! Sockets and databases do not know of it. So a test lets time pass with [`pass`], and waits for what follows from it
//! with [`until`].

use std::time::Duration;

use tokio::time;

/// Lets that much time pass at once for every timer, and for the server's clock. What is due on the way happens at its
/// end: let it pass in steps where one thing has to follow another.
pub async fn pass(time: Duration) {
    time::pause();
    time::advance(time).await;
    time::resume();
}

/// Waits until that is so, however long it takes.
pub async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    while !is_so().await {
        time::sleep(Duration::from_millis(2)).await;
    }
}

/// Lets everything run that can run without time passing: what was written is read and replied to, unless that needs
/// another thread, as the database does.
pub async fn settle() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}
