//! Languages of people, as tags of BCP 47.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The maximum length of a tag, in bytes (RFC 5646, section 4.4.1).
const MAX_TAG: usize = 35;

/// A language tag such as `de`, `pt-BR` or `zh-Hant-TW`, in the letter case of RFC 5646, section 2.1.1. Its form is
/// checked, its words are not: the registry grows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(inline)]
pub struct LanguageTag(String);

impl LanguageTag {
    /// The tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for LanguageTag {
    type Error = String;

    fn try_from(tag: String) -> Result<Self, String> {
        let mut parts = tag.split('-');
        let first = parts.next().unwrap_or_default();
        let is_word =
            |part: &str| part.len() <= 8 && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let is_tag = tag.len() <= MAX_TAG
            && (2..=3).contains(&first.len())
            && first.bytes().all(|byte| byte.is_ascii_alphabetic())
            && parts.clone().all(|part| !part.is_empty() && is_word(part));
        if !is_tag {
            return Err("it is not a language tag, such as `de` or `pt-BR`".to_owned());
        }
        let mut canonical = first.to_ascii_lowercase();
        // What follows a single letter is an extension, whose words stay in lower case.
        let mut in_extension = false;
        for part in parts {
            canonical.push('-');
            in_extension |= part.len() == 1;
            canonical.push_str(&match (in_extension, part.len()) {
                (false, 2) => part.to_ascii_uppercase(),
                (false, 4) => titled(part),
                _ => part.to_ascii_lowercase(),
            });
        }
        Ok(Self(canonical))
    }
}

impl From<LanguageTag> for String {
    fn from(tag: LanguageTag) -> Self {
        tag.0
    }
}

fn titled(part: &str) -> String {
    let (first, rest) = part.split_at_checked(1).unwrap_or((part, ""));
    format!(
        "{}{}",
        first.to_ascii_uppercase(),
        rest.to_ascii_lowercase()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tag: &str) -> Option<String> {
        LanguageTag::try_from(tag.to_owned()).ok().map(String::from)
    }

    #[test]
    fn a_tag_has_one_letter_case() {
        for (given, tag) in [
            ("DE", "de"),
            ("pt-br", "pt-BR"),
            ("ZH-hant-tw", "zh-Hant-TW"),
            ("gsw", "gsw"),
            ("de-x-AB", "de-x-ab"),
            ("sl-ROZAJ-biske", "sl-rozaj-biske"),
        ] {
            assert_eq!(read(given).as_deref(), Some(tag));
        }
    }

    #[test]
    fn other_texts_are_no_tag() {
        for bad in [
            "",
            "d",
            "german",
            "de_DE",
            "de-",
            "-de",
            "de--DE",
            "12",
            "de-123456789",
            "dé",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        let longest = format!("de{}", "-12345678".repeat(3));
        assert!(read(&longest).is_some() && read(&format!("{longest}-12345678")).is_none());
    }
}
