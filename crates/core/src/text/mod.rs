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

/// Returns a text with each span between backticks changed. A span neither begins nor ends with white
/// space, and one of the site follows white space: a backtick in a name or a reason makes no text of
/// the spans that follow it.
#[must_use]
pub fn change_spans(text: &str, change: impl Fn(&str) -> String) -> String {
    let is_span = |part: &str| !part.is_empty() && part.trim() == part;
    let mut changed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('`') {
        changed.push_str(before);
        changed.push('`');
        rest = after;
        if let Some((span, behind)) = after.split_once('`').filter(|(part, _)| is_span(part)) {
            changed.push_str(&change(span));
            changed.push('`');
            rest = behind;
        }
    }
    changed + rest
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

    /// A backtick in the name of an application or in a reason made text of the spans that followed it: the
    /// command line told operations as they are called.
    #[test]
    fn a_backtick_in_a_name_or_a_reason_moves_no_span() {
        let shown = |text: &str| change_spans(text, |span| format!("<{span}>"));
        assert_eq!(shown("`peer list`"), "`<peer list>`");
        assert_eq!(
            shown("see `a` and `b`, or `c"),
            "see `<a>` and `<b>`, or `c"
        );
        for free in ["it`s", "`", "x`", "` x", "``", "a ` b"] {
            let text = |lift: &str| format!("{free} is in lockdown; `{lift}` ends it.");
            let (operation, command) = ("lockdown lift", "<lockdown lift>");
            assert_eq!(shown(&text(operation)), text(command));
            let twice = format!("{free}: {}", text(operation));
            assert!(
                shown(&twice).ends_with(&text(command)[free.len()..]),
                "{twice}"
            );
        }
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
