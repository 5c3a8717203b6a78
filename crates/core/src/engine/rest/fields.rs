//! Fields in the head of a request: conditions (RFC 9110, section 13), what the client accepts (section 12.5),
//! idempotency keys and access tokens (RFC 6750).

use countersign_crypto::hash::sha256;

/// The maximum number of entity tags in one field.
const MAX_TAGS: usize = 16;
/// The maximum length of an idempotency key, in characters.
const MAX_KEY: usize = 255;

/// A field is not in its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadField {
    /// `If-Match` is not a list of entity tags.
    #[error("the field if-match is not a list of at most 16 entity tags")]
    IfMatch,
    /// The idempotency key has other characters, or too many.
    #[error("the key is not 1 to 255 visible ASCII characters")]
    IdempotencyKey,
}

/// The precondition of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// The object may have any entity tag.
    Any,
    /// The object must have one of these strong entity tags, which are without their quotes.
    Tags(Vec<String>),
}

/// Reads `If-Match`. A weak tag never matches (RFC 9110, section 13.1.1).
///
/// # Errors
/// [`BadField::IfMatch`].
pub fn if_match(field: &str) -> Result<IfMatch, BadField> {
    if field.trim_matches(is_space) == "*" {
        return Ok(IfMatch::Any);
    }
    let mut rest = field;
    let mut strong = Vec::new();
    for _ in 0..MAX_TAGS {
        let (tag, is_weak, after) = entity_tag(rest.trim_start_matches(is_space))?;
        if !is_weak {
            strong.push(tag.to_owned());
        }
        let after = after.trim_start_matches(is_space);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(IfMatch::Tags(strong)),
            None => return Err(BadField::IfMatch),
        }
    }
    Err(BadField::IfMatch)
}

/// The entity tag at the beginning of a text without its quotes, whether it is weak, and what follows
/// (RFC 9110, section 8.8.3).
fn entity_tag(text: &str) -> Result<(&str, bool, &str), BadField> {
    let (is_weak, text) = match text.strip_prefix("W/") {
        Some(text) => (true, text),
        None => (false, text),
    };
    let quoted = text.strip_prefix('"').ok_or(BadField::IfMatch)?;
    let (tag, after) = quoted.split_once('"').ok_or(BadField::IfMatch)?;
    match tag.bytes().all(|byte| byte > b' ' && byte != 0x7f) {
        true => Ok((tag, is_weak, after)),
        false => Err(BadField::IfMatch),
    }
}

/// Whether a line of `If-None-Match` names this entity tag, in its quotes, or any. A weak tag names the strong
/// one too (RFC 9110, section 13.1.2).
#[must_use]
pub fn if_none_match(field: &str, tag: &str) -> bool {
    let mut known = field.split(',').map(|known| known.trim_matches(is_space));
    known.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// Whether a line of `Accept` or `Accept-Encoding` names this media type or content coding with a weight above 0
/// (RFC 9110, section 12.4.2). A wildcard does not name it. A weight in another form counts as 0.
#[must_use]
pub fn accepts(field: &str, wanted: &str) -> bool {
    field.split(',').any(|element| {
        let mut parts = element.split(';').map(|part| part.trim_matches(is_space));
        let is_named = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case(wanted));
        is_named && parts.all(|part| weight(part).is_none_or(is_above_zero))
    })
}

/// The weight that a parameter has; `None` if it is another parameter.
fn weight(parameter: &str) -> Option<&str> {
    let (name, weight) = parameter.split_once('=')?;
    name.eq_ignore_ascii_case("q").then_some(weight)
}

/// Whether a weight is one of 0.001 to 1.
fn is_above_zero(weight: &str) -> bool {
    let (whole, decimals) = weight.split_once('.').unwrap_or((weight, ""));
    let are_digits = decimals.len() <= 3 && decimals.bytes().all(|digit| digit.is_ascii_digit());
    let is_zero = decimals.bytes().all(|digit| digit == b'0');
    are_digits && matches!((whole, is_zero), ("1", true) | ("0", false))
}

/// The white space that may stand around the entries of a list (RFC 9110, section 5.6.3).
fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t')
}

/// The key of a request that is carried out once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyKey<'a>(&'a str);

impl<'a> IdempotencyKey<'a> {
    /// Reads the field `Idempotency-Key`.
    ///
    /// # Errors
    /// [`BadField::IdempotencyKey`] if it is not 1 to 255 visible ASCII characters.
    pub fn parse(field: &'a str) -> Result<Self, BadField> {
        let is_plain = field.bytes().all(|byte| byte.is_ascii_graphic());
        match is_plain && (1..=MAX_KEY).contains(&field.len()) {
            true => Ok(Self(field)),
            false => Err(BadField::IdempotencyKey),
        }
    }

    /// SHA-256 of the key, under which the request is stored.
    #[must_use]
    pub fn digest(self) -> [u8; 32] {
        sha256(self.0.as_bytes())
    }
}

/// The token in the field `Authorization` of the scheme `Bearer` (RFC 6750, section 2.1); `None` if the
/// scheme is another one.
#[must_use]
pub fn bearer(field: &str) -> Option<&str> {
    let (scheme, token) = field.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_matches(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tags that a field names.
    fn named(field: &str) -> Vec<String> {
        match if_match(field) {
            Ok(IfMatch::Tags(tags)) => tags,
            other => panic!("{field}: {other:?}"),
        }
    }

    #[test]
    fn if_match_names_entity_tags() {
        assert_eq!(if_match(" *\t"), Ok(IfMatch::Any));
        assert_eq!(named("\"a-7\", \"a-8\""), ["a-7", "a-8"]);
        assert_eq!(named("W/\"a-7\""), [""; 0]);
        assert_eq!(named("\"\""), [""]);
        for wrong in [
            "7",
            "",
            "\"7",
            "\"7\" \"8\" x",
            "\"1\",,\"2\"",
            "\"1\",",
            "\"1\"2\"",
            "\"a b\"",
        ] {
            assert_eq!(if_match(wrong), Err(BadField::IfMatch), "{wrong}");
        }
        let tags = |count| vec!["\"a\""; count].join(",");
        assert_eq!(named(&tags(MAX_TAGS)).len(), MAX_TAGS);
        assert!(if_match(&tags(MAX_TAGS + 1)).is_err());
    }

    /// A tag of another server may contain a comma. The list was divided there, and the request refused as
    /// malformed instead of not matching.
    #[test]
    fn an_entity_tag_may_contain_a_comma() {
        assert_eq!(named("\"a,b\", W/\"c,\", \"d\""), ["a,b", "d"]);
    }

    #[test]
    fn if_none_match_names_an_entity_tag() {
        for known in ["\"a\"", "W/\"a\"", "\"b\" ,\tW/\"a\"", "*", "\"b\", *"] {
            assert!(if_none_match(known, "\"a\""), "{known}");
        }
        for other in [
            "", "a", "\"b\"", "w/\"a\"", "W/ \"a\"", "\"A\"", "\"a", "**",
        ] {
            assert!(!if_none_match(other, "\"a\""), "{other}");
        }
    }

    /// `Q=0` was no weight, and the weights `nan` and `-1` were above 0.
    #[test]
    fn what_a_client_accepts_has_a_weight_above_zero() {
        for field in [
            "br",
            "gzip, BR",
            "br;q=1",
            "br ; Q=0.001",
            "br;q=0, br;q=1.000",
            "br;level=1;q=0.5",
            "br;q=1.",
        ] {
            assert!(accepts(field, "br"), "{field}");
        }
        for field in [
            "",
            "*",
            "brotli",
            "br;q=0",
            "br; Q=0.000",
            "br;q=0.",
            "br;q=",
            "br;q=nan",
            "br;q=-1",
            "br;q=2",
            "br;q=1.001",
            "br;q=0.0001",
            "br;q=1e9",
            "br;q=0;q=1",
            "b r",
        ] {
            assert!(!accepts(field, "br"), "{field}");
        }
    }

    #[test]
    fn an_idempotency_key_is_visible_and_not_too_long() {
        assert!(IdempotencyKey::parse(&"k".repeat(MAX_KEY)).is_ok());
        for wrong in ["", "a b", "a\u{7f}", "é", &"k".repeat(MAX_KEY + 1)] {
            let read = IdempotencyKey::parse(wrong);
            assert_eq!(read, Err(BadField::IdempotencyKey), "{wrong}");
        }
        let digest = |key| IdempotencyKey::parse(key).unwrap().digest();
        assert_ne!(digest("a"), digest("b"));
    }

    #[test]
    fn a_token_has_the_scheme_bearer() {
        assert_eq!(bearer("Bearer cst_1"), Some("cst_1"));
        assert_eq!(bearer("bearer  cst_1"), Some("cst_1"));
        for other in ["cst_1", "Basic cst_1", "Bearercst_1", ""] {
            assert_eq!(bearer(other), None, "{other}");
        }
    }
}
