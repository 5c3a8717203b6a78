//! A person's preferences for notifications.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{DeliveryChannel, OneLine};
use crate::timestamp::Timestamp;

/// The address for short texts to a person: a telephone number, or another address that the site's
/// webhook accepts.
pub type TextAddress = OneLine<100>;

/// A person's preferences for notifications about alarms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preferences {
    /// The language of messages.
    pub language: Language,
    /// The time zone of quiet hours and of times in messages.
    pub time_zone: TimeZoneName,
    /// The hours in which only critical alarms are delivered.
    pub quiet: Option<QuietHours>,
    /// The channels in order of preference. A channel that is not in the list is not used.
    pub channels: Vec<DeliveryChannel>,
    /// The address for short texts.
    pub text_to: Option<TextAddress>,
    /// Whether a message from a person of a peer raises an alarm while the person has no open
    /// connection.
    #[serde(default = "yes")]
    pub peer_messages: bool,
}

/// The default of preferences that were stored by an earlier version.
const fn yes() -> bool {
    true
}

impl Default for Preferences {
    /// English, UTC, no quiet hours, e-mail first, then text, alarms of messages.
    fn default() -> Self {
        Self {
            language: Language::En,
            time_zone: TimeZoneName::default(),
            quiet: None,
            channels: DeliveryChannel::ALL.to_vec(),
            text_to: None,
            peer_messages: true,
        }
    }
}

impl Preferences {
    /// The end of the current quiet hours; `None` when `now` is outside quiet hours.
    #[must_use]
    pub fn quiet_until(&self, now: Timestamp) -> Option<Timestamp> {
        let quiet = self.quiet?;
        let local = self.time_zone.local(now)?;
        let time = TimeOfDay(
            u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).ok()?,
        );
        let (is_quiet, ends_today) = if quiet.from <= quiet.to {
            (quiet.from <= time && time < quiet.to, true)
        } else {
            (time >= quiet.from || time < quiet.to, time < quiet.to)
        };
        if !is_quiet {
            return None;
        }
        let day = match ends_today {
            true => local.date(),
            false => local.date().tomorrow().ok()?,
        };
        let (hour, minute) = (quiet.to.0 / 60, quiet.to.0 % 60);
        let end = day.at(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0);
        // A local time that a clock change skips is moved behind the gap. If a clock change repeats
        // the local time, the first one in the future counts.
        let ambiguous = self.time_zone.zone()?.to_ambiguous_timestamp(end);
        let ends = [ambiguous.compatible(), ambiguous.later()];
        let ends = ends
            .into_iter()
            .flatten()
            .map(|end| Timestamp::from_millis(end.as_millisecond()));
        // Right at a clock change both may be in the past: check again in a minute.
        let mut to_come = ends.filter(|end| *end > now);
        Some(to_come.next().unwrap_or_else(|| now.plus_seconds(60)))
    }
}

/// The language of messages.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// German.
    De,
}

/// The hours of a day in which only critical alarms are delivered. They include midnight when `to`
/// is before `from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuietHours {
    /// Their start.
    pub from: TimeOfDay,
    /// Their end. If it equals `from`, there are no quiet hours.
    pub to: TimeOfDay,
}

/// A minute of the day, written `22:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(u16);

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl FromStr for TimeOfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let two = |part: &str| {
            let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse::<u16>().ok()).flatten()
        };
        let parts = text.split_once(':');
        let parts = parts.and_then(|(hour, minute)| Some((two(hour)?, two(minute)?)));
        parts
            .filter(|(hour, minute)| *hour < 24 && *minute < 60)
            .map(|(hour, minute)| Self(hour * 60 + minute))
            .ok_or_else(|| "it is not a time of day; write it like 22:00".to_owned())
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

impl JsonSchema for TimeOfDay {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TimeOfDay".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$" })
    }
}

/// The name of a time zone in the IANA database, such as `Europe/Berlin`. The program contains the
/// database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct TimeZoneName(String);

impl TimeZoneName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Formats a time for display: `2026-03-01 13:00 CET`.
    #[must_use]
    pub fn show(&self, at: Timestamp) -> String {
        let moment = jiff::Timestamp::from_millisecond(at.millis());
        match (moment, self.zone()) {
            (Ok(moment), Some(zone)) => {
                let zoned = moment.to_zoned(zone);
                zoned.strftime("%Y-%m-%d %H:%M %Z").to_string()
            }
            _ => at.to_string(),
        }
    }

    fn local(&self, at: Timestamp) -> Option<DateTime> {
        let moment = jiff::Timestamp::from_millisecond(at.millis()).ok()?;
        Some(self.zone()?.to_datetime(moment))
    }

    fn zone(&self) -> Option<TimeZone> {
        TimeZone::get(&self.0).ok()
    }
}

impl Default for TimeZoneName {
    /// UTC.
    fn default() -> Self {
        Self("UTC".to_owned())
    }
}

impl TryFrom<String> for TimeZoneName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        // The longest name in the database has 32 bytes.
        let found = (name.len() <= 64)
            .then(|| TimeZone::get(&name).ok())
            .flatten();
        let found = found.and_then(|zone| zone.iana_name().map(str::to_owned));
        found
            .map(Self)
            .ok_or_else(|| "it is not an IANA time zone; write it like Europe/Berlin".to_owned())
    }
}

impl<'de> Deserialize<'de> for TimeZoneName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for TimeZoneName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TimeZoneName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preferences(zone: &str, from: &str, to: &str) -> Preferences {
        let quiet = QuietHours {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
        };
        Preferences {
            time_zone: zone.to_owned().try_into().unwrap(),
            quiet: Some(quiet),
            ..Preferences::default()
        }
    }

    #[test]
    fn quiet_hours_end_in_the_persons_time_zone() {
        for (zone, from, to, now, until) in [
            // Quiet hours that include midnight: before it, after it, at the start and at the end.
            (
                "Europe/Berlin",
                "22:00",
                "07:00",
                "2026-03-01T21:00:00Z",
                Some("2026-03-02T06:00:00Z"),
            ),
            (
                "Europe/Berlin",
                "22:00",
                "07:00",
                "2026-03-02T05:59:59Z",
                Some("2026-03-02T06:00:00Z"),
            ),
            (
                "Europe/Berlin",
                "22:00",
                "07:00",
                "2026-03-02T06:00:00Z",
                None,
            ),
            (
                "Europe/Berlin",
                "22:00",
                "07:00",
                "2026-03-01T20:59:59Z",
                None,
            ),
            // In summer Berlin is two hours ahead of UTC.
            (
                "Europe/Berlin",
                "22:00",
                "07:00",
                "2026-07-01T20:00:00Z",
                Some("2026-07-02T05:00:00Z"),
            ),
            // Within one day; and in a time zone far from UTC.
            (
                "UTC",
                "12:00",
                "13:30",
                "2026-03-01T12:00:00Z",
                Some("2026-03-01T13:30:00Z"),
            ),
            (
                "Pacific/Auckland",
                "22:00",
                "07:00",
                "2026-03-01T12:00:00Z",
                Some("2026-03-01T18:00:00Z"),
            ),
            // The local end is skipped when the clock goes forward and repeated when it goes back.
            (
                "Europe/Berlin",
                "22:00",
                "02:30",
                "2026-03-29T00:00:00Z",
                Some("2026-03-29T01:30:00Z"),
            ),
            (
                "Europe/Berlin",
                "22:00",
                "02:30",
                "2026-10-25T00:00:00Z",
                Some("2026-10-25T00:30:00Z"),
            ),
            (
                "Europe/Berlin",
                "22:00",
                "02:30",
                "2026-10-25T01:10:00Z",
                Some("2026-10-25T01:30:00Z"),
            ),
            // No quiet hours.
            ("UTC", "08:00", "08:00", "2026-03-01T08:00:00Z", None),
        ] {
            let read = |text: &str| text.parse::<Timestamp>().unwrap();
            let found = preferences(zone, from, to).quiet_until(read(now));
            assert_eq!(found, until.map(read), "{zone} {from} {to} {now}");
        }
        let ends = preferences("UTC", "00:00", "23:59");
        for edge in [i64::MIN, i64::MAX] {
            assert_eq!(ends.quiet_until(Timestamp::from_millis(edge)), None);
        }
    }

    #[test]
    fn a_time_of_day_and_a_time_zone_are_parsed_strictly() {
        for good in ["00:00", "23:59"] {
            assert_eq!(good.parse::<TimeOfDay>().unwrap().to_string(), good);
        }
        for bad in ["24:00", "7:00", "07:60", "+7:00", "0700", "", "07:00:00"] {
            assert!(bad.parse::<TimeOfDay>().is_err(), "{bad}");
        }
        let zone = |name: &str| TimeZoneName::try_from(name.to_owned());
        assert!(zone("Europe/Berlin").is_ok());
        for bad in [
            "Mars/Base",
            "",
            "../etc/passwd",
            "<+01>-1",
            &"x".repeat(1000),
        ] {
            assert!(zone(bad).is_err(), "{bad}");
        }
    }
}
