//! What can go wrong, and what its reader can do.

use countersign_proto::operation::{Code, Outcome};
use countersign_proto::session::{Goodbye, LoginError};
use serde::Deserialize;

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing answers there; see that the site runs and that the address is right.
    #[error("cannot reach {address}: {cause}")]
    Unreachable {
        /// Host and port that were tried.
        address: String,
        /// What the operating system says.
        cause: std::io::Error,
    },
    /// The site did not answer in time.
    #[error("no answer from {address} in time")]
    TooSlow {
        /// Host and port that were tried.
        address: String,
    },
    /// The connection broke before the login was over.
    #[error("{address} closed the connection before the login was over")]
    Closed {
        /// Host and port that were tried.
        address: String,
    },
    /// The login was refused, by the site or by this side.
    #[error(transparent)]
    Login(#[from] LoginError),
}

/// What a failed operation says of itself (the data of its result).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// The stable name of the code.
    pub code: String,
    /// What went wrong.
    pub message: String,
    /// What can be done about it.
    #[serde(default)]
    pub hint: Option<String>,
    /// The offending field of the parameters.
    #[serde(default)]
    pub field: Option<String>,
    /// After how many milliseconds it may be repeated, where the site knows.
    #[serde(default)]
    pub retry_after_ms: Option<u64>,
}

/// Why an operation has no good result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The site ran the operation and it failed.
    #[error("{}", describe(problem.as_ref(), *code))]
    Failed {
        /// The result's code.
        code: Code,
        /// What the site says of it; absent when it says nothing in the usual form.
        problem: Option<Problem>,
    },
    /// The parameters cannot be written as JSON.
    #[error("the parameters cannot be written as JSON: {0}")]
    Params(serde_json::Error),
    /// The result is not what the caller expects.
    #[error("the result has another form than expected: {0}")]
    Unexpected(serde_json::Error),
    /// The session is over: cut, expired, or the site stopped.
    #[error("the session was ended: {}", .0.in_words())]
    Ended(Goodbye),
    /// Content ended before it was whole, or its digest is wrong: what came of it means nothing.
    #[error("the content is not whole: its sender gave up")]
    Broken,
    /// The connection broke; whether the operation ran is not known.
    #[error("the connection was lost; whether the operation ran is not known")]
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
