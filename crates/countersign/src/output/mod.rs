//! Writes results to standard output, which has data only, and messages to standard error.

mod layout;
mod table;

pub(crate) use table::counted;

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::process::ExitCode;

use clap::{Command, ValueEnum};
use countersign_proto::operation::{Code, Outcome};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::escape;
use crate::failure::{Exit, Failure};
use crate::hint;
use crate::log;

/// An output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// Text for people.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// JSON, with a line for each entry of a list.
    Jsonl,
}

/// Shows the result of an operation.
///
/// # Errors
/// The operation failed.
pub(crate) fn show(outcome: &Outcome, format: Format) -> Result<(), Failure> {
    show_of("", outcome, format)
}

/// Shows the result of an operation (`group command`); a list is shown in columns.
pub(crate) fn show_of(operation: &str, outcome: &Outcome, format: Format) -> Result<(), Failure> {
    show_said(operation, outcome, format, str::to_owned)
}

/// Shows the result of an operation that a user typed; if it is one page of a list, says how to get the next
/// page.
pub(crate) fn show_typed(
    operation: &str,
    outcome: Outcome,
    format: Format,
    program: &Command,
) -> Result<(), Failure> {
    let outcome = hint::of_typed(outcome, program);
    show_said(operation, &outcome, format, |text| {
        hint::typed(text, program)
    })?;
    let data: Value = serde_json::from_str(outcome.data.get()).unwrap_or_default();
    let next = match data.get("next") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::String(next)) => format!("after={next}"),
        Some(next) => format!("after:={next}"),
    };
    say(format_args!(
        "The list is not complete: continue with {next}, or get larger pages with limit:=1000."
    ));
    Ok(())
}

/// Shows the result of an operation, with the texts of alarms in a list changed by `reword`.
fn show_said(
    operation: &str,
    outcome: &Outcome,
    format: Format,
    reword: impl Fn(&str) -> String,
) -> Result<(), Failure> {
    if outcome.code != Code::SUCCESS {
        return Err(Failure::outcome(outcome));
    }
    show_list(
        operation,
        outcome.data.get(),
        &outcome.output,
        format,
        reword,
    )
}

/// Shows `data` in JSON formats and `text` in the text format.
pub(crate) fn show_data(data: &str, text: &str, format: Format) -> Result<(), Failure> {
    show_list("", data, text, format, str::to_owned)
}

/// Shows a list: `data` in JSON formats; in the text format columns, in which `reword` changes the
/// texts of alarms, or `text` if there are none.
pub(crate) fn show_list(
    operation: &str,
    data: &str,
    text: &str,
    format: Format,
    reword: impl Fn(&str) -> String,
) -> Result<(), Failure> {
    if format == Format::Text
        && let Some(table) = table::of(operation, data, &reword)
    {
        return print(&table);
    }
    match format {
        Format::Text if !text.is_empty() => print(text),
        Format::Text if is_empty_list(data) => {
            say("There are none.");
            Ok(())
        }
        Format::Text | Format::Json => print_json(&layout::indented(data)),
        Format::Jsonl => print_json(&lines(data)),
    }
}

/// Writes text and a line end to standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    write(&escape::text(text))
}

/// Writes JSON and a line end to standard output.
pub(crate) fn print_json(json: &str) -> Result<(), Failure> {
    write(&escape::json(json))
}

/// Writes a message for the user to standard error.
pub(crate) fn say(text: impl std::fmt::Display) {
    complain(&escape::text(&text.to_string()));
}

/// Writes a line to standard error. If that is closed or full, the line is dropped: the command must not
/// fail for it. A process with a log writes the line through the log, so that a slow reader of standard
/// error cannot stop a site.
pub(crate) fn complain(line: &str) {
    if !log::tell(line) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

/// Shows a failure on standard error and returns its exit code.
pub(crate) fn report(failure: &Failure, format: Format) -> ExitCode {
    match (failure.exit, format) {
        (Exit::Done, _) => {}
        (_, Format::Text) => complain(&failure_text(failure)),
        (_, Format::Json | Format::Jsonl) => complain(&failure_json(failure)),
    }
    ExitCode::from(failure.exit as u8)
}

fn failure_text(failure: &Failure) -> String {
    let hint = match failure.hint.as_str() {
        "" => String::new(),
        hint => format!("\n  hint: {}", escape::text(hint)),
    };
    let (message, code) = (escape::text(&failure.message), escape::line(&failure.code));
    format!("error: {message}{hint}\n  [{code}]")
}

/// A failure as one JSON object on one line, which a program can find among log lines.
fn failure_json(failure: &Failure) -> String {
    let hint = Some(&failure.hint).filter(|hint| !hint.is_empty());
    let object = serde_json::json!({
        "code": failure.code,
        "message": failure.message,
        "hint": hint,
        "exit": failure.exit as u8,
    });
    escape::json(&object.to_string())
}

/// A path for JSON: bytes that are not UTF-8 become replacement characters.
pub(crate) fn path(path: &std::path::Path) -> String {
    path.to_string_lossy().into_owned()
}

fn write(text: &str) -> Result<(), Failure> {
    let end = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    match write_bytes(format!("{text}{end}").as_bytes()) {
        // The reader needs no more output; the command itself has succeeded.
        Err(failure) if failure.exit == Exit::Done => Ok(()),
        written => written,
    }
}

/// Whether standard output is closed or `/dev/null`, which replaces a closed one at the start.
pub(crate) fn goes_nowhere() -> bool {
    let device = |file: std::io::Result<std::fs::File>| {
        let found = file.and_then(|file| file.metadata()).ok()?;
        found.file_type().is_char_device().then(|| found.rdev())
    };
    let out = std::io::stdout().as_fd().try_clone_to_owned();
    let nowhere = device(std::fs::File::open("/dev/null"));
    nowhere.is_some() && device(out.map(Into::into)) == nowhere
}

/// Writes bytes to standard output unchanged.
pub(crate) fn write_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    written.map_err(|error| Failure::output(&error))
}

fn is_empty_list(data: &str) -> bool {
    let value: Value = serde_json::from_str(data).unwrap_or(Value::Null);
    let entries = value.get("entries").and_then(Value::as_array);
    entries.is_some_and(Vec::is_empty) && value.get("damaged").is_none()
}

/// The entries of a list and then its damaged entries, one on each line; other data on one line.
fn lines(data: &str) -> String {
    #[derive(Deserialize)]
    struct List {
        entries: Vec<Box<RawValue>>,
        #[serde(default)]
        damaged: Vec<Box<RawValue>>,
    }
    match serde_json::from_str::<List>(data) {
        Ok(List { entries, damaged }) => {
            let entries = entries.iter().chain(&damaged);
            let entries = entries.map(|entry| layout::compact(entry.get()));
            entries.collect::<Vec<_>>().join("\n")
        }
        // The site's JSON may contain line ends.
        Err(_) => layout::compact(data),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_a_line_for_each_entry() {
        assert_eq!(
            lines(r#"{"entries":[{"a":1},{"a":2}],"next":null}"#),
            "{\"a\":1}\n{\"a\":2}"
        );
        assert_eq!(lines("{\"a\":\n1}"), r#"{"a":1}"#);
    }
}
