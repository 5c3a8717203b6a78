//! HTML in messages: values are escaped, and stand only where an escaped value is text.

use countersign_proto::template::{Template, TemplatePart};

use super::BadMailTemplate;

/// The placeholder of the list of alarms, whose value is HTML.
pub(super) const ALARMS: &str = "alarms";
/// The placeholder of the paragraph with the link, whose value is HTML.
pub(super) const LOGIN: &str = "login";
/// The placeholders whose values have no character that ends an attribute, and that no person chooses.
const IN_ATTRIBUTES: [&str; 2] = ["link", "language"];

/// Escapes a text for HTML, also within a quoted attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Checks that each placeholder of a template stands in text, or is `link` or `language` in a quoted
/// attribute. In a script, a style, a comment and the rest of a tag, an escaped value could still act.
///
/// # Errors
/// [`BadMailTemplate`] with the line.
pub(super) fn check(template: &Template) -> Result<(), BadMailTemplate> {
    let (mut place, mut last) = (Place::Text, 1);
    for part in template.parts() {
        match part {
            TemplatePart::Verbatim(text) => place = place.after(text),
            TemplatePart::Placeholder { name, line } => {
                last = *line;
                let problem = match place {
                    Place::Text => continue,
                    Place::Value { .. } if IN_ATTRIBUTES.contains(name) => continue,
                    Place::Tag { .. } | Place::Value { .. } => {
                        "in a tag, only `link` and `language` may stand, between quotation marks"
                    }
                    Place::Comment => "a comment must not contain a placeholder",
                    Place::Raw(_) => "<script> and <style> must not contain a placeholder",
                };
                return Err(BadMailTemplate::new(*line, problem));
            }
        }
    }
    match place {
        Place::Text => Ok(()),
        _ => Err(BadMailTemplate::new(
            last,
            "a tag, comment, <script> or <style> that begins after this line does not end",
        )),
    }
}

/// Where the reader of a page is (HTML, section 13.2.5), as far as it matters for a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Text,
    /// Within a tag, outside of a quoted value. `raw` is the element, if its content is not text.
    Tag {
        raw: Option<&'static str>,
    },
    Value {
        quote: char,
        raw: Option<&'static str>,
    },
    Comment,
    /// Within an element whose content is no text, until this end tag.
    Raw(&'static str),
}

impl Place {
    /// The place after more of the page.
    fn after(mut self, text: &str) -> Self {
        let mut rest = text;
        loop {
            let next = match self {
                Self::Text => rest
                    .split_once('<')
                    .map(|(_, rest)| (Self::opened(rest), rest)),
                Self::Comment => rest.split_once("-->").map(|(_, rest)| (Self::Text, rest)),
                Self::Tag { raw } => in_tag(rest, raw),
                Self::Value { quote, raw } => rest
                    .split_once(quote)
                    .map(|(_, rest)| (Self::Tag { raw }, rest)),
                Self::Raw(end) => {
                    let at = rest.to_ascii_lowercase().find(end);
                    at.and_then(|at| rest.get(at.saturating_add(end.len())..))
                        .map(|rest| (Self::Tag { raw: None }, rest))
                }
            };
            let Some((place, left)) = next else {
                return self;
            };
            (self, rest) = (place, left);
        }
    }

    /// The place after `<`. A placeholder right after it would be the name of a tag.
    fn opened(rest: &str) -> Self {
        if rest.starts_with("!--") {
            return Self::Comment;
        }
        let name: String = rest
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        let raw = match name.to_ascii_lowercase().as_str() {
            "script" => Some("</script"),
            "style" => Some("</style"),
            _ => None,
        };
        match rest.chars().next() {
            None | Some('/' | '!' | '?' | 'a'..='z' | 'A'..='Z') => Self::Tag { raw },
            Some(_) => Self::Text,
        }
    }
}

fn in_tag<'t>(text: &'t str, raw: Option<&'static str>) -> Option<(Place, &'t str)> {
    let at = text.find(['"', '\'', '>'])?;
    let (_, rest) = text.split_at_checked(at)?;
    let mut characters = rest.chars();
    let place = match (characters.next()?, raw) {
        ('>', Some(end)) => Place::Raw(end),
        ('>', None) => Place::Text,
        (quote, raw) => Place::Value { quote, raw },
    };
    Some((place, characters.as_str()))
}

#[cfg(test)]
mod tests {
    use super::super::MailTemplate;

    fn parse(html: &str) -> Result<(), String> {
        let parsed = MailTemplate::parse("alarm.en.html", &format!("{{{{alarms}}}}\n{html}"));
        parsed.map(|_| ()).map_err(|error| error.to_string())
    }

    /// ALM-26.
    #[test]
    fn a_placeholder_stands_where_an_escaped_value_is_text() {
        for good in [
            "<p class=\"a > b\">{{heading}}</p>",
            "<a href='{{link}}'>{{ name }}</a>",
            "<html lang=\"{{language}}\">",
            "<style>p { color: red }</style>{{heading}}",
            "<!-- a > b --> {{heading}}",
            "1 < 2, {{heading}} <br/>",
            "<STYLE>a</StYle >{{site}}",
        ] {
            assert_eq!(parse(good), Ok(()), "{good}");
        }
        for bad in [
            "<p {{heading}}>",
            "<{{heading}}>",
            "</{{heading}}>",
            "<a href={{link}}>",
            "<a title=\"{{heading}}\">",
            "<img alt='\"{{name}}'>",
            "<script>{{heading}}</script>",
            "<script type=\"a\">{{link}}</script>",
            "<style>{{heading}}</style>",
            "<!-- {{heading}} -->",
            "<a href=\"{{alarms}}\">",
            "<p",
            "<a href=\"",
            "<style>",
        ] {
            let refused = parse(bad).unwrap_err();
            assert!(refused.starts_with("line "), "{bad}: {refused}");
        }
        assert!(
            parse("<p>\n<b {{name}}>")
                .unwrap_err()
                .starts_with("line 3: ")
        );
    }
}
