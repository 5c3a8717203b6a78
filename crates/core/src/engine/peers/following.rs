//! Following the key events of a peer, and what happens to a peer that breaks the protocol.

use countersign_crypto::sign::VerifyingKey;
use countersign_proto::site_identity::{KeyEventsError, KnownSite, SignedKeyEvent, SiteId};
use serde_json::json;

use super::{Site, lock};
use crate::access::Caller;
use crate::alarms::{PeerAlarm, SystemAlarm};
use crate::audit::{AuditDraft, AuditOutcome};
use crate::peers::{Peer, PeerState};
use crate::store::{Change, ChangeSet, PeerChange, StoreError};
use crate::throttle::Rate;
use crate::timestamp::Timestamp;

/// A peer whose breaches of the protocol within an hour weigh so much is suspended: ten connections
/// that ended by one, thirty wrong lines, or 150 operations above its rate.
const MAX_FAULTS: u32 = 300;
/// The time over which faults are counted, in milliseconds: an hour.
const FAULTS_WITHIN: u64 = 3_600_000;

/// A breach of the protocol by a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerBreach {
    /// A line that is neither an operation nor an expected result.
    Line,
    /// An operation above its rate, within a second of another one. An honest site rests after the
    /// first one.
    Rate,
    /// A breach that ends a connection at once.
    Connection,
}

impl PeerBreach {
    const fn weight(self) -> u32 {
        match self {
            Self::Line => 10,
            Self::Rate => 2,
            Self::Connection => 30,
        }
    }
}

/// Whether a contradiction shows that the peer's key was stolen: a holder of the newest known key
/// made the event, or sent it. Anyone can send others, and an alarm of theirs would hide the real one.
pub(super) fn is_fork(
    known: &KnownSite,
    events: &[SignedKeyEvent],
    error: &KeyEventsError,
    proven: Option<VerifyingKey>,
) -> bool {
    let has_key = proven == Some(known.keys().signing);
    match error {
        KeyEventsError::Fork { .. } => has_key || known.is_contradicted_by_its_key(events),
        KeyEventsError::BadSignature { .. } => has_key,
        _ => false,
    }
}

impl Site {
    /// Follows key events of a peer and stores the newest one. `None` if they contradict what is
    /// known, if one is missing, or if the peer replaced its key too often. `proven` is the key that
    /// the sender of the events proved. Contradictions raise an alarm if [`is_fork`].
    pub(super) async fn follow_peer(
        &self,
        peer: Peer,
        events: &[SignedKeyEvent],
        proven: Option<VerifyingKey>,
        now: Timestamp,
    ) -> Result<Option<Peer>, StoreError> {
        let newest = peer.known.newest().event().number;
        let goes_on = events.iter().any(|event| event.event().number > newest);
        let rate = Rate::FollowedKeys(peer.site());
        // Asked before anything is verified. It is no breach of the peer's: its events are public, so
        // that another client may have sent them.
        if goes_on && self.throttle().rates().wait(rate, now).is_some() {
            return Ok(None);
        }
        match peer.known.advance(events) {
            Ok(known) if known == peer.known => Ok(Some(peer)),
            // Counted again: another connection may have been faster.
            Ok(_) if self.throttle().rates().take(rate, now).is_err() => Ok(None),
            Ok(known) => self.store_key_event(peer, known, now).await.map(Some),
            Err(error) => {
                if is_fork(&peer.known, events, &error, proven) {
                    self.report_peer(&peer, PeerAlarm::Fork);
                    self.audit_fork(&peer, &error, now).await?;
                }
                Ok(None)
            }
        }
    }

    /// Audits a contradiction, at most once an hour for each peer.
    async fn audit_fork(
        &self,
        peer: &Peer,
        error: &KeyEventsError,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let counted = self.throttle().rates().take(Rate::Forks(peer.site()), now);
        if counted.is_err() {
            return Ok(());
        }
        let details = json!({ "zone": peer.zone, "why": error.to_string() });
        let audit = AuditDraft {
            target: Some(peer.site().to_string()),
            outcome: AuditOutcome::Failed,
            details: details.to_string(),
            ..AuditDraft::done(&Caller::site(), "peer.fork", now)
        };
        let set = ChangeSet::new(Vec::new(), audit);
        self.store().commit(set).await.map(|_| ())
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
        let followed = self.follow_peer(peer, events, None, now).await?;
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

    /// Counts a breach of the protocol by a peer, over all its connections. If the breaches within
    /// an hour are too many, the peer is suspended, with an alarm to the admins.
    ///
    /// # Errors
    /// [`StoreError`] when the peer cannot be suspended.
    pub async fn peer_fault(
        &self,
        site: SiteId,
        breach: PeerBreach,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // An honest site rests after a busy answer, but may have sent other operations before.
        if breach == PeerBreach::Rate {
            let first = self.throttle().rates().take(Rate::Busy(site), now);
            if first.is_ok() {
                return Ok(());
            }
        }
        let count = {
            let mut faults = lock(&self.peering().faults);
            let (count, since) = faults.entry(site).or_insert((0, now));
            if now >= since.plus_millis(FAULTS_WITHIN) || now < *since {
                (*count, *since) = (0, now);
            }
            *count = count.saturating_add(breach.weight());
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
        let why = "it broke the protocol too often within an hour".to_owned();
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

    fn report_peer(&self, peer: &Peer, problem: PeerAlarm) {
        let id = peer.introductions.first();
        self.report(SystemAlarm::Peer {
            site: peer.site().to_string(),
            id: id.map_or_else(String::new, |introduction| introduction.other.to_string()),
            problem,
        });
    }
}
