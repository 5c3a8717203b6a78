//! Fields of HTTP requests from any text: conditions, idempotency keys, access tokens, ids of events, and
//! the client that proxies name. What is read is written and read again as the same.

use countersign_core::access_tokens::AccessTokenSecret;
use countersign_core::engine::rest::{IdempotencyKey, IfMatch, bearer, if_match};
use countersign_core::sessions::EventId;
use countersign_net::proxies::Proxies;

use super::text;

pub(super) fn run(input: &[u8]) {
    let field = text(input);
    if let Ok(IfMatch::Tags(tags)) = if_match(field) {
        assert!(tags.len() <= 16 && tags.iter().all(|tag| !tag.contains(['"', ' '])));
        let written: Vec<String> = tags.iter().map(|tag| format!("\"{tag}\"")).collect();
        if !tags.is_empty() {
            assert_eq!(if_match(&written.join(" ,\t")), Ok(IfMatch::Tags(tags)));
        }
    }
    if let Ok(key) = IdempotencyKey::parse(field) {
        assert!((1..=255).contains(&field.len()) && !field.contains(char::is_whitespace));
        let longer = format!("{field}.");
        assert!(
            IdempotencyKey::parse(&longer).is_ok_and(|other| other.digest() != key.digest())
                || field.len() == 255
        );
    }
    if let Some(token) = bearer(field) {
        assert!(field.len() > "bearer".len() + token.len());
        assert_eq!(bearer(&format!("Bearer {token}")), Some(token));
        let _ = AccessTokenSecret::parse(token);
    }
    if let Ok(id) = field.parse::<EventId>() {
        assert_eq!(id.to_string(), field);
    }
    forwarded(input);
}

/// Lines of `X-Forwarded-For`.
fn forwarded(input: &[u8]) {
    let proxies = Proxies {
        addresses: vec!["127.0.0.1".parse().unwrap(), "2001:db8::2".parse().unwrap()],
        trust_forwarded: true,
    };
    if let Some(client) = proxies.client(input.split(|byte| *byte == b'\n').rev()) {
        assert!(!proxies.has(client));
        // What a proxy appends stands behind it.
        let longer = [input, b", 127.0.0.1\n\n[2001:db8::2]:443"].concat();
        let again = proxies.client(longer.split(|byte| *byte == b'\n').rev());
        assert_eq!(again, Some(client));
    }
}
