//! The deadlines of a session's connection, and its limit on key renewals.

use std::time::Duration;

use countersign_core::sessions::SessionInfo;
use tokio::time::Instant;

use crate::clock;

/// The longest time before the expiry at which the client is notified.
const EXPIRY_NOTICE: Duration = Duration::from_secs(5 * 60);

/// Counts how many times the client renewed keys within a minute.
pub(super) struct Rekeys {
    since: Instant,
    count: u32,
}

const MINUTE: Duration = Duration::from_secs(60);

impl Rekeys {
    pub(super) fn new() -> Self {
        Self {
            since: now(),
            count: 0,
        }
    }

    /// Counts a renewal. Returns whether it is within the limit.
    pub(super) fn one_more(&mut self, per_minute: u32) -> bool {
        let now = now();
        if now.duration_since(self.since) >= MINUTE {
            (self.since, self.count) = (now, 0);
        }
        self.count = self.count.saturating_add(1);
        self.count <= per_minute
    }
}

/// The times at which the connection has to act without input.
pub(super) struct Deadlines {
    /// When to notify the client that its session will expire; `None` after that.
    notice: Option<Instant>,
    expires: Instant,
    idle: Option<Instant>,
}

impl Deadlines {
    pub(super) fn new(info: &SessionInfo) -> Self {
        let left = Duration::from_millis(
            u64::try_from(info.expires.millis().saturating_sub(clock::now().millis())).unwrap_or(0),
        );
        let now = now();
        Self {
            notice: Some(now + left - EXPIRY_NOTICE.min(left / 3)),
            expires: now + left,
            idle: None,
        }
    }

    /// The keys were renewed: the session has a new expiry.
    pub(super) fn renewed(&mut self, info: &SessionInfo) {
        *self = Self {
            idle: self.idle,
            ..Self::new(info)
        };
    }

    /// Data arrived: the idle timeout starts again. Zero: no timeout.
    pub(super) fn restart_idle(&mut self, idle: Duration) {
        self.idle = (!idle.is_zero()).then(|| now() + idle);
    }

    /// The next deadline.
    pub(super) fn next(&self) -> Instant {
        let at = self.notice.unwrap_or(self.expires);
        self.idle.map_or(at, |idle| idle.min(at))
    }

    /// Whether the deadline at that time is the idle timeout.
    pub(super) fn is_idle(&self, at: Instant) -> bool {
        self.idle == Some(at)
    }

    /// Whether the client has to be notified of the expiry, which happens once. Otherwise the session has
    /// expired.
    pub(super) fn notifies(&mut self) -> bool {
        self.notice.take().is_some()
    }
}

fn now() -> Instant {
    Instant::from_std(clock::monotonic())
}
