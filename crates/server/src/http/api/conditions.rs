//! Conditional requests (RFC 9110, section 13). The result of an operation has the
//! [entity tag](countersign_core::entity_tag) of its object.

use countersign_core::engine::rest::{self, IfMatch};
use hyper::header::HeaderMap;
use serde::Deserialize;

use super::super::problem::Problem;
use super::request::single;

/// The condition in `If-Match`, if there is one. A condition that the operation does not check is refused.
pub(super) fn if_match(headers: &HeaderMap, is_revised: bool) -> Result<Option<IfMatch>, Problem> {
    let Some(field) = single(headers, "if-match")? else {
        return Ok(None);
    };
    if !is_revised {
        let problem = "this operation changes nothing that has a revision, so if-match cannot be checked; send the request without it";
        return Err(Problem::bad_request(problem, "if-match"));
    }
    let condition = rest::if_match(field);
    condition
        .map(Some)
        .map_err(|error| Problem::bad_request(error.to_string(), "if-match"))
}

/// The part of a result that is its entity tag.
#[derive(Deserialize)]
struct Tagged {
    etag: String,
}

/// The entity tag of a result that has one, with its quotes. The rest of the result is not read into
/// memory: it may be a long list.
pub(super) fn entity_tag(data: &str) -> Option<String> {
    // The first field of a list would be read as the tag.
    let Tagged { etag } = data
        .starts_with('{')
        .then(|| serde_json::from_str(data).ok())??;
    (!etag.contains('"')).then(|| format!("\"{etag}\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn read(fields: &[&'static str]) -> Result<Option<IfMatch>, Problem> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append("if-match", HeaderValue::from_static(field));
        }
        if_match(&headers, true)
    }

    #[test]
    fn if_match_is_given_at_most_once() {
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&["*"]).unwrap(), Some(IfMatch::Any));
        let one = IfMatch::Tags(vec!["a-7".to_owned()]);
        assert_eq!(read(&["\"a-7\""]).unwrap(), Some(one));
        assert!(read(&["7"]).is_err());
        assert!(read(&["\"1\"", "\"2\""]).is_err());
    }

    #[test]
    fn a_result_has_the_entity_tag_in_its_first_object() {
        let tag = entity_tag(r#"{"name":"a","etag":"a-3","more":[{}]}"#);
        assert_eq!(tag.as_deref(), Some("\"a-3\""));
        for none in [
            r#"{"etag":3}"#,
            r#"{"etag":"a\"-3"}"#,
            r#"{"name":3}"#,
            r#"["a-3"]"#,
            "null",
        ] {
            assert_eq!(entity_tag(none), None, "{none}");
        }
    }
}
