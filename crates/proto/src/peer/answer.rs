//! The one answer of a site that was joined.

use serde::{Deserialize, Serialize};

use super::{MAX_EVENTS_LINE, events};
use crate::json;
use crate::site_identity::SignedKeyEvent;

/// The line `{"ok":true,"events":["…"]}`: both sites are peers now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinAnswer {
    /// All key events of the site that was joined. They are not verified.
    pub events: Vec<SignedKeyEvent>,
}

/// The line's members. A site ignores those that it does not know.
#[derive(Serialize, Deserialize)]
struct Form {
    ok: bool,
    #[serde(deserialize_with = "events::read")]
    events: Vec<SignedKeyEvent>,
}

/// Why a line is no answer. The fault is with the site that was joined.
#[derive(Debug, thiserror::Error)]
pub enum BadJoinAnswer {
    /// More than [`MAX_EVENTS_LINE`] bytes.
    #[error("the site's answer is too long")]
    TooLong,
    /// It is not JSON of the right members.
    #[error("the site's answer cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// `ok` is `false`.
    #[error("the site's answer says neither yes nor no")]
    NotOk,
}

impl JoinAnswer {
    /// Reads the line, with or without its line end.
    ///
    /// # Errors
    /// [`BadJoinAnswer`].
    pub fn read(line: &[u8]) -> Result<Self, BadJoinAnswer> {
        if line.len() > MAX_EVENTS_LINE {
            return Err(BadJoinAnswer::TooLong);
        }
        let Form { ok, events } = json::read(line)?;
        match ok {
            true => Ok(Self { events }),
            false => Err(BadJoinAnswer::NotOk),
        }
    }

    /// The line with its line end.
    #[must_use]
    pub fn to_line(&self) -> Vec<u8> {
        let form = Form {
            ok: true,
            events: self.events.clone(),
        };
        let mut line = serde_json::to_vec(&form).unwrap_or_default();
        line.push(b'\n');
        line
    }
}
