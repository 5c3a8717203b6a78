//! Peers, and the messages between their people.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_proto::name::{AccountName, Zone};
use countersign_proto::peer::WitnessedHead;
use countersign_proto::site_identity::SiteId;

use super::StoreError;
use crate::id::{AccountId, MessageId};
use crate::page::Page;
use crate::peers::{InboxMessage, LogSide, OutboxMessage, Peer, VoidAtPeer};
use crate::timestamp::Timestamp;

/// Reads peers and messages.
#[async_trait]
pub trait Peers: Send + Sync {
    /// The peer with that site id, tombstones included.
    async fn peer(&self, site: SiteId) -> Result<Option<Peer>, StoreError>;

    /// The peer that claims that zone and is not removed.
    async fn peer_of_zone(&self, zone: &Zone) -> Result<Option<Peer>, StoreError>;

    /// The peers by their site id, tombstones included. A damaged peer is an entry of the list and
    /// does not prevent reading the others.
    async fn peers(
        &self,
        page: &Page<SiteId>,
    ) -> Result<Vec<Result<Peer, DamagedPeer>>, StoreError>;

    /// The peer with that site id if it exists and cannot be read.
    async fn damaged_peer(&self, site: SiteId) -> Result<Option<DamagedPeer>, StoreError>;

    /// The number of peers, tombstones included.
    async fn peer_count(&self) -> Result<u64, StoreError>;

    /// The peers for which messages of active accounts wait that are not withheld, whatever the state
    /// of the peers.
    async fn peers_awaited(&self, withheld: &Withheld) -> Result<Vec<SiteId>, StoreError>;

    /// The messages of active accounts that wait for a peer and are not withheld, each pair of persons
    /// in its order. Accounts take turns, so that one with many messages delays no other by more than
    /// one; of an account, the first of each pair come before the second of any.
    async fn waiting_messages(
        &self,
        peer: SiteId,
        withheld: &Withheld,
        limit: u32,
    ) -> Result<Vec<OutboxMessage>, StoreError>;

    /// The messages in the outbox of a person, oldest first.
    async fn outbox(
        &self,
        account: AccountId,
        page: &Page<MessageId>,
    ) -> Result<Vec<OutboxMessage>, StoreError>;

    /// The number of messages in the outbox of a person.
    async fn outbox_count(&self, account: AccountId) -> Result<u64, StoreError>;

    /// The peers for which messages of a person wait, by their site ids.
    async fn outbox_peers(&self, account: AccountId) -> Result<Vec<SiteId>, StoreError>;

    /// The persons of a peer to whom messages of a person of this site wait, and who have accepted
    /// none yet.
    async fn new_recipients(
        &self,
        peer: SiteId,
        own: AccountId,
    ) -> Result<Vec<AccountName>, StoreError>;

    /// Whether a person of a peer has accepted a message of a person of this site.
    async fn has_accepted(
        &self,
        peer: SiteId,
        other: &AccountName,
        own: AccountId,
    ) -> Result<bool, StoreError>;

    /// The messages in the inbox of a person, in the order in which they were received.
    async fn inbox(
        &self,
        account: AccountId,
        page: &Page<u64>,
    ) -> Result<Vec<(u64, InboxMessage)>, StoreError>;

    /// The number of messages in the inbox of a person.
    async fn inbox_count(&self, account: AccountId) -> Result<u64, StoreError>;

    /// The last messages that were received for a pair of persons.
    async fn last_received(
        &self,
        peer: SiteId,
        other: &AccountName,
        own: AccountId,
    ) -> Result<LastReceived, StoreError>;

    /// The void tickets of which peers are to be told.
    async fn void_at_peers(&self) -> Result<Vec<VoidAtPeer>, StoreError>;

    /// The newest heads of one side's audit log that the other side countersigned, by their number.
    async fn audit_heads(
        &self,
        peer: SiteId,
        side: LogSide,
        limit: u32,
    ) -> Result<Vec<WitnessedHead>, StoreError>;
}

/// A peer whose stored form cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedPeer {
    /// Its site id.
    pub site: SiteId,
    /// The zone that it claims.
    pub zone: String,
    /// What is wrong with the stored form.
    pub problem: String,
}

/// Messages that are not sent now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Withheld {
    /// The senders in lockdown.
    pub accounts: Vec<AccountId>,
    /// The pairs of persons that a peer asked to wait: the peer, the sender and the recipient.
    pub pairs: Vec<(SiteId, AccountId, AccountName)>,
}

/// The most ids that are kept of a pair: as many as a peer may send again after it got no reply,
/// which is one batch.
pub const MAX_RECENT: usize = 32;

/// The last messages that were received of a pair of persons.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastReceived {
    /// The number of the last one; 0 before the first.
    pub number: u64,
    /// The ids of the last ones, newest first, at most [`MAX_RECENT`].
    pub recent: Vec<MessageId>,
}

/// One change of peers or of their messages.
#[derive(Debug, Clone, PartialEq)]
pub enum PeerChange {
    /// A new peer. [`StoreError::Conflict`] if the site is a peer or a tombstone, or if another
    /// peer has the zone.
    Insert(Box<Peer>),
    /// Replaces a peer, except its counters. The revision must be one more than the stored one's.
    Update(Box<Peer>),
    /// A connection with a peer was opened. Changes nothing when the peer is gone.
    See {
        /// The peer.
        site: SiteId,
        /// When the connection was opened.
        at: Timestamp,
    },
    /// Deletes a tombstone with its messages. [`StoreError::Stale`] if the peer has another
    /// revision or is not removed.
    Forget {
        /// The peer.
        site: SiteId,
        /// The revision that the decision was based on.
        revision: u64,
    },
    /// Deletes a damaged peer with its messages. [`StoreError::Stale`] if it can be read.
    ForgetDamaged(SiteId),
    /// Puts a message into the outbox and numbers it.
    Send(Box<OutboxMessage>),
    /// The peer accepted a message: it leaves the outbox. Changes nothing when it is not there.
    Delivered {
        /// The message.
        id: MessageId,
        /// The peer.
        peer: SiteId,
    },
    /// The peer will not accept a message, or its text is damaged. Changes nothing when it is not there.
    Undeliverable {
        /// The message.
        id: MessageId,
        /// The peer.
        peer: SiteId,
        /// The reason.
        why: String,
        /// When that was found.
        at: Timestamp,
    },
    /// A message arrived. [`StoreError::Stale`] of [`Thing::Message`](super::Thing::Message) if
    /// another one of the pair arrived since the decision.
    Receive {
        /// The message.
        message: Box<InboxMessage>,
        /// The number of the last one of the pair that the decision was based on; 0 before the first.
        last: u64,
    },
    /// Stores a head of an audit log with its receipt, and deletes the
    /// [`superfluous_heads`](crate::peers::superfluous_heads) of that side. A head of this site
    /// replaces the one with the same number and hash. A head of the peer is [`StoreError::Stale`]
    /// of [`Thing::AuditHead`](super::Thing::AuditHead) unless its number is greater than that of
    /// each stored one. So is a head if the peer has another revision than the given one.
    /// [`StoreError::NotFound`] if the peer is gone.
    Witness {
        /// The peer.
        peer: SiteId,
        /// Whose log it is.
        side: LogSide,
        /// The head with its receipt.
        head: Box<WitnessedHead>,
        /// The revision of the peer that has the key which signed the head; `None` for any.
        revision: Option<u64>,
    },
    /// Deletes heads of a peer's log that a new key event of the peer makes void.
    /// [`StoreError::Stale`] of [`Thing::AuditHead`](super::Thing::AuditHead) if a head was stored
    /// since the decision.
    VoidHeads {
        /// The peer.
        peer: SiteId,
        /// The number of the newest stored head, void or not; `None` if there is none.
        newest: Option<u64>,
        /// The numbers of the heads that are deleted.
        void: Vec<u64>,
    },
    /// Peers are to be told that tickets are void. Forgets those that have ended since. Leaves out
    /// peers that are gone, and further consumers while
    /// [`MAX_VOID_AT_PEER`](crate::peers::MAX_VOID_AT_PEER) others wait for the peer.
    Void(Arc<[VoidAtPeer]>),
    /// A peer was told that these tickets are void. Those that became void again since stay.
    ToldVoid(Vec<VoidAtPeer>),
    /// Deletes a message from the outbox of a person. [`StoreError::NotFound`] if it is not there.
    DiscardSent {
        /// The message.
        id: MessageId,
        /// The person.
        own: AccountId,
    },
    /// Deletes all messages from the outbox of a person that wait.
    DiscardWaiting {
        /// The person.
        own: AccountId,
    },
    /// Deletes a message from the inbox of a person. [`StoreError::NotFound`] if it is not there.
    DiscardReceived {
        /// The message.
        id: MessageId,
        /// The person.
        own: AccountId,
    },
}

impl PeerChange {
    /// The person whose messages it changes.
    #[must_use]
    pub fn account(&self) -> Option<AccountId> {
        match self {
            Self::Send(message) => Some(message.own),
            Self::Receive { message, .. } => Some(message.own),
            Self::DiscardSent { own, .. }
            | Self::DiscardWaiting { own }
            | Self::DiscardReceived { own, .. } => Some(*own),
            Self::Insert(_)
            | Self::Update(_)
            | Self::See { .. }
            | Self::Forget { .. }
            | Self::ForgetDamaged(_)
            | Self::Delivered { .. }
            | Self::Witness { .. }
            | Self::Undeliverable { .. }
            | Self::Void(_)
            | Self::ToldVoid(_)
            | Self::VoidHeads { .. } => None,
        }
    }
}
