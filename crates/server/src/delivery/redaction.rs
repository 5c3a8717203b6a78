//! Removes secrets from what a server replied, before it is logged and stored.

use std::cmp::Reverse;

use countersign_crypto::secret::Passphrase;
use data_encoding::BASE64;

/// The shortest word of a secret that is removed alone. Shorter words are in every text.
const MIN_WORD_BYTES: usize = 4;

/// What stands in the place of a secret.
const REMOVED: &str = "[secret]";

/// The text without the secret, in the forms in which it was sent: as it is, in Base64, and after a user
/// name in Base64 (SASL PLAIN, RFC 4616). Each word of the secret is removed too, such as the token after
/// `Bearer`: a server that repeats it may leave out the other words.
pub(super) fn without(text: &str, user: &str, secret: &Passphrase) -> String {
    let plain = String::from_utf8_lossy(secret.as_bytes());
    if plain.is_empty() {
        return text.to_owned();
    }
    let forms = [
        BASE64.encode(format!("\0{user}\0{plain}").as_bytes()),
        BASE64.encode(plain.as_bytes()),
    ];
    let words = plain.split_whitespace();
    let mut words: Vec<&str> = words.filter(|word| word.len() >= MIN_WORD_BYTES).collect();
    // A word may contain a shorter one, whose removal would leave the rest.
    words.sort_by_key(|word| Reverse(word.len()));
    let forms = forms.iter().map(String::as_str).chain([&*plain]);
    forms
        .chain(words)
        .fold(text.to_owned(), |text, form| text.replace(form, REMOVED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_removed_in_each_form() {
        let secret = Passphrase::from("open sesame".to_owned());
        for echoed in [
            "bad password: open sesame",
            "AUTH PLAIN AGFsaQBvcGVuIHNlc2FtZQ==",
            "got b3BlbiBzZXNhbWU=",
            "the word is sesame",
        ] {
            let shown = without(echoed, "ali", &secret);
            assert!(shown.ends_with(REMOVED), "{shown}");
        }
        let none = Passphrase::from(String::new());
        assert_eq!(without("as it was", "ali", &none), "as it was");
    }
}
