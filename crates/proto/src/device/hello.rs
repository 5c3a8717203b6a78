//! The first line of a device: the id of the person that it belongs to.

use serde::{Deserialize, Serialize};

use crate::json;
use crate::name::AccountName;

/// The longest line, in bytes with its line end: the longest id, each character of it escaped.
pub const MAX_HELLO: usize = 2 * 1024;

/// The line `{"id":"ada@example.org"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// The person's id. The site finds the account by the device's key, and the id must be its
    /// name.
    pub id: AccountName,
}

/// The line is no hello: the connection ends without an answer.
#[derive(Debug, thiserror::Error)]
pub enum BadHello {
    /// More than [`MAX_HELLO`] bytes.
    #[error("the first line is too long")]
    TooLong,
    /// It is not JSON of the right members.
    #[error("the first line names no person: {0}")]
    Json(#[from] serde_json::Error),
}

impl Hello {
    /// Reads the line, with or without its line end.
    ///
    /// # Errors
    /// [`BadHello`].
    pub fn read(line: &[u8]) -> Result<Self, BadHello> {
        if line.len() > MAX_HELLO {
            return Err(BadHello::TooLong);
        }
        Ok(json::read(line)?)
    }

    /// The line with its line end.
    #[must_use]
    pub fn to_line(&self) -> String {
        // A name has no character that JSON escapes.
        format!("{{\"id\":\"{}\"}}\n", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // DEV-20
    #[test]
    fn the_first_line_names_the_person_and_nothing_else() {
        let hello = Hello {
            id: "ada@example.org".parse().unwrap(),
        };
        let line = "{\"id\":\"ada@example.org\"}\n";
        assert_eq!(hello.to_line(), line);
        for spelling in [
            line,
            "{\"id\":\"Ada@Example.org\"}",
            " {\t\"\\u0069d\" : \"\\u0061da@example.org\" } \r\n",
        ] {
            assert_eq!(Hello::read(spelling.as_bytes()).unwrap(), hello);
        }
        for wrong in [
            "",
            "{}",
            "{\"id\":\"\"}",
            "{\"id\":\"ada\",\"id\":\"ada\"}",
            "{\"id\":\"ada\",\"more\":1}",
            "{\"id\":1}",
            "\"ada\"",
            "[\"ada\"]",
            "{\"id\":\"ada\"} {}",
        ] {
            assert!(Hello::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    // DEV-20
    #[test]
    fn a_first_line_at_the_limit_is_read_and_one_over_it_is_not() {
        let mut line = Hello {
            id: "ada".parse().unwrap(),
        }
        .to_line();
        line.push_str(&" ".repeat(MAX_HELLO - line.len()));
        assert!(Hello::read(line.as_bytes()).is_ok());
        line.push(' ');
        assert!(matches!(
            Hello::read(line.as_bytes()),
            Err(BadHello::TooLong)
        ));
        let id = format!("{}@{}.{}", "a".repeat(64), "b".repeat(63), "c".repeat(63));
        let escaped: String = id.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
        let line = format!("{{\"id\":\"{escaped}\"}}\n");
        assert_eq!(Hello::read(line.as_bytes()).unwrap().id.to_string(), id);
    }
}
