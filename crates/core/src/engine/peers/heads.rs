//! Heads of audit logs between peers: what this site sends, what it countersigns, and what becomes
//! of the receipts.

use countersign_proto::peer::{AuditHead, AuditReceipt, SignedAuditHead, WitnessedHead};
use countersign_proto::site_identity::{SignedKeyEvent, SiteId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Site, lock};
use crate::access::Caller;
use crate::alarms::PeerAlarm;
use crate::audit::AuditDraft;
use crate::page::Page;
use crate::peers::{LogSide, MAX_HEADS, MAX_PEERS, Peer};
use crate::store::{Change, ChangeSet, PeerChange, StoreError};
use crate::timestamp::Timestamp;

/// The head of a site's audit log, for a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeadOffer {
    /// The head: base64url of 152 bytes.
    #[schemars(with = "String")]
    pub head: SignedAuditHead,
    /// The key event with the key that signed it: base64url of 281 bytes.
    #[schemars(with = "String")]
    pub event: SignedKeyEvent,
    /// Whether the peer returns all heads of this log that it holds.
    #[serde(default)]
    pub all: bool,
}

/// What the peer did with a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HeadState {
    /// It stored and countersigned the head.
    Countersigned,
    /// It holds a later head, or another one with the same number.
    Contradicted,
}

/// The result of `peer audit_head`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeadReply {
    /// What the peer did.
    pub state: HeadState,
    /// Its receipt: base64url of 144 bytes; absent if it contradicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub receipt: Option<AuditReceipt>,
    /// The newest head that the peer held before, or all of them: each with its receipt.
    #[serde(default)]
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    pub held: Vec<WitnessedHead>,
}

/// A head that this site offers, and the event after which it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedHead {
    /// What is sent.
    pub offer: HeadOffer,
    wanted: u64,
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
    /// Sends the head of the audit log to all peers at once. Returns the number of the event.
    pub(crate) fn send_heads(&self) -> u64 {
        let wanted = lock(&self.peering().heads).want();
        self.wake_peers();
        wanted
    }

    /// The active peers that wait for a head.
    pub(super) async fn peers_due(&self, now: Timestamp) -> Result<Vec<SiteId>, StoreError> {
        if lock(&self.peering().heads).looks(now) {
            let active = self.active_peers().await?;
            let active: Vec<_> = active.iter().map(Peer::site).collect();
            lock(&self.peering().heads).look(&active, now);
        }
        Ok(lock(&self.peering().heads).due())
    }

    /// Whether a peer waits for the head of the audit log and could be reached so far.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub async fn peers_without_head(&self, now: Timestamp) -> Result<bool, StoreError> {
        let mut due = self.peers_due(now).await?.into_iter();
        Ok(due.any(|site| self.last_peer_problem(site).is_none()))
    }

    pub(super) async fn active_peers(&self) -> Result<Vec<Peer>, StoreError> {
        let page = Page {
            after: None,
            limit: u32::try_from(MAX_PEERS).unwrap_or(u32::MAX),
        };
        let peers = self.store().peers(&page).await?;
        Ok(peers.into_iter().filter(Peer::is_active).collect())
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
        let Some(event) = keys.events.last().copied().filter(|_| end.seq > 0) else {
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
        let offer = HeadOffer { head, event, all };
        Ok(Some(OfferedHead { offer, wanted }))
    }

    /// A peer did not reply to a head, or refused it. The next one is sent with the next turn.
    pub fn head_refused(&self, site: SiteId, offered: &OfferedHead, now: Timestamp) {
        lock(&self.peering().heads).tried(site, offered.wanted, false, now);
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
            self.head_refused(site, offered, now);
            return Ok(());
        };
        let known = self.store().audit_heads(site, LogSide::Own, MAX_HEADS);
        let known = known.await?;
        let own = reply.receipt.map(|receipt| WitnessedHead {
            head: offered.offer.head,
            receipt,
        });
        let held = reply.held.into_iter().take(MAX_HEADS as usize);
        let mut contradicted = false;
        let mut new = Vec::new();
        for head in held.chain(own) {
            let is_known = known.contains(&head);
            if is_known || self.is_witnessed(&head, &peer) {
                contradicted |= !self.log_has(head.head.head()).await?;
                new.extend((!is_known).then_some(head));
            }
        }
        if !new.is_empty() {
            let changes = new.iter().map(|head| {
                Change::Peer(PeerChange::Witness {
                    peer: site,
                    side: LogSide::Own,
                    head: Box::new(*head),
                })
            });
            let details = json!({
                "zone": peer.zone,
                "entry": offered.offer.head.head().seq,
                "state": reply.state,
                "heads": new.len(),
            });
            let audit = AuditDraft {
                target: Some(site.to_string()),
                details: details.to_string(),
                ..AuditDraft::done(&Caller::site(), "peer.countersigned", now)
            };
            let set = ChangeSet::new(changes.collect(), audit);
            self.store().commit(set).await?;
        }
        if contradicted {
            self.report_peer(&peer, PeerAlarm::OwnLog);
        }
        lock(&self.peering().heads).tried(site, offered.wanted, true, now);
        Ok(())
    }

    /// Whether a head is one of this site, signed by one of its keys, with a receipt of that peer. A
    /// receipt by an older key of the peer came over a connection that proved the newest one.
    pub(super) fn is_witnessed(&self, witnessed: &WitnessedHead, peer: &Peer) -> bool {
        let WitnessedHead { head, receipt } = witnessed;
        let newest = peer.known.newest().event().number;
        let receipt_is_right = receipt.witness == peer.site()
            && receipt.is_for(head)
            && match receipt.event.cmp(&newest) {
                std::cmp::Ordering::Less => true,
                std::cmp::Ordering::Equal => receipt.verify(&peer.known.keys().signing).is_ok(),
                std::cmp::Ordering::Greater => false,
            };
        head.head().site == self.id() && receipt_is_right && self.signed_head(head)
    }

    /// Whether one of this site's keys signed a head, before the key was stolen if it was.
    fn signed_head(&self, head: &SignedAuditHead) -> bool {
        let events = self.key_events();
        let number = head.head().event;
        let mut of = events.iter().map(SignedKeyEvent::event);
        let Some(event) = of.find(|event| event.number == number) else {
            return false;
        };
        let stolen = of.next().and_then(|next| next.compromised_since);
        stolen.is_none_or(|stolen| head.head().time <= stolen)
            && head.verify(&event.keys.signing).is_ok()
    }

    /// Whether the log has the entry with that number and hash.
    pub(super) async fn log_has(&self, head: &AuditHead) -> Result<bool, StoreError> {
        let page = Page {
            after: Some(head.seq.saturating_sub(1)),
            limit: 1,
        };
        let entries = self.store().audit(&page).await?;
        let entry = entries.first();
        Ok(entry.is_some_and(|entry| entry.seq == head.seq && entry.hash == head.hash))
    }

    /// Decides about the head of a peer's log. Returns the reply, and the change that stores the
    /// head; `None` for a head that is stored already, or that contradicts a stored one.
    pub(crate) async fn countersign(
        &self,
        peer: Peer,
        offer: &HeadOffer,
        now: Timestamp,
    ) -> Result<Result<(HeadReply, Option<Change>), HeadRefused>, StoreError> {
        let Some(keys) = self.unsealed_keys() else {
            return Ok(Err(HeadRefused::Sealed));
        };
        let Some(own) = keys.events.last().map(|event| event.event().number) else {
            return Ok(Err(HeadRefused::Sealed));
        };
        let head = offer.head.head();
        // Its key may have been replaced while the connection was open.
        let followed = self.follow_peer(peer, &[offer.event], now).await?;
        let peer = followed.filter(|peer| {
            head.site == peer.site()
                && head.event == peer.known.newest().event().number
                && offer.head.verify(&peer.known.keys().signing).is_ok()
        });
        let Some(peer) = peer else {
            return Ok(Err(HeadRefused::NotSigned));
        };
        let site = peer.site();
        let most = if offer.all { MAX_HEADS } else { 1 };
        let held = self.store().audit_heads(site, LogSide::Peer, most).await?;
        let newest = held.last().copied();
        let same = newest.filter(|newest| {
            let newest = newest.head.head();
            (newest.seq, newest.hash) == (head.seq, head.hash)
        });
        if let Some(same) = same {
            let reply = HeadReply {
                state: HeadState::Countersigned,
                // The receipt is for the head that was sent first, which `held` contains.
                receipt: Some(same.receipt).filter(|receipt| receipt.is_for(&offer.head)),
                held,
            };
            return Ok(Ok((reply, None)));
        }
        if newest.is_some_and(|newest| head.seq <= newest.head.head().seq) {
            self.report_peer(&peer, PeerAlarm::Log);
            let reply = HeadReply {
                state: HeadState::Contradicted,
                receipt: None,
                held,
            };
            return Ok(Ok((reply, None)));
        }
        let receipt = AuditReceipt::new(&offer.head, (self.id(), own), &keys.key, now.millis());
        let witness = PeerChange::Witness {
            peer: site,
            side: LogSide::Peer,
            head: Box::new(WitnessedHead {
                head: offer.head,
                receipt,
            }),
        };
        let reply = HeadReply {
            state: HeadState::Countersigned,
            receipt: Some(receipt),
            held,
        };
        Ok(Ok((reply, Some(Change::Peer(witness)))))
    }
}
