//! Fields of HTTP requests from any text: conditions, what the client accepts, idempotency keys, access tokens,
//! ids of events, the client that proxies name, and parameters of a query. What is read is written and read
//! again as the same. An element that is appended to a list changes nothing about the others.

use countersign_core::access_tokens::AccessTokenSecret;
use countersign_core::engine::rest::{
    IdempotencyKey, IfMatch, accepts, bearer, if_match, if_none_match, json_parameter, parameter,
    query,
};
use countersign_core::sessions::EventId;
use countersign_server::Proxies;

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
    lists(field);
    parameters(field);
    forwarded(input);
}

/// Lines of `Accept`, `Accept-Encoding` and `If-None-Match`. The elements of a list have no order.
fn lists(field: &str) {
    let mut elements: Vec<&str> = field.split(',').collect();
    elements.reverse();
    let reversed = elements.join(",");
    for wanted in ["br", "text/event-stream"] {
        let is_named = accepts(field, wanted);
        let lower = field.to_ascii_lowercase();
        assert!(!is_named || lower.contains(wanted));
        assert_eq!(accepts(&lower, wanted), is_named);
        assert_eq!(accepts(&reversed, wanted), is_named);
        assert_eq!(accepts(&format!("{field},{wanted};q=0"), wanted), is_named);
        assert!(accepts(&format!("{field},\t{wanted} ; q=0.001"), wanted));
    }
    let tag = "\"e3b0c442\"";
    let is_known = if_none_match(field, tag);
    assert!(!is_known || field.contains(tag) || field.contains('*'));
    assert_eq!(if_none_match(&reversed, tag), is_known);
    assert_eq!(if_none_match(&format!("{field}, \"e3b0\""), tag), is_known);
    assert!(if_none_match(&format!("{field} ,W/{tag}"), tag));
}

/// Parameters of a query. A value that is read and encoded again is read as the same.
fn parameters(asked: &str) {
    let encoded = |value: &str| {
        let bytes = value.bytes().map(|byte| format!("%{byte:02X}"));
        format!("a={}&a=other", bytes.collect::<String>())
    };
    for read in [parameter, json_parameter] {
        let Some(value) = read(Some(asked), "a") else {
            continue;
        };
        assert!(!value.contains(char::REPLACEMENT_CHARACTER));
        let again = encoded(&value);
        assert_eq!(read(Some(&again), "a").as_ref(), Some(&value));
        assert_eq!(query(Some(&again)).unwrap()[0], ("a".to_owned(), value));
    }
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
