//! Deliveries: the rows of the outbox.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OneLine, Severity};
use crate::id::{AccountId, AlarmId, DeliveryId};
use crate::timestamp::Timestamp;

/// Seconds that a worker has for what it leased; then the delivery is leased again.
pub const LEASE_S: u32 = 120;
/// Seconds after which a delivery that keeps failing is dead.
pub const DEAD_AFTER_S: u32 = 24 * 60 * 60;
/// Characters of an error that are kept.
pub const DELIVERY_ERROR_CHARS: usize = 200;
/// Leases of a delivery that may end without a result: then it is dead, for it stops each worker that gets it. Sites
/// that are killed every two minutes reach it after a day.
pub const MOST_ATTEMPTS: u32 = 720;
/// Seconds to the second attempt.
const FIRST_BACKOFF_S: u32 = 10;
/// Seconds between attempts at most.
const MOST_BACKOFF_S: u32 = 60 * 60;

/// One recipient is told of one alarm over one channel.
///
/// Deliveries to one account over one channel and of one severity go out one after the other, in the order in which
/// they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// The alarm.
    pub alarm: AlarmId,
    /// The recipient.
    pub account: AccountId,
    /// The channel.
    pub channel: DeliveryChannel,
    /// What it tells of the alarm.
    pub about: About,
    /// The alarm's severity when it was written.
    pub severity: Severity,
    /// When the next attempt is to be made.
    pub due: Timestamp,
    /// When the first attempt was to be made: it is dead [`DEAD_AFTER_S`] later.
    pub since: Timestamp,
    /// How many attempts have failed, those included of which a worker reported nothing.
    pub attempts: u32,
    /// Its state.
    pub state: DeliveryState,
    /// Why the last attempt failed, or why there is none.
    pub last_error: Option<OneLine<DELIVERY_ERROR_CHARS>>,
    /// Whether the rate limit held it back: it goes out in a summary with those that wait behind it.
    pub folded: bool,
    /// When it was leased last; the time of the message once it is sent. One that was written in place of another begins
    /// with that of the other.
    pub attempted: Option<Timestamp>,
    /// The lease under which a worker has it, or under which it was sent.
    pub lease: Option<Lease>,
    /// 1 at first, one more with each change: a change says which revision it was decided on.
    pub revision: u64,
}

impl Delivery {
    /// The delivery one revision on, changed by `change`.
    #[must_use]
    pub fn revised(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self.revision = self.revision.saturating_add(1);
        self
    }

    /// Whether a worker has it at `now`. A lease that ends later than it can was given before the clock was set back,
    /// and does not count.
    #[must_use]
    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.state == DeliveryState::Waiting
            && self
                .lease
                .is_some_and(|lease| now < lease.until && lease.until <= now.plus_seconds(LEASE_S))
    }
}

/// A worker has a delivery for a time. The deliveries of one summary share a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The message: the id of its first delivery.
    pub message: DeliveryId,
    /// When it ends.
    pub until: Timestamp,
}

/// The way on which a person is told who has no open connection.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryChannel {
    /// E-mail.
    Email,
    /// A short text through the site's webhook.
    Text,
}

impl DeliveryChannel {
    /// All channels.
    pub const ALL: [Self; 2] = [Self::Email, Self::Text];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Text => "text",
        }
    }
}

/// What a delivery tells of its alarm.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// It was raised, or raised again.
    Raised,
    /// It is over.
    Over,
}

impl About {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Raised, Self::Over];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Over => "over",
        }
    }
}

/// The state of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// An attempt is to be made, or is being made.
    Waiting,
    /// The channel accepted it.
    Sent,
    /// It failed for 24 h, or there is no such channel. An admin may have it tried again.
    Dead,
    /// There was nothing to tell any more.
    Cancelled,
}

impl DeliveryState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Sent, Self::Dead, Self::Cancelled];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Seconds to the next attempt after so many have failed: 10 s, doubled each time, at most 1 h.
#[must_use]
pub const fn backoff_s(failed: u32) -> u32 {
    let doublings = failed.saturating_sub(1);
    if doublings > 8 {
        return MOST_BACKOFF_S;
    }
    FIRST_BACKOFF_S << doublings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backoff_doubles_from_ten_seconds_to_an_hour() {
        let waits: Vec<u32> = (1..=11).map(backoff_s).collect();
        let expected = [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600];
        assert_eq!(waits, expected);
        assert_eq!(backoff_s(u32::MAX), 3600);
    }
}
