//! Deliveries: the rows of the outbox.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OneLine, Severity};
use crate::id::{AccountId, AlarmId, DeliveryId};
use crate::timestamp::Timestamp;

/// The duration of a lease in seconds. After that, another worker can lease the delivery.
pub const LEASE_S: u32 = 120;
/// Seconds of repeated failure after which a delivery is dead.
pub const DEAD_AFTER_S: u32 = 24 * 60 * 60;
/// The limit on a stored error text in characters.
pub const MAX_DELIVERY_ERROR_CHARS: usize = 200;
/// The limit on attempts. It stops a delivery that crashes each worker before the worker can report
/// a result. A site that is killed every two minutes reaches it after a day.
pub const MAX_ATTEMPTS: u32 = 720;
/// The limit on attempts that the channel answers with a refusal of this message. With the backoff
/// they take 85 minutes, longer than mail servers delay unknown senders. Then the message is dead, so
/// that a text which the channel never takes does not hold back the later ones of its recipient.
pub const MAX_REFUSALS: u32 = 10;
/// Seconds after its first planned attempt from which on a message that still waits is late.
pub const LATE_AFTER_S: u32 = 60 * 60;
/// Seconds from the first attempt to the second.
const FIRST_BACKOFF_S: u32 = 10;
/// The limit on the seconds between attempts.
const MAX_BACKOFF_S: u32 = 60 * 60;

/// A notification of one recipient about one alarm over one channel.
///
/// Deliveries with the same account, channel and severity are sent one at a time, in the order in
/// which they were written.
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
    /// What it reports about the alarm.
    pub about: About,
    /// The alarm's severity when it was written.
    pub severity: Severity,
    /// The time of the next attempt.
    pub due: Timestamp,
    /// The planned time of the first attempt. After [`DEAD_AFTER_S`] of failures from then on the
    /// delivery is dead.
    pub since: Timestamp,
    /// The number of failed attempts, including those without a reported result.
    pub attempts: u32,
    /// The number of attempts that the channel answered with a refusal of this message.
    pub refusals: u32,
    /// Its state.
    pub state: DeliveryState,
    /// Why the last attempt failed, or why no attempt is possible.
    pub last_error: Option<OneLine<MAX_DELIVERY_ERROR_CHARS>>,
    /// Whether the rate limit delayed it: it is sent in one summary with the due deliveries after
    /// it.
    pub folded: bool,
    /// The time of the last lease; once sent, the time of the message. A delivery that replaces
    /// another one starts with the value of that one.
    pub attempted: Option<Timestamp>,
    /// The current lease, or the lease under which it was sent.
    pub lease: Option<Lease>,
    /// Starts at 1 and grows by one with each change. An update is refused unless it is based on
    /// the stored revision.
    pub revision: u64,
}

impl Delivery {
    /// Applies `change` and increments the revision.
    #[must_use]
    pub fn revised(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self.revision = self.revision.saturating_add(1);
        self
    }

    /// Whether a worker holds a lease at `now`. A lease that ends more than [`LEASE_S`] from now
    /// was written before the clock was set back and is ignored.
    #[must_use]
    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.state == DeliveryState::Waiting
            && self
                .lease
                .is_some_and(|lease| now < lease.until && lease.until <= now.plus_seconds(LEASE_S))
    }
}

/// A worker's exclusive claim on a delivery for a limited time. The deliveries of one summary share
/// a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The message: the id of its first delivery.
    pub message: DeliveryId,
    /// The end of the lease.
    pub until: Timestamp,
}

/// A way to reach a person without an open connection.
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

    /// The name in operations and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Text => "text",
        }
    }
}

/// What a delivery reports about its alarm.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// The alarm was raised, or raised again.
    Raised,
    /// The alarm is over.
    Over,
}

impl About {
    /// All values.
    pub const ALL: [Self; 2] = [Self::Raised, Self::Over];

    /// The name in operations and in the database.
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
    /// An attempt is planned or in progress.
    Waiting,
    /// The channel accepted it.
    Sent,
    /// It failed for 24 h, was rejected or refused too often, or its channel is missing. An admin can
    /// retry it.
    Dead,
    /// It was no longer needed.
    Cancelled,
}

impl DeliveryState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Sent, Self::Dead, Self::Cancelled];

    /// The name in operations and in the database.
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

/// Seconds to the next attempt after `failed` failures: 10 s, doubled with each failure, limited to
/// one hour.
#[must_use]
pub const fn backoff_s(failed: u32) -> u32 {
    let doublings = failed.saturating_sub(1);
    if doublings > 8 {
        return MAX_BACKOFF_S;
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
