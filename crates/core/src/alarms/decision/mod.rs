//! Decides which messages a recipient receives about an alarm, over which channel and when.

use super::{About, Alarm, DeliveryChannel, Preferences, Severity, SystemAlarm};
use crate::timestamp::Timestamp;

/// Seconds after a notification in which a repeat does not notify the recipients again.
pub const DEDUPLICATION_WINDOW_S: u32 = 15 * 60;
/// Seconds that a person with an open connection has to acknowledge an alarm before the first
/// message is sent.
pub const CONNECTED_GRACE_S: u32 = 60;
/// The limit on messages to a person over one channel in [`RATE_WINDOW_S`]. Critical messages are
/// neither counted nor limited.
pub const MAX_MESSAGES_PER_WINDOW: usize = 10;
/// The window of the rate limit in seconds.
pub const RATE_WINDOW_S: u32 = 10 * 60;
/// Seconds from one channel to the next, for a warning.
const NEXT_CHANNEL_OF_WARNING_S: u32 = 15 * 60;
/// Seconds from one channel to the next, for a critical alarm.
const NEXT_CHANNEL_OF_CRITICAL_S: u32 = 5 * 60;
/// Seconds until the admins are notified of an unacknowledged critical alarm.
const NOTIFY_ADMINS_S: u32 = 15 * 60;

/// The input of [`decide`]: one recipient, one alarm and the event to be reported.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The current time.
    pub now: Timestamp,
    /// The alarm as it is after the change.
    pub alarm: &'a Alarm,
    /// The event.
    pub news: News,
    /// The recipient's preferences.
    pub preferences: &'a Preferences,
    /// The channels that reach the recipient, in the recipient's order: those that the site
    /// supports and for which it has an address.
    pub contacts: &'a [DeliveryChannel],
    /// The number of the recipient's open connections that receive events.
    pub connections: usize,
    /// The messages to the recipient in the last [`RATE_WINDOW_S`], newest first, without critical
    /// ones. The newest [`MAX_MESSAGES_PER_WINDOW`] of each channel suffice.
    pub recent: &'a [(DeliveryChannel, Timestamp)],
    /// The channels with a waiting delivery about [`About::Raised`].
    pub waiting: &'a [DeliveryChannel],
    /// The channels with at least one attempt of a delivery about [`About::Raised`].
    pub notified: &'a [DeliveryChannel],
    /// Whether the alarm can escalate to the admins: they are not recipients yet.
    pub can_escalate: bool,
}

/// An event that may need a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The alarm was raised, became more severe, or has a new recipient.
    Raised,
    /// The alarm was raised again.
    Repeated,
    /// The alarm is over.
    Over,
    /// A delivery is due.
    Due {
        /// The delivery's channel.
        channel: DeliveryChannel,
        /// What the delivery reports.
        about: About,
    },
}

/// One action for a recipient. An empty list of steps means that nothing is to be delivered; a due
/// delivery is then cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Send a message now.
    Send(DeliveryChannel),
    /// Delay a message until the quiet hours end.
    Hold {
        /// The channel.
        channel: DeliveryChannel,
        /// The end of the quiet hours.
        until: Timestamp,
    },
    /// The rate limit is reached: delay the message, then send it in one summary with all that are
    /// due by then.
    Fold {
        /// The channel.
        channel: DeliveryChannel,
        /// When the rate limit allows a message again.
        until: Timestamp,
    },
    /// Send a message over a further channel, unless the alarm is acknowledged by then.
    Escalate {
        /// The channel.
        channel: DeliveryChannel,
        /// The time.
        at: Timestamp,
    },
    /// Make the admins recipients too, unless the alarm is acknowledged by then.
    NotifyAdmins {
        /// The time.
        at: Timestamp,
    },
    /// The channel of the due delivery no longer reaches the recipient: the delivery is dead.
    Undeliverable(DeliveryChannel),
}

/// Decides what one recipient receives. This is the only place for that decision: raise, repeat,
/// end and each due delivery call it.
///
/// ```
/// # use countersign_core::alarms::*;
/// # use countersign_core::id::{AccountId, AlarmId};
/// # use countersign_core::timestamp::Timestamp;
/// # let now = Timestamp::from_millis(1_772_366_400_000);
/// # let alarm = Alarm {
/// #     id: AlarmId::from_bytes([1; 16]),
/// #     key: "disk".to_owned().try_into().unwrap(),
/// #     to: Target::Person(AccountId::from_bytes([2; 16])),
/// #     raiser: Raiser::Site,
/// #     raised_by: "site".to_owned(),
/// #     severity: Severity::Warning,
/// #     text: "The disk is nearly full.".to_owned().try_into().unwrap(),
/// #     data: None,
/// #     first: now,
/// #     last: now,
/// #     notified: now,
/// #     count: 1,
/// #     state: AlarmState::Open,
/// #     acknowledged: None,
/// #     ended: None,
/// #     escalates: None,
/// #     revision: 1,
/// # };
/// let steps = decide(&Situation {
///     now,
///     alarm: &alarm,
///     news: News::Raised,
///     preferences: &Preferences::default(),
///     contacts: &[DeliveryChannel::Email],
///     connections: 0,
///     recent: &[],
///     waiting: &[],
///     notified: &[],
///     can_escalate: true,
/// });
/// assert_eq!(steps, [Step::Send(DeliveryChannel::Email)]);
/// ```
#[must_use]
pub fn decide(situation: &Situation<'_>) -> Vec<Step> {
    match situation.news {
        News::Raised => raised(situation),
        News::Repeated if situation.alarm.was_notified_recently(situation.now) => Vec::new(),
        News::Repeated => raised(situation),
        News::Over => over(situation),
        News::Due { channel, about } => due(situation, channel, about).into_iter().collect(),
    }
}

fn raised(situation: &Situation<'_>) -> Vec<Step> {
    let Situation { now, alarm, .. } = *situation;
    if !alarm.is_open() {
        return Vec::new();
    }
    if SystemAlarm::is_misuse(alarm) {
        return raised_about_misuse(situation);
    }
    let next_channel = match alarm.severity {
        Severity::Info => None,
        Severity::Warning => Some(NEXT_CHANNEL_OF_WARNING_S),
        Severity::Critical => Some(NEXT_CHANNEL_OF_CRITICAL_S),
    };
    let begins = match situation.connections {
        0 => None,
        _ => Some(now.plus_seconds(CONNECTED_GRACE_S)),
    };
    let mut steps = Vec::new();
    for (place, channel) in (0..).zip(situation.contacts) {
        let channel = *channel;
        let step = match (place, next_channel, begins) {
            (0, _, None) => send_or_delay(situation, channel),
            (0, _, Some(at)) => Step::Escalate { channel, at },
            (_, None, _) => continue,
            (place, Some(seconds), begins) => Step::Escalate {
                channel,
                at: begins
                    .unwrap_or(now)
                    .plus_seconds(seconds.saturating_mul(place)),
            },
        };
        if !situation.waiting.contains(&channel) {
            steps.push(step);
        }
    }
    let unreachable = situation.contacts.is_empty();
    let next_person = match (alarm.severity, unreachable) {
        _ if !situation.can_escalate => None,
        (Severity::Info, _) | (Severity::Warning, false) => None,
        (Severity::Warning | Severity::Critical, true) => Some(begins.unwrap_or(now)),
        (Severity::Critical, false) => Some(now.plus_seconds(NOTIFY_ADMINS_S)),
    };
    steps.extend(next_person.map(|at| Step::NotifyAdmins { at }));
    steps
}

/// An alarm about the misuse of a person's credentials goes over each channel at once. The open
/// connection may be the attacker's, so it delays nothing; the admins have an alarm of their own, so
/// nothing escalates.
fn raised_about_misuse(situation: &Situation<'_>) -> Vec<Step> {
    let contacts = situation.contacts.iter();
    let free = contacts.filter(|channel| !situation.waiting.contains(channel));
    free.map(|channel| send_or_delay(situation, *channel))
        .collect()
}

/// Recipients with an attempted delivery about the raise are notified of the end, over the first
/// such channel. Nothing is delivered about an alarm that was acknowledged.
fn over(situation: &Situation<'_>) -> Vec<Step> {
    if situation.alarm.acknowledged.is_some() || SystemAlarm::is_message(situation.alarm) {
        return Vec::new();
    }
    let notified = |channel: &&DeliveryChannel| situation.notified.contains(channel);
    let channel = situation.contacts.iter().find(notified);
    channel
        .map(|channel| send_or_delay(situation, *channel))
        .into_iter()
        .collect()
}

fn due(situation: &Situation<'_>, channel: DeliveryChannel, about: About) -> Option<Step> {
    let alarm = situation.alarm;
    let is_news = match about {
        About::Raised => alarm.is_open(),
        About::Over => !alarm.is_open() && alarm.acknowledged.is_none(),
    };
    if !is_news {
        return None;
    }
    if !situation.contacts.contains(&channel) {
        return Some(Step::Undeliverable(channel));
    }
    Some(send_or_delay(situation, channel))
}

/// Sends a message now, unless quiet hours or the rate limit delay it.
fn send_or_delay(situation: &Situation<'_>, channel: DeliveryChannel) -> Step {
    let Situation { now, alarm, .. } = *situation;
    if alarm.severity == Severity::Critical {
        return Step::Send(channel);
    }
    if let Some(until) = situation.preferences.quiet_until(now) {
        return Step::Hold { channel, until };
    }
    let recent = situation.recent.iter();
    // Ignores times outside the window, and times in the future from before the clock was set back.
    let mut recent = recent
        .filter(|(used, _)| *used == channel)
        .map(|(_, at)| at.plus_seconds(RATE_WINDOW_S))
        .filter(|until| now < *until && *until <= now.plus_seconds(RATE_WINDOW_S));
    match recent.nth(MAX_MESSAGES_PER_WINDOW - 1) {
        Some(until) => Step::Fold { channel, until },
        None => Step::Send(channel),
    }
}

#[cfg(test)]
mod tests;
