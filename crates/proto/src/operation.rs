//! The envelopes of operations, their results, and events: the same whichever door they come through.
//!
//! As JSON lines they read `{"id":1,"group":"person","command":"show","params":{"name":"maria"}}` and
//! `{"id":1,"code":0,"data":{…},"output":"…"}`; inside a session they travel as RISP
//! (`docs/protocol/session.md`, Messages).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The longest name of a group, command or event, in bytes.
pub const MAX_NAME: usize = 32;

/// One command to a site.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Chosen by the caller; the result carries it.
    pub id: u64,
    /// The group, for instance `person`.
    pub group: String,
    /// The command, for instance `create`.
    pub command: String,
    /// The parameters, a JSON object; `{}` when left out.
    #[serde(default = "empty_object")]
    pub params: Box<RawValue>,
}

/// The result of an operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// The operation's id.
    pub id: u64,
    /// Whether it succeeded, and if not, what kind of failure it is.
    pub code: Code,
    /// The data, or for a failure what is wrong: `{code, message, hint?, field?}`.
    pub data: Box<RawValue>,
    /// Text to show; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
}

/// A result that nobody asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// The group that it belongs to, for instance `session`.
    pub group: String,
    /// What happened, for instance `expiring`.
    pub event: String,
    /// More about it, a JSON object.
    pub data: Box<RawValue>,
}

/// The kind of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Code(pub u16);

impl Code {
    /// It was done.
    pub const SUCCESS: Self = Self(0);
    /// It is no operation: a name or the parameters are missing or no JSON.
    pub const MALFORMED: Self = Self(1);
    /// No operation has that group and command.
    pub const UNKNOWN_OPERATION: Self = Self(2);
    /// The parameters are not the operation's; the data names the field.
    pub const INVALID_PARAMS: Self = Self(3);
    /// The caller may not run it.
    pub const NOT_PERMITTED: Self = Self(4);
    /// What it is about does not exist.
    pub const NOT_FOUND: Self = Self(5);
    /// What it would make exists, or was changed by somebody else meanwhile.
    pub const CONFLICT: Self = Self(6);
    /// The site's key has not been opened.
    pub const SEALED: Self = Self(7);
    /// The site has too much to do just now.
    pub const BUSY: Self = Self(8);
    /// A lockdown refuses it.
    pub const LOCKDOWN: Self = Self(9);
    /// The site failed; its log says why.
    pub const INTERNAL: Self = Self(10);
    /// The first code that an embedding application may give a meaning of its own.
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

    /// The code's stable name; `None` for an application's own.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Self::NAMES
            .iter()
            .find(|(code, _)| *code == self)
            .map(|(_, name)| *name)
    }

    /// The code of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(code, _)| *code)
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

/// Whether a text may name a group, a command or an event: `[a-z][a-z0-9_]{0,31}`.
#[must_use]
pub fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

impl Operation {
    /// An operation with parameters that are JSON already.
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
    fn a_code_is_known_by_its_name() {
        for (code, name) in Code::NAMES {
            assert_eq!(
                (code.to_string().as_str(), Code::from_name(name)),
                (name, Some(code))
            );
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
