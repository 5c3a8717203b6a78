//! The target of a request: its path and its query.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The maximum number of parameters in a query. The head of a request bounds their length.
const MAX_QUERY: usize = 128;

/// The query is not UTF-8, or has too many parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the query is not UTF-8, or has more than 128 parameters")]
pub struct BadQuery;

/// Returns the decoded segments of a path below the API's own; `None` if it is not in the form that the API
/// produces, so that each resource has one path. `.` and `..` are not removed: they are segments
/// that no resource has.
#[must_use]
pub fn segments(path: &str) -> Option<Vec<Cow<'_, str>>> {
    let path = path.strip_prefix('/')?;
    path.split('/')
        .map(|segment| {
            let is_plain = !matches!(segment, "" | "." | "..");
            let decoded = percent_decode_str(segment).decode_utf8().ok()?;
            let is_text = !decoded.chars().any(char::is_control);
            (is_plain && is_text).then_some(decoded)
        })
        .collect()
}

/// Returns the decoded parameters of a query, in their order.
///
/// # Errors
/// [`BadQuery`].
pub fn query(query: Option<&str>) -> Result<Vec<(String, String)>, BadQuery> {
    let mut pairs = Vec::new();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        // It replaces bytes that are not UTF-8.
        let replaced = [&name, &value].iter().any(|text| text.contains('\u{FFFD}'));
        if replaced || pairs.len() >= MAX_QUERY {
            return Err(BadQuery);
        }
        pairs.push((name.into_owned(), value.into_owned()));
    }
    Ok(pairs)
}

/// The decoded value of the first parameter of a query with this name, in which `+` means `+`. `None` also if it
/// is not UTF-8 or contains U+FFFD, which replaces such bytes.
#[must_use]
pub fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    form_value(&query?.replace('+', "%2B"), name)
}

/// The JSON in a parameter of a query. Some clients send `+` unencoded; others encode the query as a form, in
/// which `+` means a space (WHATWG URL, section 5.1). JSON has `+` only in strings and numbers, so only one of
/// the two readings is valid JSON. Text that is no JSON is returned as a form has it.
#[must_use]
pub fn json_parameter(query: Option<&str>, name: &str) -> Option<String> {
    let plain = parameter(query, name)?;
    match serde_json::from_str::<serde::de::IgnoredAny>(&plain) {
        Ok(_) => Some(plain),
        Err(_) => form_value(query?, name),
    }
}

fn form_value(form: &str, name: &str) -> Option<String> {
    let (_, value) = form_urlencoded::parse(form.as_bytes()).find(|(of, _)| of == name)?;
    (!value.contains(char::REPLACEMENT_CHARACTER)).then(|| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A consumer that encodes forms sends the spaces of indented JSON as `+`, which was refused as invalid
    /// JSON.
    #[test]
    fn json_that_is_encoded_as_a_form_may_have_spaces() {
        let read = |query| json_parameter(query, "authRequest");
        let indented = Some("authRequest=%7B+%22m%22+%3A+%22x%2By%22+%7D");
        assert_eq!(read(indented).as_deref(), Some(r#"{ "m" : "x+y" }"#));
        let plain = Some("authRequest=%7B%22m%22%3A%22x+y%22%7D");
        assert_eq!(read(plain).as_deref(), Some(r#"{"m":"x+y"}"#));
        assert_eq!(read(None), None);
    }

    #[test]
    fn a_parameter_is_decoded_and_a_plus_is_a_plus() {
        let query = Some("a=1&authRequest=%7B%22m%22%3A%22x%2By+z%22%7D&b=2");
        let asked = parameter(query, "authRequest");
        assert_eq!(asked.as_deref(), Some(r#"{"m":"x+y+z"}"#));
        assert_eq!(parameter(query, "c"), None);
        assert_eq!(parameter(None, "a"), None);
        assert_eq!(parameter(Some("a=%ff"), "a"), None);
    }

    #[test]
    fn a_path_has_one_form() {
        let read = |path| segments(path).map(|found| found.join("|"));
        assert_eq!(read("/persons").as_deref(), Some("persons"));
        let encoded = read("/persons/maria%40example.org/lock");
        assert_eq!(encoded.as_deref(), Some("persons|maria@example.org|lock"));
        assert_eq!(read("/apps/a%2Fb").as_deref(), Some("apps|a/b"));
        assert_eq!(read("/apps/%2e%2e").as_deref(), Some("apps|.."));
        for other in [
            "",
            "persons",
            "/",
            "/persons/",
            "//persons",
            "/persons//lock",
            "/persons/../site",
            "/./persons",
            "/persons/%ff",
            "/persons/a%00b",
            "/persons/a%0d%0ab",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn a_query_that_is_not_utf_8_or_is_too_long_is_refused() {
        let pairs = query(Some("a=1&b=x+y%2B&a=2&c")).unwrap();
        let expected = [("a", "1"), ("b", "x y+"), ("a", "2"), ("c", "")];
        assert_eq!(
            pairs,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert!(query(Some("a=%ff")).is_err());
        assert!(query(Some(&"a=1&".repeat(MAX_QUERY))).is_ok());
        assert!(query(Some(&"a=1&".repeat(MAX_QUERY + 1))).is_err());
    }
}
