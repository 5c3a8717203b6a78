//! Types for text parameters that are validated while they are parsed, so that an error names the
//! field.

mod argument;
mod one_line;

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

pub(crate) use argument::argument;
pub(crate) use one_line::is_allowed;
pub use one_line::{OneLine, Trimmed};

/// Returns a text with each part between backticks changed.
#[must_use]
pub fn change_spans(text: &str, change: impl Fn(&str) -> String) -> String {
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(number, part)| match number % 2 {
        0 => part.to_owned(),
        _ => change(part),
    });
    parts.collect::<Vec<_>>().join("`")
}

/// One line of text of at most `MAX_LENGTH` bytes; may be empty. Control characters and characters that change the
/// direction of writing are refused, as in [`OneLine`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Line<const MAX_LENGTH: usize>(String);

/// The full name of an account.
pub type FullName = Line<200>;

/// The label of a key.
pub type Label = Line<100>;

impl<const MAX_LENGTH: usize> Line<MAX_LENGTH> {
    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the text.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl<const MAX_LENGTH: usize> TryFrom<String> for Line<MAX_LENGTH> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!(
                "has {} bytes; at most {MAX_LENGTH} are allowed",
                text.len()
            ));
        }
        if !text.chars().all(is_allowed) {
            return Err(one_line::NOT_ALLOWED.to_owned());
        }
        Ok(Self(text))
    }
}

impl<'de, const MAX_LENGTH: usize> Deserialize<'de> for Line<MAX_LENGTH> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl<const MAX_LENGTH: usize> JsonSchema for Line<MAX_LENGTH> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Line{MAX_LENGTH}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": MAX_LENGTH })
    }
}

/// An email address, or an empty string. Only clearly invalid addresses are refused; sending mail
/// is the only reliable check. The domain is stored in lower case, so that an address has one spelling.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    /// RFC 5321, section 4.5.3.1.3: a path has at most 256 bytes, including its angle brackets.
    const MAX_LENGTH: usize = 254;

    /// Returns the address; empty if there is none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the address; empty if there is none.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl TryFrom<String> for Email {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(text));
        }
        let is_plain = text.len() <= Self::MAX_LENGTH
            && text.chars().all(|c| is_allowed(c) && !c.is_whitespace());
        let parts = text
            .rsplit_once('@')
            .filter(|(local, domain)| is_plain && !local.is_empty() && !domain.is_empty());
        match parts {
            Some((local, domain)) => Ok(Self(format!("{local}@{}", domain.to_lowercase()))),
            None => Err("it is not an email address".to_owned()),
        }
    }
}

impl<'de> Deserialize<'de> for Email {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for Email {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Email".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "email" })
    }
}

/// Bytes as base64url without padding (RFC 4648, section 5).
#[derive(Clone, PartialEq, Eq)]
pub struct Base64Url(pub Vec<u8>);

impl fmt::Debug for Base64Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The bytes are left out because many such values are sensitive.
        write!(f, "Base64Url({} bytes)", self.0.len())
    }
}

impl Base64Url {
    /// Returns the base64url text.
    #[must_use]
    pub fn to_text(&self) -> String {
        BASE64URL_NOPAD.encode(&self.0)
    }
}

impl Serialize for Base64Url {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_text())
    }
}

impl<'de> Deserialize<'de> for Base64Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64URL_NOPAD
            .decode(text.as_bytes())
            .map(Self)
            .map_err(|error| {
                D::Error::custom(format_args!("is not base64url without padding: {error}"))
            })
    }
}

impl JsonSchema for Base64Url {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Base64Url".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "contentEncoding": "base64url" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_at_the_limit_is_accepted_and_one_over_it_is_refused() {
        assert!(Line::<4>::try_from("four".to_owned()).is_ok());
        assert!(Line::<4>::try_from("fives".to_owned()).is_err());
        assert!(Line::<4>::try_from("a\nb".to_owned()).is_err());
        assert!(Line::<9>::try_from("a\u{202e}b".to_owned()).is_err());
    }

    #[test]
    fn an_address_needs_a_local_part_and_a_domain() {
        for good in ["", "maria@example.org", "a@b"] {
            assert!(Email::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in [
            "maria",
            "@example.org",
            "maria@",
            "ma ria@example.org",
            "maria@\u{202e}gro.elpmaxe",
        ] {
            assert!(Email::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_domain_of_an_address_has_one_spelling() {
        let address = Email::try_from("Maria@EXAMPLE.org".to_owned()).unwrap();
        assert_eq!(address.as_str(), "Maria@example.org");
    }
}
