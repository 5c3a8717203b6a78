//! The heads of peers' audit logs: which this site countersigns.
//!
//! ```text
//! head of the peer, by its newest key? ──no──▶ refused
//!   │ yes
//!   ├─ number greater than every stored one ──▶ stored with the receipt, countersigned
//!   ├─ the newest stored one again           ──▶ countersigned before
//!   ├─ smaller number, signed earlier        ──▶ older: it was delayed
//!   └─ everything else                       ──▶ contradicted: the peer's log was altered
//! ```

use countersign_proto::peer::{AuditHead, AuditReceipt, WitnessedHead};

use super::{HeadOffer, HeadReply, HeadState};
use crate::alarms::PeerAlarm;
use crate::engine::Site;
use crate::peers::{LogSide, MAX_HEADS, Peer};
use crate::store::{Change, PeerChange, StoreError};
use crate::timestamp::Timestamp;

/// What this site does with the head of a peer.
#[derive(Debug)]
pub(crate) struct HeadDecision {
    /// The reply.
    pub(crate) reply: HeadReply,
    /// Stores the head; `None` if nothing is stored. The commit is stale if another head of the
    /// peer with that number or a greater one was stored meanwhile, or the peer has another key since.
    pub(crate) change: Option<Change>,
    /// The stored head that the head contradicts, if it does.
    pub(crate) contradicted: Option<WitnessedHead>,
}

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadRefused {
    /// The site is sealed and cannot sign.
    Sealed,
    /// The head is not by the newest key of the peer.
    NotSigned,
}

impl Site {
    /// The audit log of a peer contradicts what the peer signed before: the admins get an alarm.
    pub(crate) fn report_altered_log(&self, peer: &Peer) {
        self.report_peer(peer, PeerAlarm::Log);
    }

    /// Decides about the head of a peer's log.
    pub(crate) async fn countersign(
        &self,
        peer: &Peer,
        offer: &HeadOffer,
        now: Timestamp,
    ) -> Result<Result<HeadDecision, HeadRefused>, StoreError> {
        let Some(keys) = self.unsealed_keys() else {
            return Ok(Err(HeadRefused::Sealed));
        };
        let Some(own) = keys.events.last().map(|event| event.event().number) else {
            return Ok(Err(HeadRefused::Sealed));
        };
        let (site, head) = (peer.site(), offer.head.head());
        // The connection proved the newest key; a new one ends it.
        if head.site != site
            || head.event != peer.known.newest().event().number
            || offer.head.verify(&peer.known.keys().signing).is_err()
        {
            return Ok(Err(HeadRefused::NotSigned));
        }
        let mut held = self
            .store()
            .audit_heads(site, LogSide::Peer, MAX_HEADS)
            .await?;
        let (state, contradicted) = compare(head, &held);
        if !offer.all {
            // The evidence of a contradiction, or the newest one.
            let shown = contradicted.or_else(|| held.last().copied());
            held = shown.into_iter().collect();
        }
        let is_new = state == HeadState::Countersigned
            && held
                .last()
                .is_none_or(|last| last.head.head().seq < head.seq);
        let receipt = is_new
            .then(|| AuditReceipt::new(&offer.head, (self.id(), own), &keys.key, now.millis()));
        let change = receipt.map(|receipt| {
            Change::Peer(PeerChange::Witness {
                peer: site,
                side: LogSide::Peer,
                head: Box::new(WitnessedHead {
                    head: offer.head,
                    receipt,
                }),
                revision: Some(peer.revision),
            })
        });
        Ok(Ok(HeadDecision {
            reply: HeadReply {
                state,
                receipt,
                held,
            },
            change,
            contradicted,
        }))
    }
}

/// Compares a head with those that are stored, in the order of their numbers. Returns the stored one
/// that it contradicts, if it does.
fn compare(head: &AuditHead, held: &[WitnessedHead]) -> (HeadState, Option<WitnessedHead>) {
    let Some(newest) = held.last() else {
        return (HeadState::Countersigned, None);
    };
    if head.seq > newest.head.head().seq {
        return (HeadState::Countersigned, None);
    }
    let forked = held.iter().find(|stored| {
        let stored = stored.head.head();
        stored.seq == head.seq && stored.hash != head.hash
    });
    if let Some(forked) = forked {
        return (HeadState::Contradicted, Some(*forked));
    }
    let stored = newest.head.head();
    match (stored.seq == head.seq, head.time < stored.time) {
        (true, _) => (HeadState::Countersigned, None),
        // It was on its way when the later one was sent.
        (false, true) => (HeadState::Older, None),
        (false, false) => (HeadState::Contradicted, Some(*newest)),
    }
}
