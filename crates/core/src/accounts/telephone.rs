//! Telephone numbers in one spelling.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::Trimmed;

/// The maximum number of digits, without an extension (ITU-T E.164).
const MAX_DIGITS: usize = 15;
/// The minimum number of digits: emergency and internal numbers are short.
const MIN_DIGITS: usize = 2;
/// The maximum number of digits of an extension.
const MAX_EXTENSION: usize = 7;
/// The maximum length of a number as people write it, in bytes.
const MAX_WRITTEN: usize = 100;

/// A telephone number of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Telephone {
    /// What the number is for, such as `work`: at most 40 characters.
    pub label: Trimmed<40>,
    /// The number.
    pub number: TelephoneNumber,
}

/// A telephone number: its digits, with a leading `+` if it has a country code, and `;ext=` with the digits of an
/// extension (RFC 3966). It is read as people write it, with spaces, hyphens, dots, slashes and parentheses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(inline)]
pub struct TelephoneNumber(String);

impl TelephoneNumber {
    /// The number in its one spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TelephoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<TelephoneNumber> for String {
    fn from(number: TelephoneNumber) -> Self {
        number.0
    }
}

impl TryFrom<String> for TelephoneNumber {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let problem = || {
            format!(
                "it is not a telephone number; write {MIN_DIGITS} to {MAX_DIGITS} digits, such as `+49 30 1234567`, \
                and an extension as `;ext=12`"
            )
        };
        if written.len() > MAX_WRITTEN {
            return Err(problem());
        }
        let plain: String = written.trim().chars().map(plain).collect();
        let (number, extension) = split_extension(&plain);
        let (plus, rest) = match number.strip_prefix('+') {
            // `+49 (0)30` names both ways to dial: after a country code the 0 is not dialled.
            Some(rest) => ("+", rest.replacen("(0)", "", 1)),
            None => ("", number.to_owned()),
        };
        let number = digits(&rest, MIN_DIGITS..=MAX_DIGITS).ok_or_else(problem)?;
        let mut canonical = format!("{plus}{number}");
        if let Some(extension) = extension {
            let extension = digits(extension, 1..=MAX_EXTENSION).ok_or_else(problem)?;
            canonical.push_str(";ext=");
            canonical.push_str(&extension);
        }
        Ok(Self(canonical))
    }
}

/// The ASCII form of a character of a telephone number: digits of other scripts, full-width forms and the hyphens and
/// spaces of typography. Letters become lower case.
fn plain(character: char) -> char {
    let code = u32::from(character);
    // The first digit of Arabic-Indic, Persian and full-width digits.
    for zero in [0x660, 0x6f0, 0xff10] {
        if let Some(digit) = code.checked_sub(zero).filter(|digit| *digit < 10) {
            return char::from_digit(digit, 10).unwrap_or(character);
        }
    }
    match character {
        '\u{ff0b}' => '+',
        '\u{ff08}' => '(',
        '\u{ff09}' => ')',
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}' => '-',
        // A control character is not white space of a number.
        _ if character.is_whitespace() && !character.is_control() => ' ',
        _ => character.to_ascii_lowercase(),
    }
}

/// Splits a number at the first word for an extension.
fn split_extension(number: &str) -> (&str, Option<&str>) {
    for word in [";ext=", "ext.", "ext", "x"] {
        if let Some((number, extension)) = number.split_once(word) {
            return (number, Some(extension));
        }
    }
    (number, None)
}

/// The digits of a part without its separators (RFC 3966, section 5.1.1, with space and slash).
fn digits(part: &str, count: std::ops::RangeInclusive<usize>) -> Option<String> {
    let is_separator = |character| matches!(character, ' ' | '-' | '.' | '/' | '(' | ')');
    let digits: String = part
        .chars()
        .filter(|character| !is_separator(*character))
        .collect();
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && count.contains(&digits.len())).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(written: &str) -> Option<String> {
        TelephoneNumber::try_from(written.to_owned())
            .ok()
            .map(String::from)
    }

    #[test]
    fn a_number_as_people_write_it_has_one_spelling() {
        for (written, canonical) in [
            ("+49 30 1234567", "+49301234567"),
            ("+49 (0)30/123-4567", "+49301234567"),
            ("(212) 555-0123", "2125550123"),
            ("03.12.34.56.78", "0312345678"),
            (" 112 ", "112"),
            ("+1 212 555 0123 ext. 42", "+12125550123;ext=42"),
            ("+12125550123x7", "+12125550123;ext=7"),
            (
                "\u{ff0b}\u{ff18}\u{ff11}\u{ff0d}\u{ff13}\u{ff10}\u{3000}12",
                "+813012",
            ),
            ("\u{660}\u{661}\u{662} \u{6f3}", "0123"),
            ("+44\u{a0}20\u{2011}7946", "+44207946"),
        ] {
            assert_eq!(read(written).as_deref(), Some(canonical), "{written}");
            assert_eq!(read(canonical).as_deref(), Some(canonical));
        }
    }

    #[test]
    fn other_texts_are_no_number() {
        for bad in [
            "",
            "+",
            "1",
            "call me",
            "+49+30",
            "12;ext=",
            "12;ext=12345678",
            "12x3x4",
            "1234567890123456",
            "12\r\n34",
            "12\u{202e}34",
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        assert!(read("123456789012345").is_some());
        assert_eq!(read(&" ".repeat(101)), None);
    }
}
