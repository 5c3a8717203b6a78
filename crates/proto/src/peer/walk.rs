//! Key events that a site sends to any client that asks, without a proof: they are public and
//! prove themselves.

use serde::{Deserialize, Deserializer, Serialize};

use crate::json;
use crate::site_identity::SignedKeyEvent;

/// The most key events on one line. A site with more than this cannot join another one.
pub const MAX_WALK: usize = 100;
/// The most key events in a reply to any client that asks: less than 4 KiB. A longer walk takes
/// several requests.
pub const MAX_WALK_PAGE: usize = 10;
/// The longest line with key events, in bytes with its line end: [`MAX_WALK`] of them, and room
/// for other spellings of the same JSON.
pub const MAX_WALK_LINE: usize = 48 * 1024;

/// The line `{"key_events_from":3}`: it asks for the key events from that number on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WalkRequest {
    /// The number of the first event that the client wants.
    pub key_events_from: u64,
}

impl WalkRequest {
    /// The line with its line end.
    #[must_use]
    pub fn to_line(self) -> String {
        format!("{{\"key_events_from\":{}}}\n", self.key_events_from)
    }
}

/// The line `{"key_events":["…"]}`: at most [`MAX_WALK_PAGE`] events in their order; none if the
/// site has none from that number on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalkReply {
    /// The events.
    #[serde(deserialize_with = "walk")]
    pub key_events: Vec<SignedKeyEvent>,
}

/// The line is no reply with key events. The fault is with the site.
#[derive(Debug, thiserror::Error)]
pub enum BadWalk {
    /// More than [`MAX_WALK_LINE`] bytes.
    #[error("the site's key events are too long")]
    TooLong,
    /// It is not JSON of the right members, or has more than [`MAX_WALK`] events.
    #[error("the site's key events cannot be read: {0}")]
    Json(#[from] serde_json::Error),
}

impl WalkReply {
    /// The events from `number` on, of all events of a site.
    #[must_use]
    pub fn of(events: &[SignedKeyEvent], number: u64) -> Self {
        let from = events
            .iter()
            .filter(|signed| signed.event().number >= number);
        Self {
            key_events: from.take(MAX_WALK_PAGE).copied().collect(),
        }
    }

    /// Reads the line, with or without its line end. Nothing is verified.
    ///
    /// # Errors
    /// [`BadWalk`].
    pub fn read(line: &[u8]) -> Result<Self, BadWalk> {
        if line.len() > MAX_WALK_LINE {
            return Err(BadWalk::TooLong);
        }
        Ok(json::object(line)?)
    }

    /// The line with its line end.
    #[must_use]
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

/// Reads at most [`MAX_WALK`] events.
pub(super) fn walk<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<SignedKeyEvent>, D::Error> {
    let events = Vec::<SignedKeyEvent>::deserialize(from)?;
    match events.len() <= MAX_WALK {
        true => Ok(events),
        false => Err(serde::de::Error::custom(format_args!(
            "at most {MAX_WALK} key events"
        ))),
    }
}

/// The newest events of a site, at most [`MAX_WALK`].
pub(super) fn newest(events: &[SignedKeyEvent]) -> Vec<SignedKeyEvent> {
    let begin = events.len().saturating_sub(MAX_WALK);
    events.iter().skip(begin).copied().collect()
}
