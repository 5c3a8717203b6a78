//! Texts with placeholders, which the operator writes: the body of a webhook, and e-mail.
//!
//! A placeholder is a name between `{{` and `}}`. The caller of [`Template::fill`] escapes the
//! values: a template knows their names alone.

/// A text with placeholders of a fixed list of names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    parts: Vec<TemplatePart>,
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplatePart {
    /// A text that is written as it is.
    Verbatim(String),
    /// The place of a value.
    Placeholder {
        /// The name of the value.
        name: &'static str,
        /// The line of the template, from 1.
        line: usize,
    },
}

/// A text is not a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// There is no such placeholder.
    #[error("there is no placeholder `{name}`; there are {known}")]
    Unknown {
        /// The name in the text, at most 40 characters.
        name: String,
        /// The names that there are, for people.
        known: String,
        /// The line, from 1.
        line: usize,
    },
    /// A placeholder does not end.
    #[error("a placeholder begins with {{{{ and does not end with }}}}")]
    Open {
        /// The line, from 1.
        line: usize,
    },
}

impl TemplateError {
    /// The line of the template with the error, from 1.
    #[must_use]
    pub const fn line(&self) -> usize {
        match self {
            Self::Unknown { line, .. } | Self::Open { line } => *line,
        }
    }
}

impl Template {
    /// Parses a text whose placeholders have names of the list.
    ///
    /// # Errors
    /// [`TemplateError`] with the line.
    pub fn parse(text: &str, names: &'static [&'static str]) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let (mut rest, mut line) = (text, 1);
        while let Some((verbatim, after)) = rest.split_once("{{") {
            line += lines_in(verbatim);
            let (name, after) = after.split_once("}}").ok_or(TemplateError::Open { line })?;
            let trimmed = name.trim();
            let known = names.iter().find(|known| **known == trimmed);
            let known = known.ok_or_else(|| TemplateError::Unknown {
                name: trimmed.chars().take(40).collect(),
                known: listed(names),
                line,
            })?;
            parts.push(TemplatePart::Verbatim(verbatim.to_owned()));
            parts.push(TemplatePart::Placeholder { name: known, line });
            line += lines_in(name);
            rest = after;
        }
        parts.push(TemplatePart::Verbatim(rest.to_owned()));
        Ok(Self { parts })
    }

    /// The parts, in their order.
    #[must_use]
    pub fn parts(&self) -> &[TemplatePart] {
        &self.parts
    }

    /// Whether the template has a placeholder of this name.
    #[must_use]
    pub fn names(&self, wanted: &str) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part, TemplatePart::Placeholder { name, .. } if *name == wanted))
    }

    /// The text with values. `write` appends the value of a name, escaped.
    #[must_use]
    pub fn fill(&self, mut write: impl FnMut(&mut String, &'static str)) -> String {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                TemplatePart::Verbatim(text) => filled.push_str(text),
                TemplatePart::Placeholder { name, .. } => write(&mut filled, name),
            }
        }
        filled
    }
}

fn lines_in(text: &str) -> usize {
    text.matches('\n').count()
}

/// The names between backticks: `a`, `b` and `c`.
fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, first)) if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => quoted.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &["a", "b"];

    fn filled(text: &str) -> String {
        let template = Template::parse(text, NAMES).unwrap();
        template.fill(|text, name| text.push_str(&name.to_uppercase()))
    }

    #[test]
    fn each_placeholder_is_replaced_by_its_value() {
        assert_eq!(filled("{{a}}{{ b }} {a} }} {{a}}"), "AB {a} }} A");
        assert_eq!(filled(""), "");
    }

    #[test]
    fn an_error_names_its_line() {
        let refused = |text: &str| Template::parse(text, NAMES).unwrap_err();
        let unknown = refused("one\n{{a}}\n{{c}}");
        assert_eq!(unknown.line(), 3);
        assert_eq!(
            unknown.to_string(),
            "there is no placeholder `c`; there are `a` and `b`"
        );
        // The line in which the placeholder begins, also after one that spans lines.
        assert_eq!(refused("\n\n {{a\n}} {{b").line(), 4);
        assert_eq!(refused("{{b\n\n\n").line(), 1);
    }
}
