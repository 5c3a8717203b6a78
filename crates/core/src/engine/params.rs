//! Parameters as text, read into their type; a failure names the field.

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::engine::Refusal;

/// Reads the parameters of an operation. Nothing at all counts as `{}`.
///
/// # Errors
/// `invalid_params` with the path of the offending field.
pub(crate) fn read<P: DeserializeOwned>(text: &str) -> Result<P, Refusal> {
    let text = match text.trim() {
        "" | "null" => "{}",
        given => given,
    };
    from_text(text).map_err(|fault| Refusal::invalid(fault.path, fault.problem))
}

/// What is wrong with a text that should be JSON of a certain form.
pub(crate) struct Fault {
    /// The path of the offending field; empty for the whole.
    pub(crate) path: String,
    /// What is wrong with it.
    pub(crate) problem: String,
    /// Where, as a line and a column that count from 1.
    pub(crate) position: (usize, usize),
}

/// Reads JSON text and, when it does not fit, says which field and which line do not.
pub(crate) fn from_text<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    let mut source = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut source).map_err(|error| {
        let path = error.path().to_string();
        fault(text, &path, error.inner())
    })?;
    source.end().map_err(|error| fault(text, ".", &error))?;
    Ok(value)
}

fn fault(text: &str, path: &str, error: &serde_json::Error) -> Fault {
    let whole = error.to_string();
    // serde_json ends its messages with the place, which is told apart from them here.
    let problem = match whole.rfind(" at line ") {
        Some(end) => whole.get(..end).unwrap_or(&whole),
        None => &whole,
    };
    let parent = if path == "." || path == "?" { "" } else { path };
    // A missing field is noticed at the end of the object that should hold it.
    let missing = problem
        .strip_prefix("missing field `")
        .and_then(|rest| rest.strip_suffix('`'));
    let path = match missing {
        Some(field) if parent.is_empty() => field.to_owned(),
        Some(field) => format!("{parent}.{field}"),
        None => parent.to_owned(),
    };
    Fault {
        path,
        problem: if missing.is_some() {
            "is missing".to_owned()
        } else {
            problem.to_owned()
        },
        position: match error.classify() {
            Category::Data if missing.is_none() => value_before(text, error.line(), error.column()),
            _ => (error.line(), error.column()),
        },
    }
}

/// Where the value ends that was found wrong. serde_json notices some of them only at what follows the
/// value, which may stand some lines below.
fn value_before(text: &str, line: usize, column: usize) -> (usize, usize) {
    let lines_before: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let noticed = lines_before.saturating_add(column).min(text.len());
    let read = text.get(..noticed).unwrap_or(text);
    let value = read.trim_end_matches(|c: char| c.is_ascii_whitespace() || "},]".contains(c));
    let last = value.rsplit('\n').next().unwrap_or_default();
    (value.matches('\n').count() + 1, last.len())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Given {
        #[allow(dead_code, reason = "only read")]
        name: String,
        #[allow(dead_code, reason = "only read")]
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[allow(dead_code, reason = "only read")]
        count: u8,
    }

    fn field_of(text: &str) -> Option<String> {
        let refusal = read::<Given>(text).unwrap_err();
        refusal.field().map(str::to_owned)
    }

    #[test]
    fn the_offending_field_is_named() {
        assert_eq!(field_of(r#"{"name":7}"#).as_deref(), Some("name"));
        assert_eq!(
            field_of(r#"{"name":"a","inner":{"count":300}}"#).as_deref(),
            Some("inner.count")
        );
        assert_eq!(
            field_of(r#"{"name":"a","nmae":"b"}"#).as_deref(),
            Some("nmae")
        );
    }

    #[test]
    fn a_missing_field_is_named_too() {
        assert_eq!(field_of("{}").as_deref(), Some("name"));
        assert_eq!(field_of("").as_deref(), Some("name"));
        assert_eq!(
            field_of(r#"{"name":"a","inner":{}}"#).as_deref(),
            Some("inner.count")
        );
    }

    #[test]
    fn what_is_no_object_has_no_field() {
        assert_eq!(field_of("[]]"), None);
        assert_eq!(field_of("{"), None);
    }

    #[test]
    fn a_fault_knows_its_line() {
        let Err(fault) = from_text::<Given>("{\n  \"name\": 7\n}") else {
            panic!("a number is no name");
        };
        assert_eq!(fault.position.0, 2);
    }
}
