//! Alarms and their recipients.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{DEDUPLICATION_WINDOW_S, OneLine};
use crate::id::{AccountId, AlarmId, IdError};
use crate::json::{Json, MAX_DEPTH};
use crate::timestamp::Timestamp;

/// The most alarms that a store keeps, those that are over included.
pub const MOST_ALARMS: u64 = 10_000;
/// The most alarms of which one person is a recipient, those that are over included.
pub const MOST_ALARMS_OF_PERSON: u64 = 1_000;
/// Of [`MOST_ALARMS`], so many places are left to the site itself: operations cannot keep its alarms out.
pub const RESERVED_FOR_SITE: u64 = 1_000;
/// Of [`MOST_ALARMS_OF_PERSON`], so many places are left to the site itself.
pub const RESERVED_OF_PERSON: u64 = 100;
/// The most alarms of one service that are not over, so that one service leaves room to others.
pub const MOST_OF_RAISER: u64 = 1_000;
/// The most recipients of an alarm.
pub const MOST_RECIPIENTS: usize = 1_000;

/// What makes two alarms the same: an alarm that is not over is repeated by an alarm of the same raiser, target and
/// key.
pub type AlarmKey = OneLine<128>;

/// What an alarm says.
pub type AlarmText = OneLine<500>;

/// Something that a person must learn of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Its id.
    pub id: AlarmId,
    /// Its deduplication key.
    pub key: AlarmKey,
    /// The person or group that it is for.
    pub to: Target,
    /// Who raised it.
    pub raiser: Raiser,
    /// The raiser's name when it was raised, for people.
    pub raised_by: String,
    /// How much it matters.
    pub severity: Severity,
    /// What happened; the latest text when it was repeated.
    pub text: AlarmText,
    /// More for programs; never part of a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<AlarmData>,
    /// When it was raised first.
    pub first: Timestamp,
    /// When it was raised last.
    pub last: Timestamp,
    /// When its recipients were last told: the deduplication window begins then.
    pub told: Timestamp,
    /// How often it was raised; 1 at first.
    pub count: u64,
    /// Its state.
    pub state: AlarmState,
    /// The first acknowledgement. It stays when the alarm is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledgement>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// When the admins become recipients too, unless it is acknowledged or over before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalates: Option<Timestamp>,
    /// 1 at first, one more with each change: a change says which revision it was decided on.
    pub revision: u64,
}

impl Alarm {
    /// Whether its recipients are still to be told: it is neither acknowledged nor over.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, AlarmState::Open)
    }

    /// Whether its recipients were told less than [`DEDUPLICATION_WINDOW_S`] ago. A time in the future was written before
    /// the clock was set back, and does not count.
    #[must_use]
    pub fn was_told_lately(&self, now: Timestamp) -> bool {
        self.told <= now && now < self.told.plus_seconds(DEDUPLICATION_WINDOW_S)
    }

    /// The alarm one revision on, changed by `change`.
    #[must_use]
    pub fn revised(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self.revision = self.revision.saturating_add(1);
        self
    }
}

/// An account that is told of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipient {
    /// The account.
    pub account: AccountId,
    /// When this recipient acknowledged the alarm.
    pub acknowledged: Option<Timestamp>,
}

/// Who acknowledged an alarm first, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Acknowledgement {
    /// When.
    pub at: Timestamp,
    /// The name of the person or admin.
    pub by: String,
}

/// How much an alarm matters.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know. Told over the first channel only.
    Info,
    /// Needs attention. Goes on to the next channel when it is not acknowledged.
    Warning,
    /// Needs attention now. Passes quiet hours and the rate limit, and goes on to the admins.
    Critical,
}

impl Severity {
    /// All severities.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// The state of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlarmState {
    /// Recipients are being told.
    Open,
    /// A recipient or an admin takes care of it: there are no more deliveries.
    Acknowledged,
    /// Its cause is gone.
    Over,
}

impl AlarmState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Open, Self::Acknowledged, Self::Over];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Over => "over",
        }
    }
}

/// The person or group that an alarm is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// A person.
    Person(AccountId),
    /// The group `admins`: every person with that role who may log in.
    Admins,
}

impl Target {
    /// The name of the group.
    pub const ADMINS: &str = "admins";
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(account) => account.fmt(f),
            Self::Admins => f.write_str(Self::ADMINS),
        }
    }
}

impl FromStr for Target {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        match text {
            Self::ADMINS => Ok(Self::Admins),
            id => id.parse().map(Self::Person),
        }
    }
}

/// Who raised an alarm. Alarms of different raisers never coincide: a service cannot repeat, end or silence an alarm
/// of the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Raiser {
    /// The site itself.
    Site,
    /// An admin at the local admin socket, or an initialisation script.
    LocalAdmin,
    /// An account.
    Account(AccountId),
}

impl Raiser {
    const SITE: &str = "site";
    const LOCAL_ADMIN: &str = "local_admin";
}

impl fmt::Display for Raiser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Site => f.write_str(Self::SITE),
            Self::LocalAdmin => f.write_str(Self::LOCAL_ADMIN),
            Self::Account(account) => account.fmt(f),
        }
    }
}

impl FromStr for Raiser {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        match text {
            Self::SITE => Ok(Self::Site),
            Self::LOCAL_ADMIN => Ok(Self::LocalAdmin),
            id => id.parse().map(Self::Account),
        }
    }
}

macro_rules! as_text {
    ($($name:ident)*) => {
        $(
            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
                }
            }
        )*
    };
}

as_text! { Target Raiser }

/// What an alarm carries for programs: JSON of at most 4 KiB, nested at most [`MAX_DEPTH`] deep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct AlarmData(Json);

impl AlarmData {
    /// Bytes that it may have.
    pub const MOST_BYTES: usize = 4 * 1024;

    /// The JSON.
    #[must_use]
    pub const fn json(&self) -> &Json {
        &self.0
    }
}

impl TryFrom<Json> for AlarmData {
    type Error = String;

    fn try_from(json: Json) -> Result<Self, String> {
        let (bytes, depth) = (json.as_str().len(), json.depth());
        if bytes > Self::MOST_BYTES {
            return Err(format!(
                "it has {bytes} bytes; at most {} are allowed",
                Self::MOST_BYTES
            ));
        }
        if depth > MAX_DEPTH {
            return Err(format!("it is nested more than {MAX_DEPTH} deep"));
        }
        Ok(Self(json))
    }
}

impl<'de> Deserialize<'de> for AlarmData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(Json::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for AlarmData {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AlarmData".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Json::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_and_raisers_are_read_as_they_are_written() {
        let account = AccountId::from_bytes([7; 16]);
        for target in [Target::Admins, Target::Person(account)] {
            assert_eq!(target.to_string().parse::<Target>().unwrap(), target);
        }
        for raiser in [Raiser::Site, Raiser::LocalAdmin, Raiser::Account(account)] {
            assert_eq!(raiser.to_string().parse::<Raiser>().unwrap(), raiser);
        }
        assert!("unknown".parse::<Target>().is_err());
    }

    #[test]
    fn data_at_the_limit_is_taken_and_data_over_it_is_not() {
        let of = |length: usize| {
            let text = format!("\"{}\"", "x".repeat(length - 2));
            serde_json::from_str::<AlarmData>(&text).is_ok()
        };
        assert!(of(AlarmData::MOST_BYTES) && !of(AlarmData::MOST_BYTES + 1));
        let nested = |deep: usize| {
            let text = format!("{}{}", "[".repeat(deep), "]".repeat(deep));
            serde_json::from_str::<AlarmData>(&text).is_ok()
        };
        assert!(nested(MAX_DEPTH) && !nested(MAX_DEPTH + 1));
    }
}
