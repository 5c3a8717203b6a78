//! Reads the clock of Tokio's timers, which tests can move.

use tokio::time::Instant;

/// The current time, for deadlines.
#[allow(
    clippy::disallowed_methods,
    reason = "the one place of this crate that reads the clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
