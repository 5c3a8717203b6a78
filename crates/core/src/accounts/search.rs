//! The search for accounts: one rule for every store.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;
use unicode_normalization::UnicodeNormalization;

use super::Account;
use crate::text::Line;

/// The characters of a full name after which a word begins, besides its start.
const WORD_BREAKS: [char; 2] = [' ', '-'];

/// A text that finds accounts: those whose name, email address, or full name begins with it. In a
/// full name it is also found at the beginning of a word. Upper and lower case count as equal, and
/// so do the forms in which Unicode writes one character; the empty text finds all accounts.
///
/// A store keeps the [words](search_words) of an account in an index, and finds those that begin with
/// [`AccountSearch::beginning`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(from = "Line<MAX_LENGTH>")]
#[schemars(inline)]
pub struct AccountSearch(
    /// Folded.
    String,
);

/// That of a full name, in bytes.
const MAX_LENGTH: usize = 200;

impl From<Line<MAX_LENGTH>> for AccountSearch {
    fn from(text: Line<MAX_LENGTH>) -> Self {
        Self(folded(text.as_str().trim()))
    }
}

impl AccountSearch {
    /// The text with which a word begins that the search finds. Such a word sorts, byte by byte, from
    /// this text on and before the same text with [`char::MAX`] after it.
    #[must_use]
    pub fn beginning(&self) -> &str {
        &self.0
    }

    /// Returns whether the search finds the account.
    #[must_use]
    pub fn finds(&self, account: &Account) -> bool {
        let name = account.name.to_string();
        let words = search_words(&name, &account.full_name, &account.email);
        words.iter().any(|word| word.starts_with(&self.0))
    }
}

/// The texts of an account that a search compares: its name, its email address, and its full name
/// from the beginning of each word on. They are in normalization form C and in one case, and none has
/// [`char::MAX`].
#[must_use]
pub fn search_words(name: &str, full_name: &str, email: &str) -> BTreeSet<String> {
    let full_name = folded(full_name);
    let breaks = full_name.char_indices();
    let breaks = breaks.filter(|(_, character)| WORD_BREAKS.contains(character));
    let words = breaks.filter_map(|(at, character)| full_name.get(at + character.len_utf8()..));
    let words = words.map(str::to_owned);
    let mut words: BTreeSet<_> = words.chain([folded(name), folded(email)]).collect();
    words.insert(full_name);
    // The name of an account is never empty, so an account has a word.
    words.remove("");
    words
}

fn folded(text: &str) -> String {
    text.nfc().map(one_case).collect()
}

/// The lower case of the upper case of a letter, as far as each is one letter: `ς` and `σ` become one.
/// `char::MAX` is no character of a text.
fn one_case(letter: char) -> char {
    if letter == char::MAX {
        return char::REPLACEMENT_CHARACTER;
    }
    let upper = only(letter.to_uppercase()).unwrap_or(letter);
    only(upper.to_lowercase()).unwrap_or(upper)
}

fn only(mut letters: impl Iterator<Item = char>) -> Option<char> {
    letters.next().filter(|_| letters.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_differ_in_case_alone_become_one() {
        assert_eq!(folded("Émile ÉMILE émile"), "émile émile émile");
        assert_eq!(folded("ΣΑΣ σας"), "σασ σασ");
        // Upper case is two letters. The capital letter has one that is lower case.
        assert_eq!(folded("ßẞ"), "ßß");
        assert_eq!(folded("*[?\u{10ffff}"), "*[?\u{fffd}");
    }

    /// A name from a file of another machine can have a letter and its accent as two characters. A
    /// search for the same name from a keyboard did not find it.
    #[test]
    fn one_character_in_two_forms_is_one() {
        assert_eq!(folded("E\u{301}mile"), folded("\u{e9}mile"));
    }

    #[test]
    fn each_word_of_a_display_name_begins_a_text() {
        let words = search_words("maria@local", "Anna-Maria  Lind", "");
        let expected = [
            "anna-maria  lind",
            "maria  lind",
            " lind",
            "lind",
            "maria@local",
        ];
        assert_eq!(words, expected.map(str::to_owned).into());
    }

    #[test]
    fn a_text_that_is_too_long_is_refused() {
        let read = |length| {
            let text = serde_json::Value::from("a".repeat(length));
            serde_json::from_value::<AccountSearch>(text)
        };
        assert!(read(MAX_LENGTH).is_ok() && read(MAX_LENGTH + 1).is_err());
    }
}
