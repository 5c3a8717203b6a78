//! Reads the clock. Other crates get the time as an argument.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use countersign_core::timestamp::Timestamp;
use countersign_proto::clock::since_1970;

/// The time of day, in milliseconds since 1970 UTC.
///
/// A clock that shows a time before 1970 was never set. Time then starts in 1970 at the first call, so that
/// sessions and penalties still expire. In tests, the time that Tokio's clock was advanced is added.
#[must_use]
#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the time of day"
)]
pub fn now() -> Timestamp {
    let advanced = monotonic().saturating_duration_since(Instant::now());
    let shown = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    in_millis(shown.map(|shown| shown.saturating_add(advanced)), || {
        static FIRST_ASKED: OnceLock<Instant> = OnceLock::new();
        monotonic().saturating_duration_since(*FIRST_ASKED.get_or_init(monotonic))
    })
}

/// Whether the clock was set: it does not show a time before 1970.
#[must_use]
#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the time of day"
)]
pub fn is_set() -> bool {
    SystemTime::now() >= UNIX_EPOCH
}

fn in_millis(shown: Option<Duration>, running: impl FnOnce() -> Duration) -> Timestamp {
    let since = since_1970(shown, running);
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The monotonic clock of the timers, for deadlines.
#[must_use]
#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads that clock"
)]
pub fn monotonic() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a clock in 1969 time stood still: penalties and suspended sessions never expired.
    #[test]
    fn time_passes_also_if_the_clock_shows_a_time_before_1970() {
        let second = Duration::from_secs(1);
        let at = |shown, running| in_millis(shown, || running);
        assert_eq!(at(None, second), Timestamp::from_millis(1_000));
        assert_eq!(at(None, 2 * second), Timestamp::from_millis(2_000));
        assert_eq!(at(Some(5 * second), second), Timestamp::from_millis(5_000));
        assert_eq!(
            at(Some(Duration::MAX), second),
            Timestamp::from_millis(i64::MAX)
        );
    }
}
