//! The text of an access token from any characters: a text that is read is written as the same, so that a token
//! has one spelling, and printing it shows nothing of it.

use countersign_core::access_tokens::AccessTokenSecret;

use super::text;

pub(super) fn run(input: &[u8]) {
    let text = text(input);
    if let Ok(token) = AccessTokenSecret::parse(text) {
        assert_eq!(token.to_text().expose(), text);
        assert_eq!(format!("{token:?}"), "AccessTokenSecret(..)");
    }
}
