//! What tickets there are.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a ticket is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum TicketKind {
    /// A person's device gets its key registered.
    Device = 1,
    /// The first admin of a new site.
    Admin = 2,
    /// A person sets a pass phrase.
    Passphrase = 3,
    /// Another site becomes a peer.
    Peer = 4,
}

impl TicketKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Device, Self::Admin, Self::Passphrase, Self::Peer];

    /// The kind's name in JSON and operations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Admin => "admin",
            Self::Passphrase => "passphrase",
            Self::Peer => "peer",
        }
    }

    /// The kind with that number in a URI, and in a store.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

impl fmt::Display for TicketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No kind of ticket has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the kinds of tickets are device, admin, passphrase and peer")]
pub struct UnknownKind;

impl FromStr for TicketKind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        let known = Self::ALL.into_iter().find(|kind| kind.name() == name);
        known.ok_or(UnknownKind)
    }
}

impl TryFrom<String> for TicketKind {
    type Error = UnknownKind;

    fn try_from(name: String) -> Result<Self, UnknownKind> {
        name.parse()
    }
}

impl From<TicketKind> for &'static str {
    fn from(kind: TicketKind) -> Self {
        kind.name()
    }
}
