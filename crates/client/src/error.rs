//! Errors of connections and operations.

use countersign_proto::operation::{Code, Outcome};
use countersign_proto::session::{Goodbye, LoginError};
use serde::Deserialize;

/// Why no session was opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The connection failed.
    #[error(
        "cannot reach {address}: {cause}; check that the site runs and that the address is right"
    )]
    Unreachable {
        /// Host and port that were tried.
        address: String,
        /// The operating system's error.
        cause: std::io::Error,
    },
    /// The login did not complete before the timeout.
    #[error("{address} did not respond in time; try again")]
    Timeout {
        /// Host and port that were tried.
        address: String,
    },
    /// The site closed the connection during the login.
    #[error("{address} closed the connection during the login; try again")]
    Closed {
        /// Host and port that were tried.
        address: String,
    },
    /// The site or this client rejected the login.
    #[error(transparent)]
    Login(#[from] LoginError),
}

/// The data of a failed operation's result.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// The stable name of the code.
    pub code: String,
    /// What happened and why.
    pub message: String,
    /// What the caller can do.
    #[serde(default)]
    pub hint: Option<String>,
    /// The invalid field of the parameters.
    #[serde(default)]
    pub field: Option<String>,
    /// When the operation may be repeated, in milliseconds from now, if the site knows.
    #[serde(default)]
    pub retry_after_ms: Option<u64>,
}

/// Why an operation did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The site ran the operation and it failed.
    #[error("{}", describe(problem.as_ref(), *code))]
    Failed {
        /// The result's code.
        code: Code,
        /// The description in the result; `None` if its data has another form.
        problem: Option<Problem>,
    },
    /// The parameters cannot be serialised as JSON.
    #[error("the parameters cannot be serialised as JSON: {0}")]
    Params(serde_json::Error),
    /// The result cannot be deserialised into the caller's type.
    #[error("the result has an unexpected form: {0}")]
    Unexpected(serde_json::Error),
    /// The site ended the session: it was terminated, it expired, or the site stopped.
    #[error("the session was ended: {}", .0.in_words())]
    Ended(Goodbye),
    /// The sender cancelled the content before it was complete. The received part must not be used.
    #[error("the content is incomplete because its sender cancelled it; discard the received part")]
    IncompleteContent,
    /// The operation is longer than the site reads on a device connection. It was not sent.
    #[error(
        "the operation has {length} bytes and the site reads at most {most}; send less at a time"
    )]
    TooLong {
        /// The length of its line in bytes.
        length: usize,
        /// The longest line that the site reads, in bytes.
        most: u32,
    },
    /// The connection was lost. It is unknown whether the operation ran.
    #[error("the connection was lost; it is unknown whether the operation ran")]
    Lost,
}

impl CallError {
    pub(crate) fn failed(outcome: &Outcome) -> Self {
        Self::Failed {
            code: outcome.code,
            problem: serde_json::from_str(outcome.data.get()).ok(),
        }
    }
}

fn describe(problem: Option<&Problem>, code: Code) -> String {
    problem.map_or_else(
        || format!("the operation failed: {code}"),
        |problem| problem.message.clone(),
    )
}
