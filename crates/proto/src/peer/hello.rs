//! The first line of each side of a connection between peers.

use serde::{Deserialize, Serialize};

use super::{MAX_EVENTS_LINE, events};
use crate::device::DeviceWelcome;
use crate::json;
use crate::name::AccountName;
use crate::site_identity::{SignedKeyEvent, SiteId};

/// The longest line of either side, in bytes with its line end.
pub const MAX_PEER_HELLO: usize = MAX_EVENTS_LINE + 4 * 1024;

/// The line `{"site":"…","id":"ada@a.example","events":["…"]}` of the site that connects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerHello {
    /// The site's id. The other site finds the peer by it, and so knows which key to expect.
    pub site: SiteId,
    /// The site's person who introduced the two sites.
    pub id: AccountName,
    /// The site's newest key events, at most [`MAX_PEER_EVENTS`](super::MAX_PEER_EVENTS): its peer follows them
    /// if the key was replaced since they last met.
    #[serde(deserialize_with = "events::read")]
    pub events: Vec<SignedKeyEvent>,
}

/// The line `{"welcome":{…},"events":["…"]}` of the other site: the limits of the connection, and
/// its own key events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerWelcome {
    /// What the site reads and how long it waits.
    pub welcome: DeviceWelcome,
    /// The site's newest key events, at most [`MAX_PEER_EVENTS`](super::MAX_PEER_EVENTS).
    #[serde(deserialize_with = "events::read")]
    pub events: Vec<SignedKeyEvent>,
}

/// The line is no hello or welcome: the connection ends without an answer.
#[derive(Debug, thiserror::Error)]
pub enum BadPeerHello {
    /// More than [`MAX_PEER_HELLO`] bytes.
    #[error("the first line is too long")]
    TooLong,
    /// It is not JSON of the right members.
    #[error("the first line cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// A limit is 0, so that nothing could be sent.
    #[error("the first line allows nothing to be sent")]
    Zero,
}

impl PeerHello {
    /// The hello of a site that has these key events.
    #[must_use]
    pub fn new(site: SiteId, id: AccountName, events: &[SignedKeyEvent]) -> Self {
        let events = events::newest(events);
        Self { site, id, events }
    }

    /// Reads the line, with or without its line end.
    ///
    /// # Errors
    /// [`BadPeerHello`].
    pub fn read(line: &[u8]) -> Result<Self, BadPeerHello> {
        if line.len() > MAX_PEER_HELLO {
            return Err(BadPeerHello::TooLong);
        }
        Ok(json::read(line)?)
    }

    /// The line with its line end.
    #[must_use]
    pub fn to_line(&self) -> Vec<u8> {
        to_line(self)
    }
}

impl PeerWelcome {
    /// The welcome of a site that has these key events.
    #[must_use]
    pub fn new(welcome: DeviceWelcome, events: &[SignedKeyEvent]) -> Self {
        let events = events::newest(events);
        Self { welcome, events }
    }

    /// Reads the line, with or without its line end. Members that are not known are ignored, so
    /// that a later site can say more.
    ///
    /// # Errors
    /// [`BadPeerHello`].
    pub fn read(line: &[u8]) -> Result<Self, BadPeerHello> {
        if line.len() > MAX_PEER_HELLO {
            return Err(BadPeerHello::TooLong);
        }
        let read: Self = json::read(line)?;
        let limits = read.welcome;
        match [limits.idle_seconds, limits.line_bytes, limits.in_flight].contains(&0) {
            true => Err(BadPeerHello::Zero),
            false => Ok(read),
        }
    }

    /// The line with its line end.
    #[must_use]
    pub fn to_line(&self) -> Vec<u8> {
        to_line(self)
    }
}

fn to_line(form: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(form).unwrap_or_default();
    line.push(b'\n');
    line
}
