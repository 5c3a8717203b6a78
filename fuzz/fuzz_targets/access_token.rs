//! The text of an access token from any characters: a text that is read is written as the same, so that a token
//! has one spelling, and printing it shows nothing of it.

#![no_main]

use countersign_core::access_tokens::AccessTokenSecret;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(token) = AccessTokenSecret::parse(text) {
        assert_eq!(token.to_text().expose(), text);
        assert_eq!(format!("{token:?}"), "AccessTokenSecret(..)");
    }
});
