//! Void tickets of which a peer is to be told.

use countersign_proto::broker::v2::foreign::ForeignName;
use countersign_proto::site_identity::SiteId;

use crate::timestamp::Timestamp;

/// The most consumers whose void tickets wait to be told to one peer. Tickets of further ones end
/// with their lifetime, at most an hour.
pub const MAX_VOID_AT_PEER: usize = 4_096;

/// The tickets of a consumer of this site for providers of a peer are void.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VoidAtPeer {
    /// The peer.
    pub peer: SiteId,
    /// The consumer, with the zone of this site.
    pub consumer: ForeignName,
    /// Since when.
    pub at: Timestamp,
}
