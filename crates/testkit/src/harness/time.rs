//! Virtual time for tests on one thread (`#[tokio::test]`). It advances when the test says so.
//!
//! Sockets and databases do not use virtual time. A test therefore advances time with [`pass`], and
//! waits for the consequences with [`until`].

use std::panic::Location;
use std::time::Duration;

use tokio::time;

/// Advances the time of all timers and of the server's clock at once. Timers that become due fire
/// at the end of it: to keep an order between them, advance in steps.
///
/// A caller may stop to wait for this, as a branch of `select!` does: time runs again then too.
pub async fn pass(time: Duration) {
    time::pause();
    let _resumed = Resumed;
    time::advance(time).await;
}

/// Lets time run again when it is dropped. A clock that stays paused advances by itself while the
/// test waits for a database, and the timeout of the database fires.
struct Resumed;

impl Drop for Resumed {
    fn drop(&mut self) {
        time::resume();
    }
}

/// After so many tests of a condition, half a minute or more, the output says where a test waits.
const LONG: usize = 15_000;

/// Waits until the condition holds, without a limit. The output of a test that never ends names the caller.
#[track_caller]
#[allow(
    clippy::print_stderr,
    reason = "a test that never ends has no other way to say where it waits"
)]
pub fn until(mut holds: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    let caller = Location::caller();
    async move {
        for tests in 0.. {
            if holds().await {
                return;
            }
            if tests == LONG {
                eprintln!("still waiting for the condition at {caller}");
            }
            time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Runs all tasks that can make progress without time passing. Tasks that wait for another thread,
/// as for the database, may not be done.
pub async fn settle() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    // A test selected between this and an answer. The answer came first, the clock stayed paused,
    // and opening the next database failed within milliseconds: "pool timed out".
    #[tokio::test]
    async fn time_runs_after_a_caller_that_did_not_wait_for_it_to_pass() {
        tokio::select! {
            biased;
            () = pass(Duration::from_secs(60)) => panic!("time passed before the answer"),
            () = async {} => {}
        }
        let (answers, answer) = oneshot::channel();
        let database = std::thread::spawn(move || {
            std::thread::park_timeout(Duration::from_millis(20));
            answers.send(()).unwrap();
        });
        let answer = time::timeout(Duration::from_secs(3_600), answer).await;
        answer.expect("an hour has not passed").unwrap();
        database.join().unwrap();
    }
}
