//! What people call a device.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest name, in characters (Unicode scalar values).
const MAX_CHARACTERS: usize = 64;

/// A device's name: one line of 1 to 64 characters, which terminals and web pages show as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceName(String);

/// Why a text is no name of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadDeviceName {
    /// It has no characters, or more than 64.
    #[error("a device's name has 1 to 64 characters")]
    Length,
    /// It begins or ends with white space, so that it looks like another name.
    #[error("a device's name does not begin or end with white space")]
    Blank,
    /// It has control characters, line ends, or marks that change the direction of text.
    #[error("a device's name has no control characters, line ends or direction marks")]
    Character,
}

impl DeviceName {
    /// The longest name, in bytes of UTF-8.
    pub const MAX_LENGTH: usize = MAX_CHARACTERS * 4;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DeviceName {
    type Err = BadDeviceName;

    fn from_str(text: &str) -> Result<Self, BadDeviceName> {
        if text.is_empty() || text.chars().nth(MAX_CHARACTERS).is_some() {
            return Err(BadDeviceName::Length);
        }
        if text.chars().any(misleads) {
            return Err(BadDeviceName::Character);
        }
        if text.trim() != text {
            return Err(BadDeviceName::Blank);
        }
        Ok(Self(text.to_owned()))
    }
}

/// Characters that move the cursor or change the order in which others are shown (Unicode, UAX #9).
fn misleads(character: char) -> bool {
    let direction = matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    direction || character.is_control() || matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for DeviceName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for DeviceName {
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

    // DEV-10
    #[test]
    fn a_name_is_one_line_of_1_to_64_characters() {
        let longest = "\u{1f4f1}".repeat(64);
        for name in ["a", "Ada's phone", "電話", "a\u{a0}b", &longest] {
            let parsed: DeviceName = name.parse().unwrap();
            assert_eq!(parsed.as_str(), name);
            assert!(name.len() <= DeviceName::MAX_LENGTH);
        }
        for (name, expected) in [
            ("", BadDeviceName::Length),
            (&"a".repeat(65), BadDeviceName::Length),
            (" phone", BadDeviceName::Blank),
            ("phone\u{3000}", BadDeviceName::Blank),
            (" ", BadDeviceName::Blank),
            ("pho\nne", BadDeviceName::Character),
            ("\u{1b}[2Jphone", BadDeviceName::Character),
            ("phone\0", BadDeviceName::Character),
            ("\u{202e}enohp", BadDeviceName::Character),
            ("pho\u{2028}ne", BadDeviceName::Character),
        ] {
            assert_eq!(name.parse::<DeviceName>(), Err(expected), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_reads_back_the_same(text in ".{0,80}") {
            if let Ok(name) = text.parse::<DeviceName>() {
                prop_assert_eq!(name.as_str(), &text);
                let json = serde_json::to_string(&name).unwrap();
                prop_assert_eq!(serde_json::from_str::<DeviceName>(&json).unwrap(), name);
            }
        }
    }
}
