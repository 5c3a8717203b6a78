//! What a recipient gets of an alarm, over which channel, and when.

use super::{About, Alarm, DeliveryChannel, Preferences, Severity};
use crate::timestamp::Timestamp;

/// Seconds after recipients were told in which a repeat tells them nothing.
pub const DEDUPLICATION_WINDOW_S: u32 = 15 * 60;
/// Seconds that a person with an open connection has to acknowledge before a message is sent.
pub const CONNECTED_GRACE_S: u32 = 60;
/// Messages that a person gets over one channel in [`RATE_WINDOW_S`]; critical ones are neither counted nor limited.
pub const MESSAGES_PER_WINDOW: usize = 10;
/// Seconds over which messages are counted.
pub const RATE_WINDOW_S: u32 = 10 * 60;
/// Seconds from one channel to the next for a warning.
const NEXT_CHANNEL_OF_WARNING_S: u32 = 15 * 60;
/// Seconds from one channel to the next for a critical alarm.
const NEXT_CHANNEL_OF_CRITICAL_S: u32 = 5 * 60;
/// Seconds until the admins are told of a critical alarm that was not acknowledged.
const NEXT_PERSON_S: u32 = 15 * 60;

/// What is known when it is decided what one recipient gets of one alarm.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The time.
    pub now: Timestamp,
    /// The alarm as it is from now on.
    pub alarm: &'a Alarm,
    /// What is new.
    pub news: News,
    /// How the recipient wants to be told.
    pub preferences: &'a Preferences,
    /// The channels that reach the recipient, in the recipient's order: the site has them, and knows an address.
    pub contacts: &'a [DeliveryChannel],
    /// How many open connections of the recipient get events.
    pub connections: usize,
    /// The messages that the recipient got in the last [`RATE_WINDOW_S`], newest first; critical ones left out. The
    /// newest [`MESSAGES_PER_WINDOW`] of each channel are enough.
    pub recent: &'a [(DeliveryChannel, Timestamp)],
    /// The channels over which a delivery that the alarm was raised waits.
    pub waiting: &'a [DeliveryChannel],
    /// The channels over which an attempt was made to tell the recipient that the alarm was raised.
    pub told: &'a [DeliveryChannel],
    /// Whether there are admins to go on to: the alarm is not for them already.
    pub others: bool,
}

/// What is new about an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It was raised, became more severe, or has a new recipient.
    Raised,
    /// It was raised again.
    Repeated,
    /// It is over.
    Over,
    /// A delivery is due.
    Due {
        /// The delivery's channel.
        channel: DeliveryChannel,
        /// What it tells.
        about: About,
    },
}

/// One thing to do for a recipient. No step at all means that there is nothing to tell; a delivery that is due is
/// cancelled then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A message goes out now.
    Send(DeliveryChannel),
    /// A message waits until the quiet hours end.
    Hold {
        /// The channel.
        channel: DeliveryChannel,
        /// The end of the quiet hours.
        until: Timestamp,
    },
    /// There were too many messages: this one waits, and goes out in a summary with those that wait then.
    Fold {
        /// The channel.
        channel: DeliveryChannel,
        /// When the rate limit allows a message again.
        until: Timestamp,
    },
    /// A message goes out over a further channel, unless the alarm is acknowledged before.
    Escalate {
        /// The channel.
        channel: DeliveryChannel,
        /// When.
        at: Timestamp,
    },
    /// The admins become recipients too, unless the alarm is acknowledged before.
    NextPerson {
        /// When.
        at: Timestamp,
    },
    /// The delivery that is due has no way to the recipient: it is dead.
    GiveUp(DeliveryChannel),
}

/// Decides what a recipient gets. Every path asks here: raising, repeating, ending, and each delivery that is due.
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
/// #     told: now,
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
///     told: &[],
///     others: true,
/// });
/// assert_eq!(steps, [Step::Send(DeliveryChannel::Email)]);
/// ```
#[must_use]
pub fn decide(situation: &Situation<'_>) -> Vec<Step> {
    match situation.news {
        News::Raised => raised(situation),
        News::Repeated if situation.alarm.was_told_lately(situation.now) => Vec::new(),
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
            (0, _, None) => place_now(situation, channel),
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
        _ if !situation.others => None,
        (Severity::Info, _) | (Severity::Warning, false) => None,
        (Severity::Warning | Severity::Critical, true) => Some(begins.unwrap_or(now)),
        (Severity::Critical, false) => Some(now.plus_seconds(NEXT_PERSON_S)),
    };
    steps.extend(next_person.map(|at| Step::NextPerson { at }));
    steps
}

/// Those who were told that it was raised are told that it is over, over the channel that told them first. An alarm
/// that was acknowledged is never delivered again.
fn over(situation: &Situation<'_>) -> Vec<Step> {
    if situation.alarm.acknowledged.is_some() {
        return Vec::new();
    }
    let told = |channel: &&DeliveryChannel| situation.told.contains(channel);
    let channel = situation.contacts.iter().find(told);
    channel
        .map(|channel| place_now(situation, *channel))
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
        return Some(Step::GiveUp(channel));
    }
    Some(place_now(situation, channel))
}

/// A message that is to go out now, unless quiet hours or the rate limit hold it back.
fn place_now(situation: &Situation<'_>, channel: DeliveryChannel) -> Step {
    let Situation { now, alarm, .. } = *situation;
    if alarm.severity == Severity::Critical {
        return Step::Send(channel);
    }
    if let Some(until) = situation.preferences.quiet_until(now) {
        return Step::Hold { channel, until };
    }
    let lately = situation.recent.iter();
    // Times that are over, or that the clock was set back before, do not count.
    let mut lately = lately
        .filter(|(used, _)| *used == channel)
        .map(|(_, at)| at.plus_seconds(RATE_WINDOW_S))
        .filter(|until| now < *until && *until <= now.plus_seconds(RATE_WINDOW_S));
    match lately.nth(MESSAGES_PER_WINDOW - 1) {
        Some(until) => Step::Fold { channel, until },
        None => Step::Send(channel),
    }
}

#[cfg(test)]
mod tests;
