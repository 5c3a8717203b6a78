//! The envelopes of operations, results and events, which are the same on every channel.
//!
//! As JSON lines they look like
//! `{"id":1,"group":"person","command":"show","params":{"name":"maria"}}` and
//! `{"id":1,"code":0,"data":{…},"output":"…"}`; inside a session they travel as RISP
//! (`docs/protocol/session.md`, Messages).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The maximum length of the name of a group, command or event, in bytes.
pub const MAX_NAME: usize = 32;

/// A command to a site.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// The caller chooses it, and the result repeats it.
    pub id: u64,
    /// The group, for example `person`.
    pub group: String,
    /// The command, for example `create`.
    pub command: String,
    /// The parameters, a JSON object; `{}` if omitted.
    #[serde(default = "empty_object")]
    pub params: Box<RawValue>,
}

/// The result of an operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// The operation's id.
    pub id: u64,
    /// Success, or the kind of failure.
    pub code: Code,
    /// The data as JSON. For a failure: `{code, message, hint?, field?}`.
    pub data: Box<RawValue>,
    /// Text to display; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
}

/// A message that is not the result of an operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// The group, for example `session`.
    pub group: String,
    /// The name of the event, for example `expiring`.
    pub event: String,
    /// Details, a JSON object.
    pub data: Box<RawValue>,
}

/// The code of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Code(pub u16);

impl Code {
    /// The operation succeeded.
    pub const SUCCESS: Self = Self(0);
    /// The message is not an operation: a name or the parameters are missing or malformed.
    pub const MALFORMED: Self = Self(1);
    /// There is no operation with that group and command.
    pub const UNKNOWN_OPERATION: Self = Self(2);
    /// The parameters are invalid; the data names the field.
    pub const INVALID_PARAMS: Self = Self(3);
    /// The caller is not allowed to run the operation.
    pub const NOT_PERMITTED: Self = Self(4);
    /// The object does not exist.
    pub const NOT_FOUND: Self = Self(5);
    /// The object already exists, or was changed concurrently.
    pub const CONFLICT: Self = Self(6);
    /// The site is sealed: its key has not been unwrapped.
    pub const SEALED: Self = Self(7);
    /// The site is overloaded; try again later.
    pub const BUSY: Self = Self(8);
    /// A lockdown is in force.
    pub const LOCKDOWN: Self = Self(9);
    /// The site failed; its log gives the reason.
    pub const INTERNAL: Self = Self(10);
    /// The first code that is available to an embedding application.
    pub const FIRST_OF_APPLICATION: Self = Self(100);

    const NAMES: [(Self, &'static str); 11] = [
        (Self::SUCCESS, "success"),
        (Self::MALFORMED, "malformed"),
        (Self::UNKNOWN_OPERATION, "unknown_operation"),
        (Self::INVALID_PARAMS, "invalid_params"),
        (Self::NOT_PERMITTED, "not_permitted"),
        (Self::NOT_FOUND, "not_found"),
        (Self::CONFLICT, "conflict"),
        (Self::SEALED, "sealed"),
        (Self::BUSY, "busy"),
        (Self::LOCKDOWN, "lockdown"),
        (Self::INTERNAL, "internal"),
    ];

    /// The code's stable name. `None` for the codes of applications.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Self::NAMES
            .iter()
            .find(|(code, _)| *code == self)
            .map(|(_, name)| *name)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "code {}", self.0),
        }
    }
}

/// Whether a text is a valid name of a group, command or event: `[a-z][a-z0-9_]{0,31}`.
#[must_use]
pub fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

impl Operation {
    /// An operation with parameters that are already JSON.
    #[must_use]
    pub fn new(id: u64, group: &str, command: &str, params: Box<RawValue>) -> Self {
        Self {
            id,
            group: group.to_owned(),
            command: command.to_owned(),
            params,
        }
    }
}

impl PartialEq for Operation {
    fn eq(&self, other: &Self) -> bool {
        (self.id, &self.group, &self.command, self.params.get())
            == (other.id, &other.group, &other.command, other.params.get())
    }
}

impl PartialEq for Outcome {
    fn eq(&self, other: &Self) -> bool {
        (self.id, self.code, self.data.get(), &self.output)
            == (other.id, other.code, other.data.get(), &other.output)
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        (&self.group, &self.event, self.data.get())
            == (&other.group, &other.event, other.data.get())
    }
}

pub(crate) fn empty_object() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_one_line_of_json() {
        let line = r#"{"id":1,"group":"site","command":"status"}"#;
        let operation: Operation = serde_json::from_str(line).unwrap();
        assert_eq!(
            operation,
            Operation::new(1, "site", "status", empty_object())
        );
        assert_eq!(
            serde_json::to_string(&operation).unwrap(),
            r#"{"id":1,"group":"site","command":"status","params":{}}"#
        );
    }

    #[test]
    fn a_result_without_output_leaves_it_out() {
        let outcome = Outcome {
            id: 7,
            code: Code::NOT_FOUND,
            data: empty_object(),
            output: String::new(),
        };
        assert_eq!(
            serde_json::to_string(&outcome).unwrap(),
            r#"{"id":7,"code":5,"data":{}}"#
        );
    }

    #[test]
    fn a_code_is_shown_by_its_name() {
        for (code, name) in Code::NAMES {
            assert_eq!(code.to_string(), name);
        }
        assert_eq!(Code(100).to_string(), "code 100");
    }

    #[test]
    fn names_are_short_and_plain() {
        assert!(is_name("person") && is_name("key_add2") && is_name(&"a".repeat(32)));
        for bad in ["", "Person", "2a", "_a", "a-b", &"a".repeat(33)] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }
}
