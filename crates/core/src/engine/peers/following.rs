//! Following the key events of a peer, and what happens to a peer that breaks the protocol.

use countersign_proto::site_identity::{KeyEventsError, KnownSite, SignedKeyEvent, SiteId};
use serde_json::json;

use super::{Site, lock};
use crate::access::Caller;
use crate::alarms::{PeerAlarm, SystemAlarm};
use crate::audit::AuditDraft;
use crate::peers::{Peer, PeerState};
use crate::store::{Change, ChangeSet, PeerChange, StoreError};
use crate::timestamp::Timestamp;

/// A peer that broke the protocol so often within an hour is suspended.
const MAX_FAULTS: u32 = 10;
/// The time over which faults are counted, in milliseconds: an hour.
const FAULTS_WITHIN: u64 = 3_600_000;

impl Site {
    /// Follows key events of a peer and stores the newest one. `None` if they contradict what is
    /// known, or if one is missing.
    pub(super) async fn follow_peer(
        &self,
        peer: Peer,
        events: &[SignedKeyEvent],
        now: Timestamp,
    ) -> Result<Option<Peer>, StoreError> {
        match peer.known.advance(events) {
            Ok(known) if known == peer.known => Ok(Some(peer)),
            Ok(known) => self.store_key_event(peer, known, now).await.map(Some),
            Err(KeyEventsError::Fork { .. } | KeyEventsError::BadSignature { .. }) => {
                self.report_peer(&peer, PeerAlarm::Fork);
                Ok(None)
            }
            Err(_) => Ok(None),
        }
    }

    /// Follows key events that a peer sent before it proved its key. Returns what is known of it
    /// afterwards; `None` if it is no active peer or the events contradict what is known.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub async fn follow_key_events(
        &self,
        site: SiteId,
        events: &[SignedKeyEvent],
        now: Timestamp,
    ) -> Result<Option<KnownSite>, StoreError> {
        let peer = self.store().peer(site).await?;
        let Some(peer) = peer.filter(Peer::is_active) else {
            return Ok(None);
        };
        let followed = self.follow_peer(peer, events, now).await?;
        Ok(followed.map(|peer| peer.known))
    }

    async fn store_key_event(
        &self,
        peer: Peer,
        known: KnownSite,
        now: Timestamp,
    ) -> Result<Peer, StoreError> {
        let peer = peer.revised(|peer| peer.known = known);
        let details = json!({ "zone": peer.zone, "event": known.newest().event().number });
        let audit = AuditDraft {
            target: Some(peer.site().to_string()),
            details: details.to_string(),
            ..AuditDraft::done(&Caller::site(), "peer.key_followed", now)
        };
        let change = Change::Peer(PeerChange::Update(Box::new(peer.clone())));
        self.store()
            .commit(ChangeSet::new(vec![change], audit))
            .await?;
        Ok(peer)
    }

    /// Counts a breach of the protocol by a peer. After ten within an hour the peer is suspended,
    /// with an alarm to the admins.
    ///
    /// # Errors
    /// [`StoreError`] when the peer cannot be suspended.
    pub async fn peer_fault(&self, site: SiteId, now: Timestamp) -> Result<(), StoreError> {
        let count = {
            let mut faults = lock(&self.peering().faults);
            let (count, since) = faults.entry(site).or_insert((0, now));
            if now >= since.plus_millis(FAULTS_WITHIN) || now < *since {
                (*count, *since) = (0, now);
            }
            *count = count.saturating_add(1);
            *count
        };
        if count < MAX_FAULTS {
            return Ok(());
        }
        lock(&self.peering().faults).remove(&site);
        let peer = self.store().peer(site).await?;
        let Some(peer) = peer.filter(Peer::is_active) else {
            return Ok(());
        };
        self.report_peer(&peer, PeerAlarm::Garbage);
        let why = format!("it broke the protocol {MAX_FAULTS} times within an hour");
        let state = PeerState::Suspended {
            by: Caller::site().name,
            why: why.clone(),
            at: now,
        };
        let peer = peer.revised(|peer| peer.state = state);
        let audit = AuditDraft {
            target: Some(site.to_string()),
            details: json!({ "zone": peer.zone, "why": why }).to_string(),
            ..AuditDraft::done(&Caller::site(), "peer.suspended", now)
        };
        let change = Change::Peer(PeerChange::Update(Box::new(peer)));
        self.store()
            .commit(ChangeSet::new(vec![change], audit))
            .await
            .map(|_| ())
    }

    pub(super) fn report_peer(&self, peer: &Peer, problem: PeerAlarm) {
        let id = peer.introductions.first();
        self.report(SystemAlarm::Peer {
            site: peer.site().to_string(),
            id: id.map_or_else(String::new, |introduction| introduction.other.to_string()),
            problem,
        });
    }
}
