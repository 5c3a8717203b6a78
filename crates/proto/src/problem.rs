//! Problem details for HTTP (RFC 9457): why a request is refused, as `application/problem+json`.

use serde_json::json;

/// The media type.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A problem. The last part of its type is its stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem<'a> {
    /// The first part of its type, for example `urn:countersign`.
    pub namespace: &'a str,
    /// Its stable code.
    pub code: &'a str,
    /// A description for people.
    pub title: &'a str,
    /// The HTTP status.
    pub status: u16,
}

impl Problem<'_> {
    /// The body: the same bytes each time.
    #[must_use]
    pub fn body(&self) -> String {
        json!({
            "type": format!("{}:{}", self.namespace, self.code),
            "title": self.title,
            "status": self.status,
            "code": self.code,
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_an_object_with_its_code_as_type() {
        let problem = Problem {
            namespace: "urn:countersign",
            code: "busy",
            title: "the site is busy; try again later",
            status: 503,
        };
        assert_eq!(
            problem.body(),
            r#"{"code":"busy","status":503,"title":"the site is busy; try again later","type":"urn:countersign:busy"}"#
        );
    }
}
