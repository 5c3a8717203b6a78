//! A fallback for clocks that were never set.

use std::time::Duration;

/// The time since 1970. A clock before 1970 (`None`) was never set. Time is then the time for which
/// the process has been `running`, so that timeouts still expire.
///
/// ```
/// # use std::time::Duration;
/// use countersign_proto::clock::since_1970;
///
/// let running = Duration::from_secs(2);
/// assert_eq!(since_1970(None, || running), running);
/// let shown = Duration::from_secs(1_800_000_000);
/// assert_eq!(since_1970(Some(shown), || running), shown);
/// ```
#[must_use]
pub fn since_1970(shown: Option<Duration>, running: impl FnOnce() -> Duration) -> Duration {
    shown.unwrap_or_else(running)
}
