//! The head of this site's audit log: who gets it, and what the receipts of peers say about the log.

mod countersigning;
mod schedule;
mod witnesses;

use countersign_proto::operation::Code;
use countersign_proto::peer::{AuditHead, AuditReceipt, SignedAuditHead, WitnessedHead};
use countersign_proto::site_identity::{SignedKeyEvent, SiteId, statement_counts};
use data_encoding::HEXLOWER;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Site, lock};
use crate::access::Caller;
use crate::alarms::PeerAlarm;
use crate::audit::AuditDraft;
use crate::lockdown::Activity;
use crate::page::Page;
use crate::peers::{LogSide, MAX_HEADS, MAX_PEERS, Peer};
use crate::store::{Change, ChangeSet, DamagedPeer, PeerChange, StoreError};
use crate::timestamp::Timestamp;

pub(crate) use countersigning::HeadRefused;
pub(crate) use schedule::HeadSchedule;
pub(crate) use witnesses::Witness;
pub(super) use witnesses::WitnessesAsked;

/// The head of a site's audit log, for a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeadOffer {
    /// The head, signed with the site's newest key: base64url of 152 bytes.
    #[schemars(with = "String")]
    pub head: SignedAuditHead,
    /// Whether the peer returns all heads of this log that it holds.
    #[serde(default)]
    pub all: bool,
}

/// What the peer did with a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HeadState {
    /// It stored and countersigned the head, now or before.
    Countersigned,
    /// It holds a later head that was signed later: this one was delayed. It did nothing.
    Older,
    /// It holds another head with the same number, or a later one that was signed earlier.
    Contradicted,
}

/// The result of `peer audit_head`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeadReply {
    /// Whether the peer countersigned the head.
    pub state: HeadState,
    /// The receipt for this head: base64url of 144 bytes; absent if the peer did not store it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub receipt: Option<AuditReceipt>,
    /// The newest head that the peer held before, or all of them: each with its receipt.
    #[serde(default)]
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    pub held: Vec<WitnessedHead>,
}

/// A head that this site offers to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedHead {
    /// The offer as it is sent.
    pub offer: HeadOffer,
    /// The number of the event after which it is sent.
    wanted: u64,
}

/// What a head with its receipt proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadProof {
    /// This site signed it, and that peer saw it.
    Signed,
    /// The peer saw it after the key that signed it was stolen or replaced: a thief may have made it.
    Void,
    /// This site did not sign it, or the receipt is not of that peer.
    Forged,
}

impl Site {
    /// Sends the head of the audit log to all peers at once. Returns the number of the event.
    pub(crate) fn send_heads(&self) -> u64 {
        let wanted = lock(&self.peering().heads).want();
        self.wake_peers();
        wanted
    }

    /// The active peers that wait for a head.
    async fn peers_without_newest_head(&self, now: Timestamp) -> Result<Vec<SiteId>, StoreError> {
        let own = self.endpoints().peer;
        let is_told = !lock(&self.peering().untold).looks(own.as_ref());
        if !is_told || lock(&self.peering().heads).looks(now) {
            let peers = self.all_peers().await?;
            let active = peers.iter().filter(|peer| peer.is_active());
            let active: Vec<_> = active.map(Peer::site).collect();
            lock(&self.peering().heads).look(&active, now);
            lock(&self.peering().untold).look(own, &peers);
        }
        Ok(lock(&self.peering().heads).due(now))
    }

    /// The active peers that wait for a head, or know an earlier address of this site.
    pub(super) async fn peers_due(&self, now: Timestamp) -> Result<Vec<SiteId>, StoreError> {
        let mut due = self.peers_without_newest_head(now).await?;
        due.extend(lock(&self.peering().untold).due(now));
        Ok(due)
    }

    /// Whether a peer waits for the head of the audit log, no lockdown refuses the connection, and
    /// the last attempt to reach the peer did not fail.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub async fn peers_without_head(&self, now: Timestamp) -> Result<bool, StoreError> {
        let mut due = self.peers_without_newest_head(now).await?.into_iter();
        Ok(due.any(|site| {
            self.permits_peer(Activity::PeerConnection, site)
                && self.last_peer_problem(site).is_none()
        }))
    }

    /// All peers that can be read, tombstones included: the work on them continues beside a damaged
    /// one.
    pub(crate) async fn all_peers(&self) -> Result<Vec<Peer>, StoreError> {
        let listed = self.listed_peers().await?;
        Ok(listed.into_iter().flatten().collect())
    }

    /// All peers, damaged ones and tombstones included.
    pub(crate) async fn listed_peers(&self) -> Result<Vec<Result<Peer, DamagedPeer>>, StoreError> {
        let page = Page {
            after: None,
            limit: u32::try_from(MAX_PEERS).unwrap_or(u32::MAX),
        };
        self.store().peers(&page).await
    }

    /// The head to send on a connection with a peer; `None` if none is due, or the site is sealed.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub async fn head_for(
        &self,
        site: SiteId,
        now: Timestamp,
    ) -> Result<Option<OfferedHead>, StoreError> {
        let due = lock(&self.peering().heads).on_connection(site, now);
        let (Some((wanted, all)), Some(keys)) = (due, self.unsealed_keys()) else {
            return Ok(None);
        };
        let end = self.store().audit_head().await?;
        let Some(event) = keys.events.last().filter(|_| end.seq > 0) else {
            return Ok(None);
        };
        let head = AuditHead {
            site: self.id(),
            event: event.event().number,
            seq: end.seq,
            hash: end.hash,
            time: now.millis(),
        };
        let head = SignedAuditHead::new(head, &keys.key);
        let offer = HeadOffer { head, all };
        Ok(Some(OfferedHead { offer, wanted }))
    }

    /// When the next head is sent to a peer that was busy a moment ago; `None` if the peer does not
    /// rest.
    #[must_use]
    pub fn head_rests_until(&self, site: SiteId, now: Timestamp) -> Option<Timestamp> {
        lock(&self.peering().heads).rests_until(site, now)
    }

    /// A peer refused a head with this code, or its result could not be read. The next head is sent
    /// later. `wait` is the time that a busy peer told, in milliseconds.
    pub fn head_refused(
        &self,
        site: SiteId,
        offered: &OfferedHead,
        (code, wait): (Code, Option<u64>),
        now: Timestamp,
    ) {
        let mut heads = lock(&self.peering().heads);
        match code {
            Code::BUSY => heads.busy(site, wait, now),
            code => heads.refused(site, offered.wanted, code, now),
        }
    }

    /// A peer did not answer a head in time. The next head is sent in its turn.
    pub fn head_unanswered(&self, site: SiteId, offered: &OfferedHead, now: Timestamp) {
        lock(&self.peering().heads).unanswered(site, offered.wanted, now);
    }

    /// Stores the receipt of a peer and the heads that it held, and compares them with the log. A
    /// head that this site signed and that is not in its log means that the log was altered: the
    /// admins get an alarm. Receipts that do not verify are not stored.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails; the head is sent again then.
    pub async fn head_answered(
        &self,
        site: SiteId,
        offered: &OfferedHead,
        reply: HeadReply,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let peer = self.store().peer(site).await?;
        let Some(peer) = peer.filter(Peer::is_active) else {
            self.head_refused(site, offered, (Code::NOT_PERMITTED, None), now);
            return Ok(());
        };
        let known = self.store().audit_heads(site, LogSide::Own, MAX_HEADS);
        let known = known.await?;
        let own = reply.receipt.map(|receipt| WitnessedHead {
            head: offered.offer.head,
            receipt,
        });
        let held = reply.held.into_iter().take(MAX_HEADS as usize);
        let mut differs = None;
        let mut new = Vec::new();
        for head in held.chain(own) {
            if self.proof_of(&head, &peer) != HeadProof::Signed {
                continue;
            }
            if !self.log_has(head.head.head()).await? {
                let seq = head.head.head().seq;
                differs = Some(differs.map_or(seq, |first: u64| first.min(seq)));
            }
            if !known.contains(&head) {
                new.push(head);
            }
        }
        if !new.is_empty() {
            let sent = offered.offer.head.head();
            let details = json!({
                "zone": peer.zone,
                "entry": sent.seq,
                "hash": HEXLOWER.encode(&sent.hash),
                "state": reply.state,
                "heads": new.len(),
                "differs": differs,
            });
            let audit = AuditDraft {
                target: Some(site.to_string()),
                details: details.to_string(),
                ..AuditDraft::done(&Caller::site(), "peer.countersigned", now)
            };
            let changes = new.into_iter().map(|head| {
                Change::Peer(PeerChange::Witness {
                    peer: site,
                    side: LogSide::Own,
                    head: Box::new(head),
                    revision: None,
                })
            });
            let set = ChangeSet::new(changes.collect(), audit);
            self.store().commit(set).await?;
        }
        if differs.is_some() {
            self.report_peer(&peer, PeerAlarm::OwnLog);
        }
        lock(&self.peering().heads).answered(site, offered.wanted, now);
        Ok(())
    }

    /// What a head with the receipt of a peer proves. A receipt by an older key of the peer came
    /// over a connection that proved the newest one, and this site knows the newest one alone.
    pub(super) fn proof_of(&self, witnessed: &WitnessedHead, peer: &Peer) -> HeadProof {
        let WitnessedHead { head, receipt } = witnessed;
        let newest = peer.known.newest().event().number;
        let is_receipt = receipt.witness == peer.site()
            && receipt.is_for(head)
            && match receipt.event.cmp(&newest) {
                std::cmp::Ordering::Less => true,
                std::cmp::Ordering::Equal => receipt.verify(&peer.known.keys().signing).is_ok(),
                std::cmp::Ordering::Greater => false,
            };
        let events = self.key_events();
        let mut signers = events.iter().map(SignedKeyEvent::event);
        let signer = signers
            .find(|event| event.number == head.head().event)
            .filter(|event| head.verify(&event.keys.signing).is_ok());
        let Some(signer) = signer.filter(|_| is_receipt && head.head().site == self.id()) else {
            return HeadProof::Forged;
        };
        match statement_counts(&events, &signer.keys, receipt.time) {
            true => HeadProof::Signed,
            false => HeadProof::Void,
        }
    }

    /// Whether the log has the entry with that number and hash.
    pub(in crate::engine) async fn log_has(&self, head: &AuditHead) -> Result<bool, StoreError> {
        let page = Page {
            after: Some(head.seq.saturating_sub(1)),
            limit: 1,
        };
        let entries = self.store().audit(&page).await?;
        let entry = entries.first();
        Ok(entry.is_some_and(|entry| entry.seq == head.seq && entry.hash == head.hash))
    }
}
