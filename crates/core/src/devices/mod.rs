//! Devices: a person's phones and laptops, each with a key of its own.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use crate::id::{AccountId, DeviceId};
use crate::timestamp::Timestamp;

/// The most devices that one account may have.
pub const DEVICES_PER_ACCOUNT: usize = 32;
/// The time between two changes of a device's `last_seen`, in milliseconds: 1 minute. A device that connects in a loop
/// costs no more writes than that.
pub const SEEN_EVERY: u64 = 60_000;

/// What a person calls a device: 1 to 64 characters without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct DeviceName(String);

/// The text is no name of a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceNameError {
    /// It has no visible character, or too many.
    #[error("a device's name has 1 to {} characters", DeviceName::MAX_LENGTH)]
    Length,
    /// It has characters that could change how a terminal shows it.
    #[error("a device's name has no control characters")]
    Control,
}

impl DeviceName {
    /// The longest name, in characters.
    pub const MAX_LENGTH: usize = 64;

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DeviceName {
    type Error = DeviceNameError;

    fn try_from(text: String) -> Result<Self, DeviceNameError> {
        if text.chars().any(char::is_control) {
            return Err(DeviceNameError::Control);
        }
        let length = text.chars().take(Self::MAX_LENGTH + 1).count();
        if text.trim().is_empty() || length > Self::MAX_LENGTH {
            return Err(DeviceNameError::Length);
        }
        Ok(Self(text))
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for DeviceName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for DeviceName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DeviceName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": DeviceName::MAX_LENGTH })
    }
}

/// A device as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Never changes and is never used again.
    pub id: DeviceId,
    /// Whose it is.
    pub account: AccountId,
    /// What its person calls it.
    pub name: DeviceName,
    /// Its public key: SubjectPublicKeyInfo (RFC 5280, section 4.1) in DER.
    pub spki: Vec<u8>,
    /// SHA-256 of `spki`; unique in the site.
    pub thumbprint: [u8; 32],
    /// When it was enrolled.
    pub created: Timestamp,
    /// When a connection of it was opened or closed last, to a minute; `None` before the first.
    pub last_seen: Option<Timestamp>,
    /// 1 at first, one more with each change of the name.
    pub revision: u64,
}

impl Device {
    /// Whether `last_seen` is to be changed for a connection at `now`: it is older than [`SEEN_EVERY`], or later than
    /// `now` because the clock was set back.
    #[must_use]
    pub fn is_seen_anew(&self, now: Timestamp) -> bool {
        self.last_seen
            .is_none_or(|seen| now >= seen.plus_millis(SEEN_EVERY) || now < seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Result<DeviceName, DeviceNameError> {
        DeviceName::try_from(text.to_owned())
    }

    #[test]
    fn a_name_has_1_to_64_characters_of_any_language() {
        for good in ["p", "Ada's phone", &"é".repeat(64)] {
            assert_eq!(name(good).unwrap().as_str(), good);
        }
        for bad in ["", "  ", &"é".repeat(65)] {
            assert_eq!(name(bad), Err(DeviceNameError::Length), "{bad:?}");
        }
    }

    #[test]
    fn a_name_has_no_control_characters() {
        for bad in ["a\nb", "a\u{1b}[2J", "\u{85}a"] {
            assert_eq!(name(bad), Err(DeviceNameError::Control), "{bad:?}");
        }
    }

    #[test]
    fn a_device_is_seen_once_a_minute() {
        let at = Timestamp::from_millis;
        let mut device = Device {
            id: DeviceId::from_bytes([1; 16]),
            account: AccountId::from_bytes([2; 16]),
            name: name("phone").unwrap(),
            spki: vec![3; 44],
            thumbprint: [4; 32],
            created: at(0),
            last_seen: None,
            revision: 1,
        };
        assert!(device.is_seen_anew(at(0)));
        device.last_seen = Some(at(1_000));
        assert!(!device.is_seen_anew(at(60_999)));
        assert!(device.is_seen_anew(at(61_000)));
        assert!(device.is_seen_anew(at(999)), "the clock was set back");
    }
}
