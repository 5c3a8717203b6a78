//! Pass phrases, prepared by the OpaqueString profile of PRECIS (RFC 8265, section 4.2), so that every keyboard
//! and every operating system gives the same bytes for the same text.
//!
//! Spaces of other scripts become U+0020, and the text is brought into Unicode normalization form C. That is done
//! for every pass phrase. What the profile refuses is refused where a pass phrase is set
//! ([`Passphrase::check_new`]); at a login such a text matches no record.
//!
//! The profile's character class is taken from the newest Unicode tables, not from those of Unicode 6.3 as
//! in RFC 8264, and joiners (U+200C, U+200D) are allowed without a look at their neighbours.

use std::fmt;

use subtle::ConstantTimeEq;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_public_assigned;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What a person types to log in or to open a key.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Passphrase(String);

/// A text that cannot be set as a pass phrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPassphrase {
    /// It is empty.
    #[error("a pass phrase cannot be empty")]
    Empty,
    /// It has a character that some keyboards and programs do not give.
    #[error(
        "character {position} of the pass phrase is {kind} (U+{code:04X}); a pass phrase cannot have one"
    )]
    Character {
        /// Which character, from 1.
        position: usize,
        /// What it is, with its article.
        kind: &'static str,
        /// Its code point.
        code: u32,
    },
}

impl Passphrase {
    /// The fewest characters of a new pass phrase, for a program that sets one: length is what makes
    /// guessing slow. [`Passphrase::check_new`] does not check it.
    pub const MIN_CHARACTERS: usize = 12;

    /// The UTF-8 bytes, for the function that stretches them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// How many characters it has (Unicode scalar values).
    #[must_use]
    pub fn characters(&self) -> usize {
        self.0.chars().count()
    }

    /// Checks a pass phrase that is to be set.
    ///
    /// # Errors
    /// [`BadPassphrase`] when it could not be typed again everywhere.
    pub fn check_new(&self) -> Result<(), BadPassphrase> {
        if self.0.is_empty() {
            return Err(BadPassphrase::Empty);
        }
        let mut kinds = self.0.chars().map(|c| (refused(c), u32::from(c))).zip(1..);
        match kinds.find_map(|((kind, code), position)| Some((kind?, code, position))) {
            Some((kind, code, position)) => Err(BadPassphrase::Character {
                position,
                kind,
                code,
            }),
            None => Ok(()),
        }
    }
}

/// Prepares the text: RFC 8265, section 4.2.2.
impl From<String> for Passphrase {
    fn from(mut text: String) -> Self {
        if text.is_ascii() {
            return Self(text);
        }
        // Form C has at most three times the bytes: the text is never moved, which would leave a copy behind.
        let mut prepared = String::with_capacity(3 * text.len());
        let spaced = text.chars().map(|c| if is_space(c) { ' ' } else { c });
        prepared.extend(spaced.nfc());
        text.zeroize();
        Self(prepared)
    }
}

impl PartialEq for Passphrase {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// General category Zs.
fn is_space(character: char) -> bool {
    matches!(
        character,
        ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

/// Why the character class refuses a character.
fn refused(character: char) -> Option<&'static str> {
    if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
        Some("a control character")
    } else if is_invisible(character) {
        Some("an invisible character")
    } else if !is_public_assigned(character) {
        // Normalization of what is assigned never changes; of the rest it may.
        Some("a character without a public meaning")
    } else {
        None
    }
}

/// `Default_Ignorable_Code_Point`, without the two joiners.
fn is_invisible(character: char) -> bool {
    matches!(
        u32::from(character),
        0xad | 0x34f
            | 0x61c
            | 0x115f..=0x1160
            | 0x17b4..=0x17b5
            | 0x180b..=0x180f
            | 0x200b
            | 0x200e..=0x200f
            | 0x202a..=0x202e
            | 0x2060..=0x206f
            | 0x3164
            | 0xfe00..=0xfe0f
            | 0xfeff
            | 0xffa0
            | 0xfff0..=0xfff8
            | 0x1bca0..=0x1bca3
            | 0x1d173..=0x1d17a
            | 0xe0000..=0xe0fff
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prepared(text: &str) -> Passphrase {
        Passphrase::from(text.to_owned())
    }

    /// One text is typed as different characters on a Mac and on a PC: a person who had set a pass phrase on one
    /// could not log in on the other.
    // SES-70
    #[test]
    fn one_text_is_one_pass_phrase_whatever_the_keyboard() {
        assert_eq!(prepared("Zoe\u{308} A\u{30a}"), prepared("Zo\u{eb} \u{c5}"));
        assert_eq!(prepared("a\u{a0}b\u{3000}c"), prepared("a b c"));
        assert_eq!(prepared("\u{1112}\u{1161}\u{11ab}"), prepared("\u{d55c}"));
        assert_eq!(prepared("\u{212b}").as_bytes(), "\u{c5}".as_bytes());
        // Case, compatibility characters and spaces at the ends count.
        for (one, other) in [("a", "A"), ("\u{fb01}", "fi"), (" a", "a"), ("a  b", "a b")] {
            assert_ne!(prepared(one), prepared(other));
        }
    }

    // SES-71
    #[test]
    fn what_cannot_be_typed_again_is_refused_when_it_is_set() {
        for text in [
            "correct horse",
            "Zoe\u{308}",
            "🙂 山田 \u{627}\u{200c}\u{628}",
            "p?;'",
        ] {
            assert_eq!(prepared(text).check_new(), Ok(()), "{text}");
        }
        assert_eq!(prepared("").check_new(), Err(BadPassphrase::Empty));
        for (text, named) in [
            (
                "a\rb",
                "character 2 of the pass phrase is a control character (U+000D)",
            ),
            ("ab\0", "U+0000"),
            (
                "\u{feff}a",
                "character 1 of the pass phrase is an invisible character",
            ),
            ("a\u{2028}", "a control character"),
            ("\u{378}", "a character without a public meaning (U+0378)"),
            ("\u{e000}", "without a public meaning"),
        ] {
            let refused = prepared(text).check_new().unwrap_err().to_string();
            assert!(refused.contains(named), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn what_is_prepared_stays_as_it_is(text: String) {
            let once = prepared(&text);
            let again = prepared(std::str::from_utf8(once.as_bytes()).unwrap());
            prop_assert_eq!(once.as_bytes(), again.as_bytes());
        }

        #[test]
        fn composed_and_decomposed_text_is_one_pass_phrase(text: String) {
            let decomposed: String = text.nfd().collect();
            prop_assert_eq!(prepared(&text), prepared(&decomposed));
        }
    }
}
