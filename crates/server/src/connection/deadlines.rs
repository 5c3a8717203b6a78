//! What a session's connection counts by the clock.

use std::time::Duration;

use countersign_core::sessions::SessionInfo;
use tokio::time::Instant;

use crate::clock;

/// How long before the end the client is told at the earliest.
const EXPIRY_NOTICE: Duration = Duration::from_secs(5 * 60);

/// How often the client agreed on new keys since a time.
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

    /// Whether one more is within the limit; counts it.
    pub(super) fn one_more(&mut self, per_minute: u32) -> bool {
        let now = now();
        if now.duration_since(self.since) >= MINUTE {
            (self.since, self.count) = (now, 0);
        }
        self.count = self.count.saturating_add(1);
        self.count <= per_minute
    }
}

/// When something is to be done though nothing arrives.
pub(super) struct Deadlines {
    /// The client is told that its session expires.
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

    /// The client agreed on new keys: the session's time begins anew.
    pub(super) fn renewed(&mut self, info: &SessionInfo) {
        *self = Self {
            idle: self.idle,
            ..Self::new(info)
        };
    }

    /// The client is there: the idle time begins anew; zero is for ever.
    pub(super) fn heard(&mut self, idle: Duration) {
        self.idle = (!idle.is_zero()).then(|| now() + idle);
    }

    /// When something is to be done next.
    pub(super) fn next(&self) -> Instant {
        let at = self.notice.unwrap_or(self.expires);
        self.idle.map_or(at, |idle| idle.min(at))
    }

    /// Whether what is to be done at that time is to end a session that is idle.
    pub(super) fn is_idle(&self, at: Instant) -> bool {
        self.idle == Some(at)
    }

    /// Whether the client is to be told that its session expires, once; it has expired otherwise.
    pub(super) fn notifies(&mut self) -> bool {
        self.notice.take().is_some()
    }
}

fn now() -> Instant {
    Instant::from_std(clock::monotonic())
}
