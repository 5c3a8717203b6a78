//! Following the key events of a peer.

use countersign_crypto::sign::VerifyingKey;
use countersign_proto::site_identity::{KeyEventsError, KnownSite, SignedKeyEvent, SiteId};
use serde_json::json;

use super::{PeerProblem, Site};
use crate::access::Caller;
use crate::alarms::{PeerAlarm, SystemAlarm};
use crate::audit::{AuditDraft, AuditOutcome};
use crate::peers::Peer;
use crate::store::{Change, ChangeSet, PeerChange, StoreError};
use crate::throttle::Rate;
use crate::timestamp::Timestamp;

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
                    self.peer_problem(peer.site(), PeerProblem::Forked, now);
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
        let mut changes = vec![PeerChange::Update(Box::new(peer.clone()))];
        // What a thief of the previous key signed is void, also the heads of the peer's audit log.
        changes.extend(known.newest().event().compromised_since.map(|since| {
            PeerChange::VoidHeads {
                peer: peer.site(),
                since: Timestamp::from_millis(since),
            }
        }));
        let changes = changes.into_iter().map(Change::Peer).collect();
        self.store().commit(ChangeSet::new(changes, audit)).await?;
        Ok(peer)
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
