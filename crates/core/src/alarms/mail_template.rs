//! Templates of e-mail: the subject, the text and the HTML of a message, for each language.
//!
//! The built-in texts are templates too. The operator replaces each of them by a file.

use std::collections::BTreeMap;
use std::sync::Arc;

use countersign_proto::template::{Template, TemplateError};

use super::markup::{self, escaped};
use super::{Language, OneLine};

/// The limit on a template in bytes. A page of HTML with its styles has about 8 KiB.
pub const MAX_MAIL_TEMPLATE_BYTES: usize = 32 * 1024;
/// The names of the files with templates.
pub const MAIL_TEMPLATE_FILES: [&str; 6] = [
    "alarm.en.subject",
    "alarm.en.txt",
    "alarm.en.html",
    "alarm.de.subject",
    "alarm.de.txt",
    "alarm.de.html",
];
/// The limit on the template of a subject in characters.
const MAX_SUBJECT_TEMPLATE_CHARS: usize = 200;
/// The placeholders of a subject: values of one line.
const IN_SUBJECT: &[&str] = &["heading", "severity", "language", "name", "site"];
/// The placeholders of a text and of HTML.
const IN_BODY: &[&str] = &[
    "heading", "alarms", "login", "link", "severity", "language", "name", "site",
];

/// A part of an e-mail that has a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MailPart {
    Subject,
    Text,
    Html,
}

impl MailPart {
    /// The template that is used without one of the operator.
    const fn built_in(self) -> &'static str {
        match self {
            Self::Subject => "{{heading}}",
            Self::Text => "{{heading}}\n\n{{alarms}}\n\n{{login}}",
            Self::Html => {
                "<!DOCTYPE html>\n<html lang=\"{{language}}\"><head><meta charset=\"utf-8\">\
                 <title>{{heading}}</title></head><body>\n<p>{{heading}}</p>\n{{alarms}}\n{{login}}\n\
                 </body></html>"
            }
        }
    }

    const fn placeholders(self) -> &'static [&'static str] {
        match self {
            Self::Subject => IN_SUBJECT,
            Self::Text | Self::Html => IN_BODY,
        }
    }
}

/// The values of a message. `alarms` and `login` are HTML in the part of HTML.
#[derive(Debug, Clone, Copy)]
pub(super) struct MailValues<'a> {
    pub(super) heading: &'a str,
    pub(super) alarms: &'a str,
    pub(super) login: &'a str,
    pub(super) link: &'a str,
    pub(super) severity: &'a str,
    pub(super) language: &'a str,
    pub(super) name: &'a str,
    pub(super) site: &'a str,
}

impl MailValues<'_> {
    fn of(&self, name: &str) -> &str {
        match name {
            "heading" => self.heading,
            "alarms" => self.alarms,
            "login" => self.login,
            "link" => self.link,
            "severity" => self.severity,
            "language" => self.language,
            "name" => self.name,
            _ => self.site,
        }
    }
}

/// A template of the operator that has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailTemplate {
    language: Language,
    part: MailPart,
    template: Template,
}

/// A file is not a valid template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct BadMailTemplate {
    /// The line, from 1.
    pub line: usize,
    /// Why it is not valid, and what to do.
    pub problem: String,
}

impl BadMailTemplate {
    pub(super) fn new(line: usize, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        Self { line, problem }
    }
}

impl From<TemplateError> for BadMailTemplate {
    fn from(error: TemplateError) -> Self {
        Self::new(error.line(), error.to_string())
    }
}

impl MailTemplate {
    /// Parses the template in the file of this name, one of [`MAIL_TEMPLATE_FILES`].
    ///
    /// # Errors
    /// [`BadMailTemplate`] with the line.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, BadMailTemplate> {
        let (language, part) = purpose(file_name).ok_or_else(|| {
            let names = MAIL_TEMPLATE_FILES.join(", ");
            BadMailTemplate::new(
                1,
                format!("there is no template of this name; name it {names}"),
            )
        })?;
        if text.len() > MAX_MAIL_TEMPLATE_BYTES {
            let problem = format!(
                "the template has {} bytes; at most {MAX_MAIL_TEMPLATE_BYTES} are allowed",
                text.len()
            );
            return Err(BadMailTemplate::new(1, problem));
        }
        // An editor of Windows begins a file with this mark, and ends lines with two characters.
        let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
        let text = match part {
            MailPart::Subject => subject(&text)?,
            MailPart::Text | MailPart::Html => text,
        };
        let template = Template::parse(&text, part.placeholders())?;
        if part != MailPart::Subject && !template.names("alarms") {
            let problem =
                "the template has no placeholder `alarms`, so a message would say nothing";
            return Err(BadMailTemplate::new(1, problem));
        }
        if part == MailPart::Html {
            markup::check(&template)?;
        }
        Ok(Self {
            language,
            part,
            template,
        })
    }
}

fn purpose(file_name: &str) -> Option<(Language, MailPart)> {
    let (language, part) = file_name.strip_prefix("alarm.")?.split_once('.')?;
    let language = match language {
        "en" => Language::En,
        "de" => Language::De,
        _ => return None,
    };
    let part = match part {
        "subject" => MailPart::Subject,
        "txt" => MailPart::Text,
        "html" => MailPart::Html,
        _ => return None,
    };
    Some((language, part))
}

/// The template of a subject without the end of its line.
fn subject(text: &str) -> Result<String, BadMailTemplate> {
    let line = OneLine::<MAX_SUBJECT_TEMPLATE_CHARS>::try_from(text.trim().to_owned());
    let line = line.map_err(|problem| BadMailTemplate::new(1, problem))?;
    Ok(line.as_str().to_owned())
}

/// The templates of a site: those of the operator, and the built-in ones in place of the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailTemplates(Arc<BTreeMap<(Language, MailPart), Template>>);

impl FromIterator<MailTemplate> for MailTemplates {
    fn from_iter<I: IntoIterator<Item = MailTemplate>>(all: I) -> Self {
        let by_purpose = all
            .into_iter()
            .map(|one| ((one.language, one.part), one.template));
        Self(Arc::new(by_purpose.collect()))
    }
}

impl MailTemplates {
    pub(super) fn subject(&self, language: Language, values: &MailValues<'_>) -> String {
        self.fill(language, MailPart::Subject, |text, name| {
            text.push_str(values.of(name));
        })
    }

    /// The text, which ends with one line end.
    pub(super) fn text(&self, language: Language, values: &MailValues<'_>) -> String {
        let filled = self.fill(language, MailPart::Text, |text, name| {
            text.push_str(values.of(name));
        });
        format!("{}\n", filled.trim_end())
    }

    pub(super) fn html(&self, language: Language, values: &MailValues<'_>) -> String {
        let filled = self.fill(language, MailPart::Html, |html, name| match name {
            markup::ALARMS | markup::LOGIN => html.push_str(values.of(name)),
            _ => html.push_str(&escaped(values.of(name))),
        });
        format!("{}\n", filled.trim_end())
    }

    fn fill(
        &self,
        language: Language,
        part: MailPart,
        write: impl FnMut(&mut String, &'static str),
    ) -> String {
        match self.0.get(&(language, part)) {
            Some(template) => template.fill(write),
            // A test checks that the built-in templates are valid.
            None => Template::parse(part.built_in(), part.placeholders())
                .unwrap_or_default()
                .fill(write),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: MailValues<'_> = MailValues {
        heading: "<b>Disk</b> \"full\"",
        alarms: "<ul></ul>",
        login: "<p>log in</p>",
        link: "https://site.example/alarms",
        severity: "critical",
        language: "en",
        name: "maria@example.org",
        site: "example.org",
    };

    fn refused(file_name: &str, text: &str) -> String {
        let refused = MailTemplate::parse(file_name, text).unwrap_err();
        refused.to_string()
    }

    #[test]
    fn the_built_in_templates_are_valid() {
        for part in [MailPart::Subject, MailPart::Text, MailPart::Html] {
            let file_name = match part {
                MailPart::Subject => "alarm.en.subject",
                MailPart::Text => "alarm.en.txt",
                MailPart::Html => "alarm.en.html",
            };
            let parsed = MailTemplate::parse(file_name, part.built_in()).unwrap();
            assert_eq!(parsed.part, part);
        }
    }

    #[test]
    fn each_file_name_has_a_language_and_a_part() {
        let purposes: Vec<_> = MAIL_TEMPLATE_FILES
            .iter()
            .map(|name| purpose(name))
            .collect();
        assert!(purposes.iter().all(Option::is_some));
        for bad in ["alarm.fr.txt", "alarm.en", "alarm.en.txt~", "en.txt", ""] {
            assert!(
                refused(bad, "{{alarms}}").contains("alarm.de.html"),
                "{bad}"
            );
        }
    }

    /// ALM-25.
    #[test]
    fn a_template_of_the_operator_replaces_the_text_of_its_language_and_part_alone() {
        let german =
            MailTemplate::parse("alarm.de.txt", "\u{feff}Hallo {{ name }}\r\n{{alarms}}\r\n");
        let templates: MailTemplates = [german.unwrap()].into_iter().collect();
        let text = templates.text(Language::De, &VALUES);
        assert_eq!(text, "Hallo maria@example.org\n<ul></ul>\n");
        let built_in = MailTemplates::default();
        assert_eq!(
            templates.text(Language::En, &VALUES),
            built_in.text(Language::En, &VALUES)
        );
        assert_eq!(
            templates.html(Language::De, &VALUES),
            built_in.html(Language::De, &VALUES)
        );
    }

    /// ALM-20.
    #[test]
    fn a_value_in_html_is_escaped() {
        let html = "<a href=\"{{link}}\" title='x'>{{heading}}</a>{{alarms}}{{login}}";
        let templates: MailTemplates = [MailTemplate::parse("alarm.en.html", html).unwrap()]
            .into_iter()
            .collect();
        assert_eq!(
            templates.html(Language::En, &VALUES),
            "<a href=\"https://site.example/alarms\" title='x'>&lt;b&gt;Disk&lt;/b&gt; \
             &quot;full&quot;</a><ul></ul><p>log in</p>\n"
        );
    }

    /// ALM-26.
    #[test]
    fn a_template_that_cannot_work_is_refused_with_its_line() {
        for (file_name, text, problem) in [
            (
                "alarm.en.txt",
                "{{alarms}}\n{{phone}}",
                "line 2: there is no placeholder `phone`",
            ),
            (
                "alarm.en.txt",
                "a\nb {{alarms",
                "line 2: a placeholder begins",
            ),
            (
                "alarm.en.txt",
                "nothing",
                "line 1: the template has no placeholder `alarms`",
            ),
            (
                "alarm.en.subject",
                "{{alarms}}",
                "line 1: there is no placeholder `alarms`",
            ),
            ("alarm.en.subject", "a\nb", "line 1: "),
            ("alarm.en.subject", "\n", "line 1: "),
        ] {
            let refused = refused(file_name, text);
            assert!(refused.starts_with(problem), "{text:?}: {refused}");
        }
        let of = |length: usize| format!("{{{{alarms}}}}{}", "x".repeat(length - 10));
        assert!(MailTemplate::parse("alarm.en.txt", &of(MAX_MAIL_TEMPLATE_BYTES)).is_ok());
        refused("alarm.en.txt", &of(MAX_MAIL_TEMPLATE_BYTES + 1));
    }
}
