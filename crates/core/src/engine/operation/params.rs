//! Parses the JSON parameters of an operation. An error names the field.

use countersign_proto::json::Strict;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::engine::Refusal;

/// Parses the parameters of an operation. Empty text and `null` count as `{}`.
///
/// # Errors
/// `invalid_params` with the path of the invalid field.
pub(crate) fn read<P: DeserializeOwned>(text: &str) -> Result<P, Refusal> {
    let text = match text.trim() {
        "" | "null" => "{}",
        given => given,
    };
    from_text(text).map_err(|fault| Refusal::malformed_params(fault.path, fault.problem))
}

/// Why a text is not JSON of the expected form.
pub(crate) struct Fault {
    /// The path of the invalid field; empty for the whole text.
    pub(crate) path: String,
    /// What is wrong with it.
    pub(crate) problem: String,
    /// The position as line and column, both from 1.
    pub(crate) position: (usize, usize),
    /// Whether the text is no JSON at all.
    pub(crate) is_syntax: bool,
}

/// Parses JSON text strictly. An error names the field and the position.
pub(crate) fn from_text<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    let mut source = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(Strict::new(&mut source)).map_err(|error| {
        let path = error.path().to_string();
        fault(text, &path, error.inner())
    })?;
    source.end().map_err(|error| fault(text, ".", &error))?;
    Ok(value)
}

fn fault(text: &str, path: &str, error: &serde_json::Error) -> Fault {
    let whole = error.to_string();
    let problem = without_position(&whole);
    let parent = if path == "." || path == "?" { "" } else { path };
    // serde_json reports a missing field at the end of the enclosing object.
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
            in_words(problem)
        },
        position: match error.classify() {
            Category::Data if missing.is_none() => value_before(text, error.line(), error.column()),
            _ => (error.line(), error.column()),
        },
        is_syntax: matches!(error.classify(), Category::Syntax | Category::Eof),
    }
}

/// The problem of a JSON text, without its position.
pub(crate) fn problem_of(error: &serde_json::Error) -> String {
    in_words(without_position(&error.to_string()))
}

/// A message of `serde_json`, which appends the position.
fn without_position(message: &str) -> &str {
    let end = message.rfind(" at line ");
    end.and_then(|end| message.get(..end)).unwrap_or(message)
}

/// A problem in the words of this program's users: what is wrong, and what is allowed. The libraries name
/// types and parts of a parser.
fn in_words(problem: &str) -> String {
    if problem.starts_with("EOF while parsing") {
        return "the JSON text ends too early".to_owned();
    }
    if problem.starts_with("UUID parsing failed") {
        return AN_ID.to_owned();
    }
    if problem.starts_with("duplicate field ") {
        return "is given twice; give it once".to_owned();
    }
    if let Some(rest) = problem.strip_prefix("unknown field `") {
        return match rest.split_once("`, expected ") {
            Some((_, known)) => format!("is unknown; known here: {}", names(known)),
            None => "is unknown here".to_owned(),
        };
    }
    if let Some(rest) = problem.strip_prefix("unknown variant `")
        && let Some((found, known)) = rest.split_once("`, expected ")
    {
        return format!("give one of {}, not \"{found}\"", names(known));
    }
    if let Some((_, words)) = OF_SYNTAX.iter().find(|(text, _)| problem == *text) {
        return (*words).to_owned();
    }
    wrong_value(problem).unwrap_or_else(|| problem.to_owned())
}

/// The refusal of a text that is no id.
const AN_ID: &str = "give an id, such as 019523d0-5c00-7000-8000-000000000000";

/// Problems of JSON text, as `serde_json` and this program tell them.
const OF_SYNTAX: [(&str, &str); 8] = [
    ("expected value", "there is no value where JSON needs one"),
    ("expected ident", "there is no value where JSON needs one"),
    (
        "key must be a string",
        "the name of a member is not in quotation marks",
    ),
    ("trailing characters", "more text follows the JSON value"),
    (
        "invalid escape",
        "an escape in a text is unknown; write a backslash as \\\\",
    ),
    (
        "unexpected end of hex escape",
        "an escape \\u in a text has no second half",
    ),
    (
        "lone leading surrogate in hex escape",
        "an escape \\u in a text has no second half",
    ),
    (
        "recursion limit exceeded",
        "lists and objects are nested too deeply",
    ),
];

/// The names that `serde` lists between backticks, in quotation marks. Text between backticks is a command.
fn names(listed: &str) -> String {
    let names = listed.split('`').skip(1).step_by(2);
    let quoted: Vec<_> = names.map(|name| format!("\"{name}\"")).collect();
    quoted.join(", ")
}

/// A value of another type or range than the field has.
fn wrong_value(problem: &str) -> Option<String> {
    let of_value = problem
        .strip_prefix("invalid type: ")
        .or_else(|| problem.strip_prefix("invalid value: "));
    let (found, expected) = of_value?.rsplit_once(", expected ")?;
    let whole = |greatest: u64| format!("a whole number from 0 to {greatest}");
    let expected = match expected {
        "u8" => whole(u8::MAX.into()),
        "u16" => whole(u16::MAX.into()),
        "u32" => whole(u32::MAX.into()),
        "u64" | "usize" => "a whole number from 0".to_owned(),
        "i8" | "i16" | "i32" | "i64" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "an object".to_owned(),
        "a string" | "string" => "a text".to_owned(),
        "a formatted UUID string" => return Some(AN_ID.to_owned()),
        of_type
            if ["struct ", "enum "]
                .iter()
                .any(|kind| of_type.starts_with(kind)) =>
        {
            "an object".to_owned()
        }
        other => other.to_owned(),
    };
    let kinds = ["string ", "integer ", "boolean ", "floating point "];
    let found = match found {
        "sequence" => "a list",
        "map" => "an object",
        "unit value" => "null",
        value => kinds
            .iter()
            .find_map(|kind| value.strip_prefix(kind))
            .unwrap_or(value),
    };
    Some(format!("give {expected}, not {}", found.trim_matches('`')))
}

/// Returns the position at which the invalid value ends. serde_json reports some values only at the
/// text that follows them, which may be some lines below.
fn value_before(text: &str, line: usize, column: usize) -> (usize, usize) {
    let lines_before: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let reported = lines_before.saturating_add(column).min(text.len());
    let read = text.get(..reported).unwrap_or(text);
    let value = read.trim_end_matches(|c: char| c.is_ascii_whitespace() || "},]".contains(c));
    let last = value.rsplit('\n').next().unwrap_or_default();
    (value.matches('\n').count() + 1, last.len())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::id::AlarmId;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum PersonRole {
        Admin,
        Member,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Given {
        #[allow(dead_code, reason = "only read")]
        name: String,
        #[allow(dead_code, reason = "only read")]
        inner: Option<Inner>,
        #[allow(dead_code, reason = "only read")]
        role: Option<PersonRole>,
        #[allow(dead_code, reason = "only read")]
        after: Option<AlarmId>,
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
    fn the_invalid_field_is_named() {
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
    fn text_that_is_not_an_object_has_no_field() {
        assert_eq!(field_of("[]]"), None);
        assert_eq!(field_of("{"), None);
    }

    /// The messages were "invalid type: string \"abc\", expected u32" and "expected a sequence".
    #[test]
    fn a_wrong_value_is_refused_without_names_of_types() {
        let problem = |text| read::<Given>(text).unwrap_err().message().to_owned();
        let cases = [
            (r#"{"name":7}"#, "name: give a text, not 7"),
            (r#"{"name":["a"]}"#, "name: give a text, not a list"),
            (
                r#"{"name":"a","inner":{"count":300}}"#,
                "inner.count: give a whole number from 0 to 255, not 300",
            ),
            (
                r#"{"name":"a","inner":{"count":"x"}}"#,
                "inner.count: give a whole number from 0 to 255, not \"x\"",
            ),
            (
                r#"{"name":"a","inner":true}"#,
                "inner: give an object, not true",
            ),
            (r#"{"name":"#, "the JSON text ends too early"),
        ];
        for (text, message) in cases {
            assert!(problem(text).ends_with(message), "{}", problem(text));
        }
    }

    /// The messages were those of the libraries: "unknown variant `root`, expected `admin` or `member`",
    /// "UUID parsing failed: invalid character: found `z` at 0", "unexpected end of hex escape".
    #[test]
    fn a_refusal_says_what_is_wrong_and_what_is_allowed() {
        let id = "give an id, such as 019523d0-5c00-7000-8000-000000000000";
        let cases = [
            (
                r#"{"name":"a","role":"root"}"#,
                r#"role: give one of "admin", "member", not "root""#,
            ),
            (r#"{"name":"a","after":"zz"}"#, &format!("after: {id}")),
            (r#"{"name":"a","after":7}"#, &format!("after: {id}")),
            (
                r#"{"name":"a","inner":{"size":1}}"#,
                r#"inner.size: is unknown; known here: "count""#,
            ),
            (r#"{"name":null}"#, "name: give a text, not null"),
            (
                r#"{"name":"\ud800"}"#,
                r"name: an escape \u in a text has no second half",
            ),
            (r#"{"name":"a"} {}"#, "more text follows the JSON value"),
            ("x", "there is no value where JSON needs one"),
            ("{name}", "the name of a member is not in quotation marks"),
        ];
        for (text, message) in cases {
            let refusal = read::<Given>(text).unwrap_err();
            assert_eq!(refusal.message(), message, "{text}");
        }
    }

    #[test]
    fn a_fault_has_the_line_of_the_invalid_value() {
        let Err(fault) = from_text::<Given>("{\n  \"name\": 7\n}") else {
            panic!("a number is not a name");
        };
        assert_eq!(fault.position.0, 2);
    }
}
