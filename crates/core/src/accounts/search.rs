//! The search for accounts: one rule for every store.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Account;
use crate::text::Line;

/// The characters of a display name after which a word begins, besides its start.
pub const WORD_BREAKS: [char; 2] = [' ', '-'];

/// A text that finds accounts: those whose name, email address, or display name begins with it. In a
/// display name it is also found at the beginning of a word. Upper and lower case count as equal; the
/// empty text finds all accounts.
///
/// A store compares letter by letter ([`AccountSearch::letters`]), so that an index over the columns
/// suffices and nothing is stored twice.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(from = "Line<MAX_LENGTH>")]
#[schemars(inline)]
pub struct AccountSearch(String);

/// That of a display name, in bytes.
const MAX_LENGTH: usize = 200;

impl From<Line<MAX_LENGTH>> for AccountSearch {
    fn from(text: Line<MAX_LENGTH>) -> Self {
        Self(text.as_str().trim().to_owned())
    }
}

impl AccountSearch {
    /// The letters of the text, each with the forms that count as equal to it.
    pub fn letters(&self) -> impl Iterator<Item = Vec<char>> {
        self.0.chars().map(forms)
    }

    /// Returns whether the search finds the account.
    #[must_use]
    pub fn finds(&self, account: &Account) -> bool {
        let name = &account.full_name;
        let breaks = name.char_indices().filter(|(_, c)| WORD_BREAKS.contains(c));
        let words = breaks.filter_map(|(at, c)| name.get(at + c.len_utf8()..));
        self.begins(&account.name.to_string())
            || self.begins(&account.email)
            || self.begins(name)
            || words.into_iter().any(|word| self.begins(word))
    }

    fn begins(&self, text: &str) -> bool {
        let mut text = text.chars();
        let mut letters = self.letters();
        letters.all(|forms| text.next().is_some_and(|found| forms.contains(&found)))
    }
}

/// A letter, and its lower and its upper case if they are one letter.
fn forms(letter: char) -> Vec<char> {
    let mut forms = vec![letter];
    let mut add = |mut of: Box<dyn Iterator<Item = char>>| {
        if let (Some(form), None) = (of.next(), of.next())
            && !forms.contains(&form)
        {
            forms.push(form);
        }
    };
    add(Box::new(letter.to_lowercase()));
    add(Box::new(letter.to_uppercase()));
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_has_the_forms_that_are_one_letter() {
        assert_eq!(forms('m'), ['m', 'M']);
        assert_eq!(forms('É'), ['É', 'é']);
        // Upper case is two letters.
        assert_eq!(forms('ß'), ['ß']);
        assert_eq!(forms('*'), ['*']);
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
