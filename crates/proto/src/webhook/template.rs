//! The body of a request: a template with placeholders.

use std::fmt::Write;

use serde::Deserialize;

use crate::json;
use crate::template::{Template, TemplateError};

/// The greatest length of a template, in bytes.
pub const MAX_TEMPLATE_BYTES: usize = 4 * 1024;
/// The placeholders, which a template writes between `{{` and `}}`.
const NAMES: &[&str] = &["to", "text", "subject", "severity", "name", "site", "id"];

/// How values are written into a body. It also decides the `Content-Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BodyFormat {
    /// JSON (RFC 8259). The template puts each placeholder between quotation marks.
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// Plain text in UTF-8. Values are written as they are.
    Text,
}

impl BodyFormat {
    /// The value of `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
            Self::Text => "text/plain; charset=utf-8",
        }
    }

    /// The template that is used without another one.
    #[must_use]
    pub const fn usual_template(self) -> &'static str {
        match self {
            Self::Json => {
                r#"{"to":"{{to}}","text":"{{text}}","severity":"{{severity}}","id":"{{id}}"}"#
            }
            Self::Form => "to={{to}}&text={{text}}",
            Self::Text => "{{text}}",
        }
    }

    fn write(self, body: &mut String, value: &str) {
        match self {
            Self::Json => json(body, value),
            Self::Form => percent(body, value),
            Self::Text => body.push_str(value),
        }
    }
}

/// What a request says. A value that a template does not name is not sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Values<'a> {
    /// Where the text goes, such as a telephone number: `text_to` of the person's preferences.
    pub to: &'a str,
    /// The text: one line of at most 160 characters.
    pub text: &'a str,
    /// The text as the subject of an e-mail, at most 120 characters.
    pub subject: &'a str,
    /// The highest severity: `info`, `warning` or `critical`.
    pub severity: &'a str,
    /// The account name of the person.
    pub name: &'a str,
    /// The zone of the site.
    pub site: &'a str,
    /// The id of the request.
    pub id: &'a str,
}

impl Values<'_> {
    fn of(&self, name: &str) -> &str {
        match name {
            "to" => self.to,
            "text" => self.text,
            "subject" => self.subject,
            "severity" => self.severity,
            "name" => self.name,
            "site" => self.site,
            _ => self.id,
        }
    }
}

/// A template that has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyTemplate {
    format: BodyFormat,
    template: Template,
}

/// The template is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    /// The template is too long.
    #[error("the template has {0} bytes; at most {MAX_TEMPLATE_BYTES} are allowed")]
    TooLong(usize),
    /// A placeholder is unknown or does not end.
    #[error(transparent)]
    Placeholder(#[from] TemplateError),
    /// The recipient or the text would not be sent.
    #[error("the template has no placeholder `text`, so a message would say nothing")]
    NoText,
    /// The filled template is not JSON.
    #[error(
        "the filled template is not JSON ({0}); put each placeholder between quotation marks, \
         or set `body_format`"
    )]
    NotJson(String),
}

impl BodyTemplate {
    /// Parses a template.
    ///
    /// # Errors
    /// [`BadTemplate`].
    pub fn parse(format: BodyFormat, text: &str) -> Result<Self, BadTemplate> {
        if text.len() > MAX_TEMPLATE_BYTES {
            return Err(BadTemplate::TooLong(text.len()));
        }
        let template = Template::parse(text, NAMES)?;
        let template = Self { format, template };
        if !template.template.names("text") {
            return Err(BadTemplate::NoText);
        }
        if format == BodyFormat::Json {
            template.check_json()?;
        }
        Ok(template)
    }

    /// A value in a place where JSON has no text, such as a number, would break out of it.
    fn check_json(&self) -> Result<(), BadTemplate> {
        for sample in ["", "1", "a\"},"] {
            let values = Values {
                to: sample,
                text: sample,
                subject: sample,
                severity: sample,
                name: sample,
                site: sample,
                id: sample,
            };
            json::read::<serde::de::IgnoredAny>(self.fill(&values).as_bytes())
                .map_err(|error| BadTemplate::NotJson(error.to_string()))?;
        }
        Ok(())
    }

    /// The `Content-Type` of the body.
    #[must_use]
    pub const fn content_type(&self) -> &'static str {
        self.format.content_type()
    }

    /// The body with these values, each escaped as the format requires.
    #[must_use]
    pub fn fill(&self, values: &Values<'_>) -> String {
        self.template
            .fill(|body, name| self.format.write(body, values.of(name)))
    }
}

/// Appends text as the inside of a JSON string.
fn json(body: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '"' | '\\' => {
                body.push('\\');
                body.push(character);
            }
            // The separators U+2028 and U+2029 end a line in JavaScript.
            '\0'..='\u{1f}' | '\u{7f}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(body, "\\u{:04x}", u32::from(character));
            }
            other => body.push(other),
        }
    }
}

/// Appends text as a value of a form (WHATWG URL, section 5.2).
fn percent(body: &mut String, value: &str) {
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
                body.push(char::from(byte));
            }
            b' ' => body.push('+'),
            other => {
                let _ = write!(body, "%{other:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn filled(format: BodyFormat, template: &str, text: &str) -> String {
        let values = Values {
            text,
            ..Values::default()
        };
        BodyTemplate::parse(format, template).unwrap().fill(&values)
    }

    #[test]
    fn the_usual_templates_are_valid() {
        for format in [BodyFormat::Json, BodyFormat::Form, BodyFormat::Text] {
            assert!(BodyTemplate::parse(format, format.usual_template()).is_ok());
        }
    }

    #[test]
    fn a_template_that_cannot_work_is_refused() {
        let json = |text: &str| BodyTemplate::parse(BodyFormat::Json, text).unwrap_err();
        let unknown = json(r#"{"a":"{{text}}","b":"{{phone}}"}"#);
        assert_eq!(
            unknown.to_string(),
            "there is no placeholder `phone`; there are `to`, `text`, `subject`, `severity`, \
             `name`, `site` and `id`"
        );
        let open = BadTemplate::Placeholder(TemplateError::Open { line: 1 });
        assert_eq!(json(r#"{"a":"{{text"}"#), open);
        assert_eq!(json(r#"{"a":"{{to}}"}"#), BadTemplate::NoText);
        for text in [r#"{"a":{{text}}}"#, r#"{"a":"{{text}}""#, "{{text}}"] {
            assert!(matches!(json(text), BadTemplate::NotJson(_)), "{text}");
        }
        let long = |length: usize| format!("{{{{text}}}}{}", "x".repeat(length - 8));
        let text = |length| BodyTemplate::parse(BodyFormat::Text, &long(length));
        assert!(text(MAX_TEMPLATE_BYTES).is_ok());
        assert!(text(MAX_TEMPLATE_BYTES + 1).is_err());
    }

    /// ALM-11.
    #[test]
    fn a_value_cannot_leave_its_place_in_the_body() {
        let evil = "\",\"admin\":\"1\u{2028}\r\n&to=x%00 {{to}}";
        let body = filled(BodyFormat::Json, r#"{"t":"{{text}}"}"#, evil);
        assert_eq!(
            serde_json::from_str::<Value>(&body).unwrap(),
            json!({ "t": evil })
        );
        let body = filled(BodyFormat::Form, "text={{text}}", evil);
        assert!(!body.contains(['&', '\r', '\n', ' ', '"']), "{body}");
        assert!(body.contains("%7B%7Bto%7D%7D"), "{body}");
    }

    proptest! {
        #[test]
        fn any_value_is_read_back_from_the_body(text: String) {
            let body = filled(BodyFormat::Json, r#"{"t":"{{ text }}"}"#, &text);
            prop_assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), json!({ "t": text }));
        }

        #[test]
        fn any_template_is_parsed_or_refused(text in "\\PC{0,60}|[{}a-z\"]{0,60}") {
            for format in [BodyFormat::Json, BodyFormat::Form, BodyFormat::Text] {
                if let Ok(template) = BodyTemplate::parse(format, &text) {
                    let _ = template.fill(&Values::default());
                }
            }
        }
    }
}
