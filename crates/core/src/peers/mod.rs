//! Peer sites, and the messages between their people.
//!
//! ```text
//!            suspend, by an admin or the site itself
//!   Active ───────────────────────────────────────────▶ Suspended
//!     ▲  ◀─────────────────────────────────────────────   │
//!     │                    resume                          │
//!     │ join                                               │
//!     │            remove                                  │ remove
//!  unknown ◀─────────────────────── Removed ◀──────────────┘
//!             forget, by an admin
//! ```
//!
//! A removed peer is a tombstone: no ticket makes that site a peer again before an admin forgets it.
//! Everything is bound to the peer's site id; names and zones are what the peer claims.

mod kept_heads;
mod message;
mod sealed_text;
mod void;

use std::cmp::Reverse;
use std::fmt;

use countersign_proto::name::{AccountName, Zone};
use countersign_proto::site_identity::{KnownSite, SiteId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::AccountId;
use crate::timestamp::Timestamp;

pub use kept_heads::{MAX_HEADS, superfluous_heads};
pub use message::{
    InboxMessage, MAX_INBOX, MAX_MESSAGE, MAX_NEW_RECIPIENTS, MAX_OUTBOX, MAX_OUTBOX_PEERS,
    MessageText, MessageTextError, OutboxMessage, SendState,
};
pub use sealed_text::SealedText;
pub use void::{MAX_VOID_AT_PEER, VoidAtPeer};

/// The most peers of a site, tombstones included. Each is a row and, while messages wait for it, a
/// connection.
pub const MAX_PEERS: usize = 1_000;
/// The most pairs of persons that are stored as those who introduced two sites: the first one and the
/// newest ones.
pub const MAX_INTRODUCTIONS: usize = 32;
/// The time between two updates of a peer's `last_seen`, in milliseconds: a minute.
const SEEN_EVERY: u64 = 60_000;

/// A peer as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// The peer's site id and its newest key event that this site verified.
    pub known: KnownSite,
    /// The zone that the peer claims. A site that is not removed has it alone.
    pub zone: Zone,
    /// Where the peer listens: a DNS name, an IPv4 address, or an IPv6 address in brackets.
    pub host: String,
    /// The port there.
    pub port: u16,
    /// Who introduced the two sites: the first two persons, then the others, oldest first. Never empty.
    pub introductions: Vec<Introduction>,
    /// Its state.
    pub state: PeerState,
    /// Where this site listens, as the peer knows it; `None` if that is unknown.
    #[serde(default)]
    pub told_address: Option<String>,
    /// What the peer may ask this site for.
    pub allows: Vec<PeerPermission>,
    /// When it became a peer.
    pub joined: Timestamp,
    /// When a connection with it was opened last, to a minute; `None` before the first.
    #[serde(skip)]
    pub last_seen: Option<Timestamp>,
    /// The messages that the peer accepted.
    #[serde(skip)]
    pub sent: u64,
    /// The messages that this site accepted from it.
    #[serde(skip)]
    pub received: u64,
    /// 1 at first, one more with each change.
    #[serde(skip)]
    pub revision: u64,
}

/// Two persons who introduced their sites to each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduction {
    /// The person of this site.
    pub own: AccountId,
    /// The name of that person then, which the peer presents to this site's peer port.
    pub own_name: AccountName,
    /// The person of the peer, as the peer claims.
    pub other: AccountName,
    /// When the sites were introduced.
    pub at: Timestamp,
}

/// The state of a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PeerState {
    /// Both sites may connect.
    Active,
    /// No connection is accepted or opened; messages wait.
    Suspended {
        /// The admin, or `site`.
        by: String,
        /// The reason.
        why: String,
        /// Since when.
        at: Timestamp,
    },
    /// It is no peer any more, and no ticket makes it one.
    Removed {
        /// The admin.
        by: String,
        /// Since when.
        at: Timestamp,
    },
}

/// Whose audit log a head is of, between this site and a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LogSide {
    /// Of this site; the peer countersigned it.
    Own,
    /// Of the peer; this site countersigned it.
    Peer,
}

/// Something that a peer may ask this site for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum PeerPermission {
    /// To deliver messages to the people of this site.
    Messages,
    /// To have the heads of its audit log countersigned.
    AuditHeads,
    /// To ask for tickets for its applications, which call applications of this site. Each of these
    /// must allow it too.
    Tickets,
}

impl PeerPermission {
    /// All of them, which a new peer has.
    pub const ALL: [Self; 3] = [Self::Messages, Self::AuditHeads, Self::Tickets];

    /// Its name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::AuditHeads => "audit_heads",
            Self::Tickets => "tickets",
        }
    }
}

impl PeerState {
    /// Its name in JSON and in the store.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended { .. } => "suspended",
            Self::Removed { .. } => "removed",
        }
    }
}

impl fmt::Display for PeerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Peer {
    /// The peer's site id.
    #[must_use]
    pub fn site(&self) -> SiteId {
        self.known.id()
    }

    /// Whether connections with it are accepted and opened.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        matches!(self.state, PeerState::Active)
    }

    /// Whether it is a tombstone.
    #[must_use]
    pub const fn is_removed(&self) -> bool {
        matches!(self.state, PeerState::Removed { .. })
    }

    /// Whether a person with this name, whom the peer presents, introduced it.
    #[must_use]
    pub fn was_introduced_by(&self, other: &AccountName) -> bool {
        self.introductions
            .iter()
            .any(|introduction| introduction.other == *other)
    }

    /// Stores an introduction in place of an earlier one of the same persons, whose names may have
    /// changed. That of the first two persons stays the first one, however often they repeat it, and the
    /// oldest of the others makes room: one person of the peer with many accounts must not push out all
    /// introductions that both sites know.
    pub fn introduce(&mut self, new: Introduction) {
        let is_same = |known: &Introduction| (known.own, &known.other) == (new.own, &new.other);
        if let Some(first) = self
            .introductions
            .first_mut()
            .filter(|first| is_same(first))
        {
            *first = new;
            return;
        }
        self.introductions.retain(|known| !is_same(known));
        if self.introductions.len() >= MAX_INTRODUCTIONS {
            self.introductions.remove(1);
        }
        self.introductions.push(new);
    }

    /// Who introduced the two sites, newest first.
    #[must_use]
    pub fn newest_introductions(&self) -> Vec<&Introduction> {
        let mut newest: Vec<_> = self.introductions.iter().rev().collect();
        newest.sort_by_key(|introduction| Reverse(introduction.at));
        newest
    }

    /// Whether `last_seen` is to be changed for a connection at `now`: it is older than a minute, or
    /// later than `now` because the clock was set back.
    #[must_use]
    pub fn is_seen_anew(&self, now: Timestamp) -> bool {
        self.last_seen
            .is_none_or(|seen| now >= seen.plus_millis(SEEN_EVERY) || now < seen)
    }

    /// Host and port, as a connection takes them.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The peer after a change, with the next revision.
    #[must_use]
    pub fn revised(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self.revision = self.revision.saturating_add(1);
        self
    }
}
