//! When this site tries again to reach a peer. The transport says it, for `peer show`.

use std::collections::HashMap;
use std::time::Duration;

use countersign_proto::site_identity::SiteId;

use crate::engine::Site;
use crate::engine::peers::lock;
use crate::timestamp::Timestamp;

/// The longest time until the next attempt.
pub const LONGEST_PEER_BACKOFF: Duration = Duration::from_secs(300);

/// The backoff of a peer that could not be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerBackoff {
    /// The attempts that failed since the last success.
    pub failures: u32,
    /// When the next one is made, if something waits for the peer then.
    pub next: Timestamp,
}

/// The backoffs. There are as many as peers at most.
#[derive(Default)]
pub(in crate::engine::peers) struct Backoffs(HashMap<SiteId, PeerBackoff>);

impl Site {
    /// The transport could not reach the peer, and waits.
    pub fn peer_waits(&self, site: SiteId, backoff: PeerBackoff) {
        lock(&self.peering().backoffs).0.insert(site, backoff);
    }

    /// The transport reached the peer, or the peer is no longer active: nothing delays the next
    /// attempt.
    pub fn peer_waits_no_more(&self, site: SiteId) {
        lock(&self.peering().backoffs).0.remove(&site);
    }

    /// The backoff of a peer; `None` if the next attempt is made at once, or its time is not known.
    pub(crate) fn peer_backoff(&self, site: SiteId, now: Timestamp) -> Option<PeerBackoff> {
        let backoffs = lock(&self.peering().backoffs);
        let backoff = backoffs.0.get(&site).copied();
        // One that is further ahead was made before the clock was set back. The transport waits by
        // another clock, so the time of the next attempt is not known.
        let last = now.plus_millis(u64::try_from(LONGEST_PEER_BACKOFF.as_millis()).unwrap_or(0));
        backoff.filter(|backoff| backoff.next > now && backoff.next <= last)
    }
}
