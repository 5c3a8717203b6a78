//! Account names: `name` or `name@zone`.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::uri::has_dns_labels;

/// The maximum length of the part before `@`, in bytes.
const MAX_LOCAL: usize = 64;
/// The maximum length of a zone, in bytes, so that a welcome with the longest name fits into the
/// smallest packet.
const MAX_ZONE: usize = 127;

/// An account name. Upper-case ASCII letters become lower-case, so that each name has one form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountName {
    local: String,
    zone: Option<Zone>,
}

/// The part after `@`: a DNS name of at most 127 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Zone(String);

/// Why a text is not an account name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// The part before `@` is empty.
    #[error("a name cannot be empty")]
    Empty,
    /// The first part is longer than 64 bytes.
    #[error("a name has at most 64 characters before `@`")]
    TooLong,
    /// The first part starts with or contains a character that is not allowed.
    #[error(
        "a name starts with a letter or digit and holds letters, digits, `.`, `_` and `-` only"
    )]
    BadCharacter,
    /// The zone is not a DNS name or is longer than 127 bytes.
    #[error("a zone is a DNS name of at most 127 characters, such as example.org")]
    BadZone,
}

impl AccountName {
    /// The maximum length of a name with its zone, in bytes.
    pub const MAX_LENGTH: usize = MAX_LOCAL + 1 + MAX_ZONE;

    /// The part before `@`.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The zone, if the name has one.
    #[must_use]
    pub fn zone(&self) -> Option<&Zone> {
        self.zone.as_ref()
    }

    /// The name with its own zone, or else with `zone`.
    #[must_use]
    pub fn with_default_zone(mut self, zone: &Zone) -> Self {
        self.zone.get_or_insert_with(|| zone.clone());
        self
    }
}

impl FromStr for AccountName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let (local, zone) = match text.split_once('@') {
            Some((local, zone)) => (local, Some(zone.parse()?)),
            None => (text, None),
        };
        let first = *local.as_bytes().first().ok_or(BadName::Empty)?;
        if local.len() > MAX_LOCAL {
            return Err(BadName::TooLong);
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !first.is_ascii_alphanumeric() || !local.bytes().all(allowed) {
            return Err(BadName::BadCharacter);
        }
        Ok(Self {
            local: local.to_ascii_lowercase(),
            zone,
        })
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.local)?;
        match &self.zone {
            Some(zone) => write!(f, "@{zone}"),
            None => Ok(()),
        }
    }
}

impl Zone {
    /// The zone's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Zone {
    type Err = BadName;

    /// RFC 1123, section 2.1: labels of letters, digits and inner hyphens.
    fn from_str(text: &str) -> Result<Self, BadName> {
        if text.len() > MAX_ZONE || !has_dns_labels(text) {
            return Err(BadName::BadZone);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for AccountName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AccountName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_has_one_form() {
        let name: AccountName = "Maria.Lind@Example.ORG".parse().unwrap();
        assert_eq!(name.to_string(), "maria.lind@example.org");
        assert_eq!(
            (name.local(), name.zone().map(Zone::as_str)),
            ("maria.lind", Some("example.org"))
        );
    }

    #[test]
    fn a_name_without_a_zone_gets_the_default_zone() {
        let zone = "local".parse().unwrap();
        let add = |name: &str| {
            name.parse::<AccountName>()
                .unwrap()
                .with_default_zone(&zone)
                .to_string()
        };
        assert_eq!(add("maria"), "maria@local");
        assert_eq!(add("maria@example.org"), "maria@example.org");
    }

    #[test]
    fn an_invalid_name_is_rejected_with_the_reason() {
        let longest = "a".repeat(64);
        assert!(longest.parse::<AccountName>().is_ok());
        let cases = [
            ("", BadName::Empty),
            ("@example.org", BadName::Empty),
            (&format!("{longest}a")[..], BadName::TooLong),
            (".maria", BadName::BadCharacter),
            ("ma ria", BadName::BadCharacter),
            ("marja\u{e4}", BadName::BadCharacter),
            ("maria@", BadName::BadZone),
            ("maria@a@b", BadName::BadZone),
            ("maria@-a.org", BadName::BadZone),
            ("maria@a..org", BadName::BadZone),
        ];
        for (text, reason) in cases {
            assert_eq!(text.parse::<AccountName>(), Err(reason), "{text:?}");
        }
    }

    #[test]
    fn a_zone_at_the_limit_passes_and_one_over_it_does_not() {
        let zone = |last: usize| format!("{0}.{1}", "a".repeat(63), "b".repeat(last));
        assert!(zone(63).parse::<Zone>().is_ok());
        assert!(zone(64).parse::<Zone>().is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_rejected_or_round_trips(text in ".{0,200}") {
            if let Ok(name) = text.parse::<AccountName>() {
                prop_assert!(name.to_string().len() <= AccountName::MAX_LENGTH);
                prop_assert_eq!(name.to_string().parse::<AccountName>(), Ok(name));
            }
        }
    }
}
