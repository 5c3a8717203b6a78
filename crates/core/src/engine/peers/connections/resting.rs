//! Peers that were too busy for an operation. This site asks them for nothing for a few seconds.

use std::collections::HashMap;

use countersign_proto::site_identity::SiteId;

use crate::engine::Site;
use crate::engine::peers::{is_past, lock};
use crate::timestamp::Timestamp;

/// How long this site asks a peer for nothing after it was busy, in milliseconds.
const REST: u64 = 5_000;

/// Since when peers rest. There are as many as peers at most.
#[derive(Default)]
pub(in crate::engine::peers) struct Resting(HashMap<SiteId, Timestamp>);

impl Resting {
    fn rests(&self, site: SiteId, now: Timestamp) -> bool {
        let since = self.0.get(&site);
        since.is_some_and(|since| !is_past(*since, REST, now))
    }

    fn rest(&mut self, site: SiteId, now: Timestamp) {
        self.0.insert(site, now);
    }
}

impl Site {
    /// Whether the peer was too busy a moment ago.
    pub(in crate::engine) fn is_peer_resting(&self, site: SiteId, now: Timestamp) -> bool {
        lock(&self.peering().resting).rests(site, now)
    }

    /// The peer was too busy: asks it for nothing for 5 s.
    pub(in crate::engine) fn let_peer_rest(&self, site: SiteId, now: Timestamp) {
        lock(&self.peering().resting).rest(site, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer was busy while the clock was a day ahead. After the clock was set right, applications
    /// got no ticket of that peer for a day.
    // PEER-43
    #[test]
    fn a_busy_peer_rests_for_five_seconds_and_no_more_after_the_clock_was_set_back() {
        let site = SiteId([1; 32]);
        let mut resting = Resting::default();
        let ahead = Timestamp::from_millis(86_400_000);
        assert!(!resting.rests(site, ahead));
        resting.rest(site, ahead);
        for (millis, rests) in [(-1, false), (0, true), (4_999, true), (5_000, false)] {
            let now = Timestamp::from_millis(ahead.millis() + millis);
            assert_eq!(resting.rests(site, now), rests, "{millis}");
        }
        assert!(!resting.rests(SiteId([2; 32]), ahead));
    }
}
