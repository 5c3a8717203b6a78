//! The JSON objects on a line.

use data_encoding::{BASE64, DecodeError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::json;
use crate::operation::{Code, Event, Operation, Outcome, empty_object};

/// The maximum number of content bytes on a line.
pub const PIECE_BYTES: usize = 64 * 1024;

/// Why a line is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum BadLine {
    /// The line is not an operation.
    #[error("the line is not an operation: {0}")]
    Operation(serde_json::Error),
    /// The line is not a result.
    #[error("the line is not a result: {0}")]
    Outcome(serde_json::Error),
    /// The line is not an event.
    #[error("the line is not an event: {0}")]
    Event(serde_json::Error),
    /// The line is not a line of content.
    #[error("the line is not a line of content: {0}")]
    Content(serde_json::Error),
    /// The piece of content is not base64.
    #[error("the piece of content is not base64: {0}")]
    Piece(DecodeError),
}

/// A message for serialisation.
#[derive(Serialize)]
struct SerializedMessage<'a, T> {
    #[serde(flatten)]
    message: &'a T,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    content: bool,
}

/// An operation for deserialisation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ParsedOperation {
    id: u64,
    group: String,
    command: String,
    #[serde(default = "empty_object")]
    params: Box<RawValue>,
    #[serde(default)]
    content: bool,
}

/// A result for deserialisation.
#[derive(Deserialize)]
struct ParsedOutcome {
    id: u64,
    code: Code,
    data: Box<RawValue>,
    #[serde(default)]
    output: String,
    #[serde(default)]
    content: bool,
}

/// Parses an operation. Returns it, and whether lines of content follow.
///
/// # Errors
/// [`BadLine::Operation`].
pub fn read_operation(line: &[u8]) -> Result<(Operation, bool), BadLine> {
    let ParsedOperation {
        id,
        group,
        command,
        params,
        content,
    } = json::read(line).map_err(BadLine::Operation)?;
    let operation = Operation {
        id,
        group,
        command,
        params,
    };
    Ok((operation, content))
}

/// Parses a result. Returns it, and whether lines of content follow.
///
/// # Errors
/// [`BadLine::Outcome`].
pub fn read_outcome(line: &[u8]) -> Result<(Outcome, bool), BadLine> {
    let ParsedOutcome {
        id,
        code,
        data,
        output,
        content,
    } = json::read(line).map_err(BadLine::Outcome)?;
    let outcome = Outcome {
        id,
        code,
        data,
        output,
    };
    Ok((outcome, content))
}

/// Parses an event.
///
/// # Errors
/// [`BadLine::Event`].
pub fn read_event(line: &[u8]) -> Result<Event, BadLine> {
    json::read(line).map_err(BadLine::Event)
}

/// Appends an operation as a line. `content` states whether lines of content follow.
///
/// # Errors
/// The operation cannot be serialised.
pub fn put_operation(
    out: &mut Vec<u8>,
    operation: &Operation,
    content: bool,
) -> serde_json::Result<()> {
    let message = operation;
    put(out, &SerializedMessage { message, content })
}

/// Appends a result as a line. `content` states whether lines of content follow.
///
/// # Errors
/// The result cannot be serialised.
pub fn put_outcome(out: &mut Vec<u8>, outcome: &Outcome, content: bool) -> serde_json::Result<()> {
    let message = outcome;
    put(out, &SerializedMessage { message, content })
}

/// Appends an event as a line.
///
/// # Errors
/// The event cannot be serialised.
pub fn put_event(out: &mut Vec<u8>, event: &Event) -> serde_json::Result<()> {
    put(out, event)
}

/// Appends JSON and a line end. Raw JSON may contain line ends as white space, which are replaced;
/// strings have none unescaped.
fn put(out: &mut Vec<u8>, value: &impl Serialize) -> serde_json::Result<()> {
    let begin = out.len();
    let written = serde_json::to_writer(&mut *out, value);
    if written.is_err() {
        out.truncate(begin);
        return written;
    }
    for byte in out.iter_mut().skip(begin) {
        if *byte == b'\n' {
            *byte = b' ';
        }
    }
    out.push(b'\n');
    Ok(())
}

/// A line of content: a piece, or the last line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentLine {
    /// Bytes of the content, in base64 on the line.
    Piece(Vec<u8>),
    /// The last line: the content is complete.
    End,
    /// The last line: the content is incomplete, with the reason.
    Broken(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum ContentForm {
    Piece(String),
    End,
    Broken(String),
}

impl ContentLine {
    /// Parses a line of content.
    ///
    /// # Errors
    /// [`BadLine::Content`] and [`BadLine::Piece`].
    pub fn read(line: &[u8]) -> Result<Self, BadLine> {
        Ok(match json::read(line).map_err(BadLine::Content)? {
            ContentForm::Piece(text) => {
                Self::Piece(BASE64.decode(text.as_bytes()).map_err(BadLine::Piece)?)
            }
            ContentForm::End => Self::End,
            ContentForm::Broken(why) => Self::Broken(why),
        })
    }

    /// Appends a piece of at most [`PIECE_BYTES`] as a line.
    ///
    /// # Errors
    /// The piece cannot be serialised.
    pub fn put_piece(out: &mut Vec<u8>, bytes: &[u8]) -> serde_json::Result<()> {
        put(out, &ContentForm::Piece(BASE64.encode(bytes)))
    }

    /// Appends the line.
    ///
    /// # Errors
    /// The line cannot be serialised.
    pub fn put(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        match self {
            Self::Piece(bytes) => Self::put_piece(out, bytes),
            Self::End => put(out, &ContentForm::End),
            Self::Broken(why) => put(out, &ContentForm::Broken(why.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn an_operation_and_its_result_are_one_line_each() {
        let operation = Operation::new(1, "person", "show", raw(r#"{"name":"maria"}"#));
        let mut out = Vec::new();
        put_operation(&mut out, &operation, false).unwrap();
        let outcome = Outcome {
            id: 1,
            code: Code::SUCCESS,
            data: raw("{}"),
            output: "maria".to_owned(),
        };
        put_outcome(&mut out, &outcome, true).unwrap();
        let lines = [
            r#"{"id":1,"group":"person","command":"show","params":{"name":"maria"}}"#,
            r#"{"id":1,"code":0,"data":{},"output":"maria","content":true}"#,
            "",
        ];
        assert_eq!(String::from_utf8(out).unwrap(), lines.join("\n"));
        assert_eq!(
            read_operation(lines[0].as_bytes()).unwrap(),
            (operation, false)
        );
        assert_eq!(read_outcome(lines[1].as_bytes()).unwrap(), (outcome, true));
    }

    #[test]
    fn parameters_are_optional_and_unknown_fields_are_rejected() {
        let line = br#"{"id":1,"group":"site","command":"status"}"#;
        let (operation, content) = read_operation(line).unwrap();
        assert_eq!((operation.params.get(), content), ("{}", false));
        let line = br#"{"id":1,"group":"site","command":"status","more":1}"#;
        let refused = read_operation(line).unwrap_err().to_string();
        assert!(refused.contains("unknown field"), "{refused}");
        for line in ["", "\u{feff}{\"id\":1,\"group\":\"a\",\"command\":\"b\"}"] {
            assert!(read_operation(line.as_bytes()).is_err(), "{line}");
        }
    }

    #[test]
    fn json_with_line_breaks_is_written_on_one_line() {
        let params = raw("{\n  \"name\":\r\n \"a\\nb\" }");
        let mut out = Vec::new();
        put_operation(&mut out, &Operation::new(1, "a", "b", params), false).unwrap();
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
        let (read, _) = read_operation(&out).unwrap();
        let name: serde_json::Value = serde_json::from_str(read.params.get()).unwrap();
        assert_eq!(name["name"], "a\nb");
    }

    #[test]
    fn lines_of_content_have_the_documented_form() {
        let lines = "{\"piece\":\"Y291bnRlcnNpZ24K\"}\n\"end\"\n{\"broken\":\"why\"}\n";
        let read: Vec<_> = lines
            .lines()
            .map(|line| ContentLine::read(line.as_bytes()).unwrap())
            .collect();
        assert_eq!(
            read,
            [
                ContentLine::Piece(b"countersign\n".to_vec()),
                ContentLine::End,
                ContentLine::Broken("why".to_owned())
            ]
        );
        let mut out = Vec::new();
        read.iter().for_each(|line| line.put(&mut out).unwrap());
        assert_eq!(String::from_utf8(out).unwrap(), lines);
        for line in ["", "\"piece\"", "{\"piece\":\"%\"}", "{\"more\":1}"] {
            assert!(ContentLine::read(line.as_bytes()).is_err(), "{line}");
        }
    }
}
