//! Conditional requests (RFC 9110, section 13): the entity tag of a resource is its revision.

use hyper::header::HeaderMap;
use serde::Deserialize;

use super::super::problem::Problem;
use super::request::single;

/// The maximum number of entity tags in one field.
const MAX_TAGS: usize = 16;

/// The revisions that `If-Match` names; `None` if any will do. A tag that this site never gives
/// matches no revision. A condition that the operation does not check is refused.
pub(super) fn if_match(headers: &HeaderMap, is_revised: bool) -> Result<Option<Vec<u64>>, Problem> {
    let Some(field) = single(headers, "if-match")? else {
        return Ok(None);
    };
    if !is_revised {
        let problem = "this operation changes nothing that has a revision, so if-match cannot be checked; send the request without it";
        return Err(Problem::bad_request(problem, "if-match"));
    }
    if field.trim() == "*" {
        return Ok(None);
    }
    let tags: Vec<&str> = field.split(',').map(str::trim).collect();
    let is_tag = |tag: &&str| {
        let strong = tag.strip_prefix("W/").unwrap_or(tag);
        strong.len() >= 2 && strong.starts_with('"') && strong.ends_with('"')
    };
    if tags.len() > MAX_TAGS || !tags.iter().all(is_tag) {
        let problem = "the field if-match is not a list of at most 16 entity tags";
        return Err(Problem::bad_request(problem, "if-match"));
    }
    // A weak tag never matches (RFC 9110, section 13.1.1).
    let revisions = tags.iter().filter_map(|tag| {
        let digits = tag.strip_prefix('"')?.strip_suffix('"')?;
        let is_own = digits.bytes().all(|byte| byte.is_ascii_digit());
        is_own.then(|| digits.parse().ok()).flatten()
    });
    Ok(Some(revisions.collect()))
}

/// The part of a result that is its entity tag.
#[derive(Deserialize)]
struct Revised {
    revision: u64,
}

/// The entity tag of a result that has a revision. The rest of the result is not read into memory: it may
/// be a long list.
pub(super) fn entity_tag(data: &str) -> Option<String> {
    // The first field of a list would be read as the revision.
    let Revised { revision } = data
        .starts_with('{')
        .then(|| serde_json::from_str(data).ok())??;
    Some(format!("\"{revision}\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn read(fields: &[&'static str]) -> Result<Option<Vec<u64>>, Problem> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append("if-match", HeaderValue::from_static(field));
        }
        if_match(&headers, true)
    }

    #[test]
    fn if_match_names_revisions() {
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&["*"]).unwrap(), None);
        assert_eq!(read(&["\"7\", \"8\""]).unwrap(), Some(vec![7, 8]));
        let never = [
            "W/\"7\"",
            "\"\"",
            "\"+7\"",
            "\"x\"",
            "\"18446744073709551616\"",
        ];
        for tag in never {
            let read = read(&[tag]).unwrap();
            assert!(read.is_some_and(|list| list.is_empty()), "{tag}");
        }
        for wrong in ["7", "", "\"7", "\"7\" \"8\" x", "\"1\",,\"2\""] {
            assert!(read(&[wrong]).is_err(), "{wrong}");
        }
        assert!(read(&["\"1\"", "\"2\""]).is_err());
        let tag = entity_tag(r#"{"name":"a","revision":3,"more":[{}]}"#);
        assert_eq!(tag.as_deref(), Some("\"3\""));
        for none in [r#"{"revision":"3"}"#, r#"{"name":3}"#, "[3]", "null"] {
            assert_eq!(entity_tag(none), None, "{none}");
        }
    }
}
