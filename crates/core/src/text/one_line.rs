//! A line of text for display.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// Why a text with other characters is refused.
pub(super) const NOT_ALLOWED: &str =
    "control characters and characters that change the direction of writing are not allowed";

/// One line of 1 to `MAX` characters without control characters and without bidirectional
/// formatting characters. It is safe in the subject of an e-mail, and its parts are displayed in
/// their order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct OneLine<const MAX: usize>(String);

impl<const MAX: usize> OneLine<MAX> {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Removes the characters that are not allowed and cuts the text off at `MAX` characters;
    /// returns `-` when nothing remains. For text from another program, such as the reply of a mail
    /// server.
    #[must_use]
    pub fn cut(text: &str) -> Self {
        let allowed = text.chars().filter(|character| is_allowed(*character));
        let cut: String = allowed.take(MAX).collect();
        if cut.is_empty() {
            return Self("-".to_owned());
        }
        Self(cut)
    }
}

/// One line of 1 to `MAX` characters as [`OneLine`], without the white space around it: a text of personal data.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(inline, extend("minLength" = 1, "maxLength" = MAX))]
pub struct Trimmed<const MAX: usize>(OneLine<MAX>);

impl<const MAX: usize> Trimmed<MAX> {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl<const MAX: usize> TryFrom<String> for Trimmed<MAX> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        OneLine::try_from(text.trim().to_owned()).map(Self)
    }
}

impl<const MAX: usize> From<Trimmed<MAX>> for String {
    fn from(text: Trimmed<MAX>) -> Self {
        text.0.0
    }
}

impl<const MAX: usize> TryFrom<String> for OneLine<MAX> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // A character has at most four bytes, so a longer text exceeds the limit and need not be
        // counted.
        let length = if text.len() > 4 * MAX {
            MAX + 1
        } else {
            text.chars().count()
        };
        match length {
            0 => Err("it is empty".to_owned()),
            length if length > MAX => Err(format!(
                "it is too long; at most {MAX} characters are allowed"
            )),
            _ if text.chars().all(is_allowed) => Ok(Self(text)),
            _ => Err(NOT_ALLOWED.to_owned()),
        }
    }
}

/// Bidirectional formatting characters are those of UAX #9, section 2.
pub(crate) const fn is_allowed(character: char) -> bool {
    !matches!(
        character,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
    )
}

impl<'de, const MAX: usize> Deserialize<'de> for OneLine<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl<const MAX: usize> JsonSchema for OneLine<MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("OneLine{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::{OneLine, Trimmed};

    #[test]
    fn a_text_of_personal_data_has_no_white_space_around_it() {
        let read = |text: &str| Trimmed::<4>::try_from(text.to_owned());
        assert_eq!(read("  ab \u{3000}").unwrap().as_str(), "ab");
        assert!(read(" a b ").is_ok() && read("  ").is_err() && read("a\tb").is_err());
    }

    #[test]
    fn a_line_at_the_limit_is_accepted_and_one_over_it_is_refused() {
        let read = |text: &str| OneLine::<4>::try_from(text.to_owned());
        assert!(read("four").is_ok() && read("äöüß").is_ok());
        assert!(read("fives").is_err() && read("").is_err());
        assert!(read(&"x".repeat(1_000_000)).is_err());
    }

    #[test]
    fn a_line_has_no_line_break_and_no_change_of_direction() {
        for bad in ["a\r\nBcc: b", "a\u{202e}b", "\u{2066}a", "\u{1b}[1m", "\0"] {
            assert!(OneLine::<99>::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
        assert_eq!(
            OneLine::<9>::cut("a\r\nb\u{202e}cdefghijk").as_str(),
            "abcdefghi"
        );
        assert_eq!(OneLine::<9>::cut("\n").as_str(), "-");
    }
}
