//! A clock that was never set.

use std::time::Duration;

/// The time since 1970. A clock that shows a time before that (`None`) was never set: time then runs from 1970 on
/// for as long as the process has been `running`, so that what ends in time ends all the same.
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
