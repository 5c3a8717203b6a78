//! Conditional requests (RFC 9110, section 13). The result of an operation has the
//! [entity tag](countersign_core::entity_tag) of its object.

use std::fmt;

use countersign_core::engine::rest::{self, IfMatch};
use hyper::header::{HeaderMap, IF_MATCH};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::super::problem::Problem;
use super::request::single;

/// The condition in `If-Match`, if there is one. A condition that the operation does not check is refused.
pub(super) fn if_match(headers: &HeaderMap, is_revised: bool) -> Result<Option<IfMatch>, Problem> {
    let Some(field) = single(headers, &IF_MATCH)? else {
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

/// A field of a result.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Field {
    Etag,
    #[serde(other)]
    Other,
}

/// Finds the entity tag of an object.
struct Tag<'t>(&'t mut Option<String>);

impl<'de> Visitor<'de> for Tag<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(field) = fields.next_key()? {
            match field {
                Field::Etag => {
                    *self.0 = Some(fields.next_value()?);
                    break;
                }
                Field::Other => fields.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(())
    }
}

/// The entity tag of a result that has one, with its quotes. What comes after it is not read.
pub(super) fn entity_tag(data: &str) -> Option<String> {
    let mut etag = None;
    // An error after the tag says that more comes.
    let mut json = serde_json::Deserializer::from_str(data);
    let _ = json.deserialize_map(Tag(&mut etag));
    let etag = etag.filter(|etag| !etag.contains('"'))?;
    Some(["\"", &etag, "\""].concat())
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
        for tagged in [
            r#"{"name":"a","etag":"a-3","more":[{}]}"#,
            r#"{"name":{"etag":"b"},"etag":"a-3"}"#,
            r#"{ "etag": "a-3", "etag": 1 }"#,
        ] {
            let tag = entity_tag(tagged);
            assert_eq!(tag.as_deref(), Some("\"a-3\""), "{tagged}");
        }
        for none in [
            r#"{"etag":3}"#,
            r#"{"etag":"a\"-3"}"#,
            r#"{"name":3}"#,
            r#"["a-3"]"#,
            r#"{"more":{"etag":"a-3"}}"#,
            "null",
        ] {
            assert_eq!(entity_tag(none), None, "{none}");
        }
    }
}
