//! Following the key events of a peer.

use countersign_crypto::sign::VerifyingKey;
use countersign_proto::peer::WitnessedHead;
use countersign_proto::site_identity::{
    KeyEvent, KeyEventsError, KnownSite, SignedKeyEvent, SiteId,
};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::{PeerProblem, Site};
use crate::access::Caller;
use crate::alarms::{PeerAlarm, SystemAlarm};
use crate::audit::{AuditDraft, AuditOutcome};
use crate::peers::{LogSide, MAX_HEADS, Peer};
use crate::store::{Change, ChangeSet, PeerChange, StoreError};
use crate::throttle::Rate;
use crate::timestamp::Timestamp;

/// Whether a contradiction shows that the peer's key was stolen: a holder of the newest known key
/// made the event, or sent it. Anyone can send others, and an alarm of theirs would hide the real one.
fn is_fork(
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

/// What became of key events of a peer.
#[derive(Debug)]
pub enum FollowedEvents<T> {
    /// This site followed them, or knew them.
    Known(T),
    /// This site followed as many new keys of the peer as it may for now. This is no fault of the
    /// peer: its events are public, so that another client may have sent them.
    TooOften,
    /// The site is no active peer, an event is missing, or one contradicts what is known.
    Refused,
}

impl<T> FollowedEvents<T> {
    /// What is known of the peer afterwards; `None` if the events were not followed.
    #[must_use]
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(known) => Some(known),
            Self::TooOften | Self::Refused => None,
        }
    }
}

/// The heads that count no more after a key event: those by the key that it replaced which this site
/// countersigned after the theft, or long after the event. Heads by earlier keys count as before.
fn void_heads<'a>(
    held: &'a [WitnessedHead],
    replaced: Option<&KeyEvent>,
) -> Vec<&'a WitnessedHead> {
    let is_void = |held: &&WitnessedHead| {
        replaced.is_some_and(|event| {
            held.head.head().event.checked_add(1) == Some(event.number)
                && held.receipt.time > event.previous_counts_until()
        })
    };
    held.iter().filter(is_void).collect()
}

/// What the audit log keeps of void heads: how many there are, since when, and the newest one as the
/// peer signed it. Each has an entry of its own from when it was countersigned.
fn named(void: &[&WitnessedHead], replaced: Option<&KeyEvent>) -> Option<Value> {
    let newest = void.last()?.head;
    Some(json!({
        "heads": void.len(),
        "since": Timestamp::from_millis(replaced?.previous_counts_until()),
        "entry": newest.head().seq,
        "hash": HEXLOWER.encode(&newest.head().hash),
        "head": newest,
    }))
}

impl Site {
    /// Follows key events of a peer and stores the newest one. `proven` is the key that the sender of
    /// the events proved. Contradictions raise an alarm if [`is_fork`], and so do new events that make
    /// heads of the peer's audit log void.
    pub(super) async fn follow_peer(
        &self,
        peer: Peer,
        events: &[SignedKeyEvent],
        proven: Option<VerifyingKey>,
        now: Timestamp,
    ) -> Result<FollowedEvents<Peer>, StoreError> {
        let newest = peer.known.newest().event().number;
        let goes_on = events.iter().any(|event| event.event().number > newest);
        let rate = Rate::FollowedKeys(peer.site());
        let too_often = || {
            self.peer_problem(peer.site(), PeerProblem::NewKeysWait, now);
            Ok(FollowedEvents::TooOften)
        };
        // Asked before anything is verified.
        if goes_on && self.throttle().rates().wait(rate, now).is_some() {
            return too_often();
        }
        match peer.known.advance(events) {
            Ok(known) if known == peer.known => Ok(FollowedEvents::Known(peer)),
            // Counted again: another connection may have been faster.
            Ok(_) if self.throttle().rates().take(rate, now).is_err() => too_often(),
            Ok(known) => {
                // The first one after the known one was verified; one behind it may be forged.
                let mut events = events.iter().map(SignedKeyEvent::event);
                let replaced = events.find(|event| event.number > newest).copied();
                let followed = self.store_key_event(peer, known, replaced, now).await?;
                Ok(FollowedEvents::Known(followed))
            }
            Err(error) => {
                if is_fork(&peer.known, events, &error, proven) {
                    self.report_peer(&peer, PeerAlarm::Fork);
                    self.peer_problem(peer.site(), PeerProblem::Forked, now);
                    self.audit_fork(&peer, &error, now).await?;
                }
                Ok(FollowedEvents::Refused)
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

    /// Follows key events that a peer sent before it proved its key.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub async fn follow_key_events(
        &self,
        site: SiteId,
        events: &[SignedKeyEvent],
        now: Timestamp,
    ) -> Result<FollowedEvents<KnownSite>, StoreError> {
        let peer = self.store().peer(site).await?;
        let Some(peer) = peer.filter(Peer::is_active) else {
            return Ok(FollowedEvents::Refused);
        };
        Ok(match self.follow_peer(peer, events, None, now).await? {
            FollowedEvents::Known(peer) => FollowedEvents::Known(peer.known),
            FollowedEvents::TooOften => FollowedEvents::TooOften,
            FollowedEvents::Refused => FollowedEvents::Refused,
        })
    }

    /// `replaced` is the first of the new events. It alone makes heads void: it replaced the key that
    /// was known here, and this site countersigned no head by the keys after that.
    async fn store_key_event(
        &self,
        peer: Peer,
        known: KnownSite,
        replaced: Option<KeyEvent>,
        now: Timestamp,
    ) -> Result<Peer, StoreError> {
        let site = peer.site();
        let held = self.store().audit_heads(site, LogSide::Peer, MAX_HEADS);
        let held = held.await?;
        let void = void_heads(&held, replaced.as_ref());
        let peer = peer.revised(|peer| peer.known = known);
        let details = json!({
            "zone": peer.zone,
            "event": known.newest().event().number,
            "void_heads": named(&void, replaced.as_ref()),
        });
        let audit = AuditDraft {
            target: Some(site.to_string()),
            details: details.to_string(),
            ..AuditDraft::done(&Caller::site(), "peer.key_followed", now)
        };
        // Also if none is void: a head that is stored meanwhile may be.
        let void_heads = PeerChange::VoidHeads {
            peer: site,
            newest: held.last().map(|newest| newest.head.head().seq),
            void: void.iter().map(|head| head.head.head().seq).collect(),
        };
        let changes = [PeerChange::Update(Box::new(peer.clone())), void_heads];
        let changes = changes.into_iter().map(Change::Peer).collect();
        self.store().commit(ChangeSet::new(changes, audit)).await?;
        if !void.is_empty() {
            self.report_peer(&peer, PeerAlarm::VoidHeads);
        }
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
