//! Alarms and their recipients.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{DEDUPLICATION_WINDOW_S, OneLine};
use crate::accounts::Account;
use crate::id::{AccountId, AlarmId, IdError};
use crate::json::{Json, MAX_DEPTH};
use crate::timestamp::Timestamp;

/// The limit on stored alarms, including alarms that are over.
pub const MAX_ALARMS: u64 = 10_000;
/// The limit on alarms that have the same person as a recipient, including alarms that are over.
pub const MAX_ALARMS_OF_PERSON: u64 = 1_000;
/// The part of [`MAX_ALARMS`] that is reserved for alarms of the site itself, so that operations
/// cannot block them.
pub const RESERVED_FOR_SITE: u64 = 1_000;
/// The part of [`MAX_ALARMS_OF_PERSON`] that is reserved for alarms of the site itself.
pub const RESERVED_FOR_SITE_OF_PERSON: u64 = 100;
/// The limit on alarms of one account that are not over, so that one service cannot use all places.
pub const MAX_ALARMS_OF_RAISER: u64 = 1_000;
/// The limit on recipients of one alarm.
pub const MAX_RECIPIENTS: usize = 1_000;

/// A deduplication key: a new alarm repeats an existing one that is not over and has the same
/// raiser, target and key.
pub type AlarmKey = OneLine<128>;

/// The text of an alarm: what happened.
pub type AlarmText = OneLine<500>;

/// An event that a person must learn of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Its id.
    pub id: AlarmId,
    /// Its deduplication key.
    pub key: AlarmKey,
    /// The person or group that it is for.
    pub to: Target,
    /// The party that raised it.
    pub raiser: Raiser,
    /// The raiser's name at the time of the first raise, for display.
    pub raised_by: String,
    /// Its severity.
    pub severity: Severity,
    /// What happened. A repeat replaces the text.
    pub text: AlarmText,
    /// Data for programs. Messages never include it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<AlarmData>,
    /// The time of the first raise.
    pub first: Timestamp,
    /// The time of the last raise.
    pub last: Timestamp,
    /// When its recipients were last notified: the start of the deduplication window.
    pub notified: Timestamp,
    /// How many times it was raised, starting at 1.
    pub count: u64,
    /// Its state.
    pub state: AlarmState,
    /// The first acknowledgement. It remains set after the alarm is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledgement>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// When the admins become recipients too, unless the alarm is acknowledged or over by then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalates: Option<Timestamp>,
    /// Starts at 1 and grows by one with each change. An update is refused unless it is based on
    /// the stored revision.
    pub revision: u64,
}

impl Alarm {
    /// Whether its recipients are still to be notified: it is neither acknowledged nor over.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, AlarmState::Open)
    }

    /// Whether its recipients were notified less than [`DEDUPLICATION_WINDOW_S`] ago. A time in the
    /// future was written before the clock was set back and is ignored.
    #[must_use]
    pub fn was_notified_recently(&self, now: Timestamp) -> bool {
        self.notified <= now && now < self.notified.plus_seconds(DEDUPLICATION_WINDOW_S)
    }

    /// Whether an account may be a recipient: it is the alarm's person, or an admin that can log
    /// in. A former admin stays in the list of recipients and is none any more.
    #[must_use]
    pub fn is_for(&self, account: &Account) -> bool {
        self.to == Target::Person(account.id) || account.is_active_admin()
    }

    /// Applies `change` and increments the revision.
    #[must_use]
    pub fn revised(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self.revision = self.revision.saturating_add(1);
        self
    }
}

/// An account that is notified of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipient {
    /// The account.
    pub account: AccountId,
    /// When this recipient acknowledged the alarm.
    pub acknowledged: Option<Timestamp>,
}

/// The first acknowledgement of an alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Acknowledgement {
    /// The time of the acknowledgement.
    pub at: Timestamp,
    /// The name of the person or admin.
    pub by: String,
}

/// The severity of an alarm.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// For information. Delivered over the first channel only.
    Info,
    /// Needs attention. Goes to the next channel too unless it is acknowledged in time.
    Warning,
    /// Needs attention now. Ignores quiet hours and the rate limit, and escalates to the admins.
    Critical,
}

impl Severity {
    /// All severities.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// The name in operations and in the database.
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
    /// Recipients are being notified.
    Open,
    /// A recipient or an admin has acknowledged it: no further deliveries.
    Acknowledged,
    /// Its cause has ended.
    Over,
}

impl AlarmState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Open, Self::Acknowledged, Self::Over];

    /// The name in operations and in the database.
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
    /// The group `admins`: every person with that role that can log in.
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

/// The party that raised an alarm. The raiser is part of an alarm's identity, so a service cannot
/// repeat, end or silence an alarm of the site.
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

/// An alarm's data for programs: JSON of at most 4 KiB, nested at most [`MAX_DEPTH`] levels deep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct AlarmData(Json);

impl AlarmData {
    /// The limit on its length in bytes.
    pub const MAX_BYTES: usize = 4 * 1024;

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
        if bytes > Self::MAX_BYTES {
            return Err(format!(
                "it has {bytes} bytes; at most {} are allowed",
                Self::MAX_BYTES
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
    fn targets_and_raisers_are_parsed_as_they_are_written() {
        let account = AccountId::from_bytes([7; 16]);
        for target in [Target::Admins, Target::Person(account)] {
            assert_eq!(target.to_string().parse::<Target>().unwrap(), target);
        }
        for raiser in [Raiser::Site, Raiser::LocalAdmin, Raiser::Account(account)] {
            assert_eq!(raiser.to_string().parse::<Raiser>().unwrap(), raiser);
        }
        assert!("maria".parse::<Target>().is_err());
    }

    #[test]
    fn data_at_the_limit_is_accepted_and_data_over_it_is_refused() {
        let of = |length: usize| {
            let text = format!("\"{}\"", "x".repeat(length - 2));
            serde_json::from_str::<AlarmData>(&text).is_ok()
        };
        assert!(of(AlarmData::MAX_BYTES) && !of(AlarmData::MAX_BYTES + 1));
        let nested = |deep: usize| {
            let text = format!("{}{}", "[".repeat(deep), "]".repeat(deep));
            serde_json::from_str::<AlarmData>(&text).is_ok()
        };
        assert!(nested(MAX_DEPTH) && !nested(MAX_DEPTH + 1));
    }
}
