//! Pass phrases, prepared with the OpaqueString profile of PRECIS (RFC 8265, section 4.2), so that
//! the same text has the same bytes on every keyboard and operating system.
//!
//! Every pass phrase is prepared: non-ASCII spaces become U+0020, and the text is converted to
//! Unicode normalization form C. Characters that the profile disallows are rejected when a pass
//! phrase is set ([`Passphrase::check_new`]); at a login such a text matches no record.
//!
//! Two differences from RFC 8264: the character class uses the newest Unicode tables instead of
//! those of Unicode 6.3, and joiners (U+200C, U+200D) are allowed in every context. In WebAssembly
//! the tables are those of the JavaScript engine.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

#[cfg(target_arch = "wasm32")]
mod javascript_unicode;
#[cfg(not(target_arch = "wasm32"))]
mod native_unicode;

#[cfg(target_arch = "wasm32")]
use javascript_unicode::{composed, is_public_assigned};
#[cfg(not(target_arch = "wasm32"))]
use native_unicode::{composed, is_public_assigned};

/// A pass phrase, with which a person logs in or decrypts a key.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Passphrase(String);

/// Why a text cannot be set as a pass phrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPassphrase {
    /// It is empty.
    #[error("a pass phrase cannot be empty")]
    Empty,
    /// It contains a disallowed character.
    #[error(
        "character {position} of the pass phrase is {kind} (U+{code:04X}), which is not allowed; remove it"
    )]
    Character {
        /// The character's position, from 1.
        position: usize,
        /// A description of the character, with an article.
        kind: &'static str,
        /// The character's code point.
        code: u32,
    },
}

impl Passphrase {
    /// The minimum length of a new pass phrase in characters. A program that sets one enforces it;
    /// [`Passphrase::check_new`] does not.
    pub const MIN_CHARACTERS: usize = 12;

    /// The UTF-8 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The number of characters (Unicode scalar values).
    #[must_use]
    pub fn characters(&self) -> usize {
        self.0.chars().count()
    }

    /// Checks that this text may be set as a pass phrase.
    ///
    /// # Errors
    /// [`BadPassphrase`] if it is empty or contains a disallowed character.
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

/// Prepares the text (RFC 8265, section 4.2.2).
impl From<String> for Passphrase {
    fn from(mut text: String) -> Self {
        if text.is_ascii() {
            return Self(text);
        }
        let spaced = text.chars().map(|c| if is_space(c) { ' ' } else { c });
        let prepared = composed(spaced, text.len());
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

/// Why a character is disallowed.
fn refused(character: char) -> Option<&'static str> {
    if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
        Some("a control character")
    } else if is_invisible(character) {
        Some("an invisible character")
    } else if !is_public_assigned(character) {
        // The normalization of unassigned characters may change in later versions of Unicode.
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
    use unicode_normalization::UnicodeNormalization;

    use super::*;

    fn prepared(text: &str) -> Passphrase {
        Passphrase::from(text.to_owned())
    }

    /// Regression: a Mac and a PC produce different characters for the same text, so a person who
    /// had set a pass phrase on one could not log in on the other.
    // SES-70
    #[test]
    fn equivalent_texts_are_the_same_pass_phrase() {
        assert_eq!(prepared("Zoe\u{308} A\u{30a}"), prepared("Zo\u{eb} \u{c5}"));
        assert_eq!(prepared("a\u{a0}b\u{3000}c"), prepared("a b c"));
        assert_eq!(prepared("\u{1112}\u{1161}\u{11ab}"), prepared("\u{d55c}"));
        assert_eq!(prepared("\u{212b}").as_bytes(), "\u{c5}".as_bytes());
        // Case, compatibility characters and leading or trailing spaces are significant.
        for (one, other) in [("a", "A"), ("\u{fb01}", "fi"), (" a", "a"), ("a  b", "a b")] {
            assert_ne!(prepared(one), prepared(other));
        }
    }

    // SES-71
    #[test]
    fn disallowed_characters_are_rejected_when_a_pass_phrase_is_set() {
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
        fn preparation_is_idempotent(text: String) {
            let once = prepared(&text);
            let again = prepared(std::str::from_utf8(once.as_bytes()).unwrap());
            prop_assert_eq!(once.as_bytes(), again.as_bytes());
        }

        #[test]
        fn composed_and_decomposed_texts_are_the_same_pass_phrase(text: String) {
            let decomposed: String = text.nfd().collect();
            prop_assert_eq!(prepared(&text), prepared(&decomposed));
        }
    }
}
