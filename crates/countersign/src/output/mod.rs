//! What goes to standard output: data only, in the form that was asked for.

mod layout;
mod table;

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::process::ExitCode;

use clap::ValueEnum;
use countersign_proto::operation::{Code, Outcome};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::escape;
use crate::failure::{Exit, Failure};
use crate::log;

/// The form of what is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// Text for people.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// JSON, a line an entry where it is a list.
    Jsonl,
}

/// Shows a result, or fails as it says.
pub(crate) fn show(outcome: &Outcome, format: Format) -> Result<(), Failure> {
    show_of("", outcome, format)
}

/// The same of an operation (`group command`) that may list something: its entries stand in columns.
pub(crate) fn show_of(operation: &str, outcome: &Outcome, format: Format) -> Result<(), Failure> {
    if outcome.code != Code::SUCCESS {
        return Err(Failure::outcome(outcome));
    }
    show_list(operation, outcome.data.get(), &outcome.output, format)
}

/// The same of one that may list a part at a time: says how to get the rest.
pub(crate) fn show_part(operation: &str, outcome: &Outcome, format: Format) -> Result<(), Failure> {
    show_of(operation, outcome, format)?;
    let data: Value = serde_json::from_str(outcome.data.get()).unwrap_or_default();
    let next = match data.get("next") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::String(next)) => format!("after={next}"),
        Some(next) => format!("after:={next}"),
    };
    say(format_args!(
        "This is not the whole list: go on with {next}, or take more at a time with limit:=1000."
    ));
    Ok(())
}

/// Shows data, which is JSON, or the text that says the same for people.
pub(crate) fn show_data(data: &str, text: &str, format: Format) -> Result<(), Failure> {
    show_list("", data, text, format)
}

/// The same of what an operation lists, if it does.
pub(crate) fn show_list(
    operation: &str,
    data: &str,
    text: &str,
    format: Format,
) -> Result<(), Failure> {
    if format == Format::Text
        && let Some(table) = table::of(operation, data)
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

/// Says something to the person at the terminal, on standard error.
pub(crate) fn say(text: impl std::fmt::Display) {
    complain(&escape::text(&text.to_string()));
}

/// Writes a line to standard error. Where that is closed or full, the line is dropped: it must not end what the
/// command does. A process with a log leaves it to the log, so that no reader of standard error can stop a site.
pub(crate) fn complain(line: &str) {
    if !log::tell(line) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

/// Shows a failure on standard error and gives its exit code.
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

/// One object on one line: what reads standard error looks for it among log lines.
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

/// A path in JSON. It need not be UTF-8, which JSON must be.
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
        // The reader has seen enough, and what the command did stays done.
        Err(failure) if failure.exit == Exit::Done => Ok(()),
        written => written,
    }
}

/// Whether standard output was closed, or is `/dev/null`, which stands in for it then.
pub(crate) fn goes_nowhere() -> bool {
    let device = |file: std::io::Result<std::fs::File>| {
        let found = file.and_then(|file| file.metadata()).ok()?;
        found.file_type().is_char_device().then(|| found.rdev())
    };
    let out = std::io::stdout().as_fd().try_clone_to_owned();
    let nowhere = device(std::fs::File::open("/dev/null"));
    nowhere.is_some() && device(out.map(Into::into)) == nowhere
}

/// Writes bytes to standard output as they are.
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

/// The entries of a list and then those that are damaged, one a line; anything else on one line.
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
        // As the site wrote it, it may have line ends.
        Err(_) => layout::compact(data),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_a_line_an_entry() {
        assert_eq!(
            lines(r#"{"entries":[{"a":1},{"a":2}],"next":null}"#),
            "{\"a\":1}\n{\"a\":2}"
        );
        assert_eq!(lines("{\"a\":\n1}"), r#"{"a":1}"#);
    }
}
