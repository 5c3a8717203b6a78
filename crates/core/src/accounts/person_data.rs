//! What a site stores about a person beyond the account: how to reach the person, and free
//! attributes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LanguageTag, PostalAddress, Telephone};
use crate::text::{Email, Trimmed};

/// The maximum number of email addresses of a person.
pub const MAX_EMAILS: usize = 8;
/// The maximum number of telephone numbers of a person.
pub const MAX_TELEPHONES: usize = 8;
/// The maximum number of attributes of a person.
pub const MAX_ATTRIBUTES: usize = 32;

/// The text of an attribute: at most 200 characters.
pub type AttributeText = Trimmed<200>;

/// The data of a person that no login needs. The first email address is in the
/// [account](super::Account::email), because alarms go there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PersonData {
    /// The email addresses after the first one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_emails: Vec<Email>,
    /// The telephone numbers; the first one is the preferred one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub telephones: Vec<Telephone>,
    /// The postal address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postal_address: Option<PostalAddress>,
    /// The language in which the person is addressed. Alarms have a language of their own
    /// (`alarm preferences`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<LanguageTag>,
    /// Free attributes, such as `department`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<AttributeName, AttributeText>,
}

impl PersonData {
    /// Returns whether there is no data.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The name of an attribute: a lower-case letter, then lower-case letters, digits, `_`, `-` and
/// `.`; at most 40 characters.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(inline)]
pub struct AttributeName(String);

impl AttributeName {
    const MAX_LENGTH: usize = 40;

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AttributeName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let is_letter = |byte: &u8| byte.is_ascii_lowercase();
        let is_allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.')
        };
        let is_name = name.len() <= Self::MAX_LENGTH
            && name.as_bytes().first().is_some_and(is_letter)
            && name.bytes().all(is_allowed);
        match is_name {
            true => Ok(Self(name)),
            false => Err(format!(
                "the name of an attribute is a lower-case letter followed by lower-case letters, digits, `_`, `-` \
                and `.`, and has at most {} characters",
                Self::MAX_LENGTH
            )),
        }
    }
}

impl From<AttributeName> for String {
    fn from(name: AttributeName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_attribute_is_short_and_plain() {
        let read = |name: &str| AttributeName::try_from(name.to_owned());
        assert!(read("department").is_ok() && read("hr.cost_centre-2").is_ok());
        assert!(read(&"a".repeat(40)).is_ok() && read(&"a".repeat(41)).is_err());
        for bad in ["", "2nd", "Department", "a b", "ä", "a\n"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn data_without_a_value_is_an_empty_document() {
        let data = PersonData::default();
        assert_eq!(serde_json::to_string(&data).unwrap(), "{}");
        assert_eq!(serde_json::from_str::<PersonData>("{}").unwrap(), data);
    }
}
