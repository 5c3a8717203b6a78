//! Telling peers the address of this site.
//!
//! ```text
//! address told to the peer, as stored ──another one──▶ due: this site connects ──▶ stored as told
//!                                                       ▲        │ refused, or busy
//!                                                       └─ waits ┘
//! ```
//!
//! What a peer was told is stored with the peer, so that a change is told also after a restart.

use std::collections::BTreeMap;

use countersign_proto::site_identity::SiteId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{PEER_TRIES, Site, is_past, lock};
use crate::access::Caller;
use crate::audit::AuditDraft;
use crate::engine::ClientAddress;
use crate::peers::Peer;
use crate::store::{Change, ChangeSet, PeerChange, StoreError};
use crate::timestamp::Timestamp;

/// The time after which a peer that refused the address is told again, in milliseconds: a peer takes
/// one in 10 minutes. One that is busy says how long; this site waits no longer for it.
const REFUSED_FOR: u64 = 600_000;
/// The least time after which a busy peer is told again, in milliseconds: longer than a connection
/// without anything to do lasts.
const BUSY_FOR: u64 = 60_000;

/// When a peer refused the address, and after how many milliseconds it is told again.
type Refused = (Timestamp, u64);

/// Where peers reach a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PeerAddressNotice {
    /// A DNS name, an IPv4 address, or an IPv6 address in brackets.
    pub host: String,
    /// The port there.
    #[schemars(range(min = 1))]
    pub port: u16,
}

/// The peers that know an earlier address of this site. There are as many as peers at most.
#[derive(Default)]
pub(super) struct Untold {
    /// The address of this site with which the peers were compared.
    own: Option<ClientAddress>,
    /// The peers, and the last refusal of each.
    peers: BTreeMap<SiteId, Option<Refused>>,
}

impl Untold {
    /// Whether the list of peers is to be read.
    pub(super) fn looks(&self, own: Option<&ClientAddress>) -> bool {
        self.own.as_ref() != own
    }

    /// Takes the peers. One that was told no address yet knows that of its ticket, and is told on the
    /// next connection.
    pub(super) fn look(&mut self, own: Option<ClientAddress>, peers: &[Peer]) {
        if self.looks(own.as_ref()) {
            // Another address may be accepted.
            self.peers.clear();
            self.own = own;
        }
        let own = self.own.as_ref().map(ToString::to_string);
        let knows_another = |peer: &&Peer| {
            let told = peer.told_address.as_ref();
            peer.is_active() && own.is_some() && told.is_some() && told != own.as_ref()
        };
        let untold = peers.iter().filter(knows_another).map(|peer| {
            let refused = self.peers.get(&peer.site()).copied().flatten();
            (peer.site(), refused)
        });
        self.peers = untold.collect();
    }

    /// The peers for whose sake this site connects.
    pub(super) fn due(&self, now: Timestamp) -> Vec<SiteId> {
        let due = self.peers.iter().filter(|(_, refused)| {
            refused.is_none_or(|(refused, wait)| is_past(refused, wait, now))
        });
        due.map(|(site, _)| *site).collect()
    }

    fn refused(&mut self, site: SiteId, wait: Option<u64>, now: Timestamp) {
        if let Some(refused) = self.peers.get_mut(&site) {
            let wait = wait.map_or(REFUSED_FOR, |wait| wait.clamp(BUSY_FOR, REFUSED_FOR));
            *refused = Some((now, wait));
        }
    }
}

impl Site {
    /// The address of this site, if it is another one than the peer was told.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub async fn address_for(&self, site: SiteId) -> Result<Option<PeerAddressNotice>, StoreError> {
        let Some(own) = self.endpoints().peer else {
            return Ok(None);
        };
        let peer = self.store().peer(site).await?;
        let is_new = peer.is_some_and(|peer| peer.told_address != Some(own.to_string()));
        Ok(is_new.then_some(PeerAddressNotice {
            host: own.host,
            port: own.port,
        }))
    }

    /// The peer refused the address of this site. It is told again later: after `wait` milliseconds, if the
    /// peer was busy and said so.
    pub fn address_refused(&self, site: SiteId, wait: Option<u64>, now: Timestamp) {
        lock(&self.peering().untold).refused(site, wait, now);
    }

    /// The peer stored the address of this site.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub async fn address_told(
        &self,
        site: SiteId,
        address: &PeerAddressNotice,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let is = format!("{}:{}", address.host, address.port);
        for _ in 0..PEER_TRIES {
            match self.store_told(site, &is, now).await {
                Ok(()) => {
                    let own = self.endpoints().peer;
                    let mut untold = lock(&self.peering().untold);
                    // Otherwise the peer was told an address that was replaced meanwhile.
                    if !untold.looks(own.as_ref()) && own.is_some_and(|own| own.to_string() == is) {
                        untold.peers.remove(&site);
                    }
                    return Ok(());
                }
                // The peer was changed at the same time, for example by its own new address.
                Err(StoreError::Stale { .. }) => {}
                Err(StoreError::NotFound { .. }) => return Ok(()),
                Err(trouble) => {
                    // The peer has the address. This site must not connect again and again to tell it.
                    self.address_refused(site, None, now);
                    return Err(trouble);
                }
            }
        }
        // The next connection tells it again.
        Ok(())
    }

    async fn store_told(&self, site: SiteId, is: &str, now: Timestamp) -> Result<(), StoreError> {
        let peer = self.store().peer(site).await?;
        // Two connections may have told it, if the first one was lost while this was stored.
        let peer = peer.filter(|peer| peer.is_active() && peer.told_address.as_deref() != Some(is));
        let Some(peer) = peer else {
            return Ok(());
        };
        let details = json!({ "zone": peer.zone, "was": peer.told_address, "is": is });
        let peer = peer.revised(|peer| peer.told_address = Some(is.to_owned()));
        let audit = AuditDraft {
            target: Some(site.to_string()),
            details: details.to_string(),
            ..AuditDraft::done(&Caller::site(), "peer.address_told", now)
        };
        let change = Change::Peer(PeerChange::Update(Box::new(peer)));
        let set = ChangeSet::new(vec![change], audit);
        self.store().commit(set).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const B: SiteId = SiteId([2; 32]);
    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

    /// A peer refused the address with each connection, and the site connected again at once.
    // PEER-65, PEER-82
    #[test]
    fn a_peer_that_refused_the_address_is_told_again_after_ten_minutes_whatever_the_clock_shows() {
        let mut untold = Untold::default();
        untold.peers.insert(B, None);
        assert_eq!(untold.due(NOW), [B]);
        untold.refused(B, None, NOW);
        for (millis, is_due) in [
            (0, false),
            (599_999, false),
            (600_000, true),
            // The clock was a day ahead when the peer refused.
            (-86_400_000, true),
        ] {
            let now = Timestamp::from_millis(NOW.millis() + millis);
            assert_eq!(untold.due(now) == [B], is_due, "{millis}");
        }
        // One that is busy says how long, but cannot hold the address back for longer, nor have this site
        // connect again and again: with a wait of 0 it did.
        for (wait, later) in [(0, 60_000), (90_000, 90_000), (u64::MAX, 600_000)] {
            untold.refused(B, Some(wait), NOW);
            assert_eq!(untold.due(NOW.plus_millis(later - 1)), []);
            assert_eq!(untold.due(NOW.plus_millis(later)), [B]);
        }
        // One that need not be told stays away.
        untold.peers.clear();
        untold.refused(B, None, NOW);
        assert_eq!(untold.due(NOW), []);
    }
}
