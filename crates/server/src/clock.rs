//! The one reader of the clock: every other part of the workspace is told the time.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use countersign_core::timestamp::Timestamp;

/// The time of day, in milliseconds since 1970 UTC.
#[must_use]
#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the time of day"
)]
pub fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A time that only goes forward, for deadlines and penalties.
#[must_use]
#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the monotonic clock"
)]
pub fn monotonic() -> Instant {
    Instant::now()
}
