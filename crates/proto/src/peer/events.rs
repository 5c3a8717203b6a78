//! The key events in a join and in the first line of each side.

use serde::{Deserialize, Deserializer};

use crate::site_identity::SignedKeyEvent;

/// The most key events on one line. A site with more than this cannot join another one.
pub const MAX_PEER_EVENTS: usize = 100;
/// The longest line with key events, in bytes with its line end: [`MAX_PEER_EVENTS`] of them, and
/// room for other spellings of the same JSON.
pub const MAX_EVENTS_LINE: usize = 48 * 1024;

/// Reads at most [`MAX_PEER_EVENTS`] events.
pub(super) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<SignedKeyEvent>, D::Error> {
    let events = Vec::<SignedKeyEvent>::deserialize(from)?;
    match events.len() <= MAX_PEER_EVENTS {
        true => Ok(events),
        false => Err(serde::de::Error::custom(format_args!(
            "at most {MAX_PEER_EVENTS} key events"
        ))),
    }
}

/// The newest events of a site, at most [`MAX_PEER_EVENTS`].
pub(super) fn newest(events: &[SignedKeyEvent]) -> Vec<SignedKeyEvent> {
    let begin = events.len().saturating_sub(MAX_PEER_EVENTS);
    events.iter().skip(begin).copied().collect()
}
