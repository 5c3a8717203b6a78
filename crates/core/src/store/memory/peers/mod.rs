//! Peers, and the messages between their people.

mod queries;

use countersign_proto::broker::v2::foreign::ForeignName;
use countersign_proto::broker::v2::limits::MAX_FOREIGN_TICKET;
use countersign_proto::name::{AccountName, Zone};
use countersign_proto::peer::WitnessedHead;
use countersign_proto::site_identity::SiteId;

use super::rows::Rows;
use crate::id::{AccountId, MessageId};
use crate::peers::{
    InboxMessage, LogSide, MAX_VOID_AT_PEER, OutboxMessage, Peer, SendState, VoidAtPeer,
    superfluous_heads,
};
use crate::store::{LastReceived, MAX_RECENT, PeerChange, StoreError, Thing, Unique};
use crate::timestamp::Timestamp;

/// A pair of persons: of a peer, and of this site.
type Pair = (SiteId, AccountName, AccountId);

/// A head of an audit log: the peer, whose log it is, its number and hash.
type HeadKey = (SiteId, LogSide, u64, [u8; 32]);

const NO_PEER: StoreError = StoreError::NotFound { what: Thing::Peer };
const STALE_HEAD: StoreError = StoreError::Stale {
    what: Thing::AuditHead,
};
const NO_MESSAGE: StoreError = StoreError::NotFound {
    what: Thing::Message,
};

/// The number of the last message that was sent, and what was received.
#[derive(Debug, Clone, Default, PartialEq)]
struct PairNumbers {
    sent: u64,
    /// Whether the other person has accepted a message.
    has_accepted: bool,
    received: LastReceived,
}

#[derive(Debug, Default)]
pub(super) struct PeerRows {
    peers: Rows<SiteId, Peer>,
    /// What is known of each pair.
    pairs: Rows<Pair, PairNumbers>,
    /// By the order in which they came.
    outbox: Rows<u64, OutboxMessage>,
    inbox: Rows<u64, InboxMessage>,
    last: Rows<(), u64>,
    /// By peer, side, number and hash.
    heads: Rows<HeadKey, WitnessedHead>,
    /// By peer and consumer: since when its tickets are void.
    voids: Rows<(SiteId, ForeignName), Timestamp>,
}

impl PeerRows {
    pub(super) fn apply(
        &mut self,
        change: &PeerChange,
        has_account: impl Fn(AccountId) -> bool,
    ) -> Result<(), StoreError> {
        let expect = |account: AccountId| {
            let what = Thing::Account;
            has_account(account)
                .then_some(())
                .ok_or(StoreError::NotFound { what })
        };
        match change {
            PeerChange::Insert(peer) => {
                if self.peers.get(&peer.site()).is_some() {
                    let what = Unique::Peer;
                    return Err(StoreError::Conflict { what });
                }
                self.put(peer)
            }
            PeerChange::Update(peer) => {
                let stored = self.peers.get(&peer.site()).ok_or(NO_PEER)?;
                if stored.revision.checked_add(1) != Some(peer.revision) {
                    let what = Thing::Peer;
                    return Err(StoreError::Stale { what });
                }
                let (last_seen, sent, received) = (stored.last_seen, stored.sent, stored.received);
                self.put(&Peer {
                    last_seen,
                    sent,
                    received,
                    ..(**peer).clone()
                })
            }
            PeerChange::See { site, at } => {
                self.change(*site, |peer| peer.last_seen = Some(*at));
                Ok(())
            }
            PeerChange::Forget { site, revision } => self.forget(*site, *revision),
            // Peers in memory are never damaged.
            PeerChange::ForgetDamaged(site) => {
                let what = Thing::Peer;
                Err(match self.peers.get(site) {
                    Some(_) => StoreError::Stale { what },
                    None => NO_PEER,
                })
            }
            PeerChange::Send(message) => {
                expect(message.own)?;
                self.peers.get(&message.peer).ok_or(NO_PEER)?;
                self.send(message);
                Ok(())
            }
            PeerChange::Delivered { id, peer } => {
                if let Some(at) = self.sent(*id, |message| message.peer == *peer) {
                    self.accepted(at);
                    self.outbox.remove(&at);
                    self.change(*peer, |peer| peer.sent += 1);
                }
                Ok(())
            }
            PeerChange::Undeliverable { id, peer, why, at } => {
                let place = self.sent(*id, |message| message.peer == *peer);
                let found = place.and_then(|place| Some((place, self.outbox.get(&place)?.clone())));
                if let Some((place, mut message)) = found {
                    let (why, at) = (why.clone(), *at);
                    message.state = SendState::Refused { why, at };
                    self.outbox.put(place, message);
                }
                Ok(())
            }
            PeerChange::Receive { message, last } => {
                expect(message.own)?;
                self.peers.get(&message.peer).ok_or(NO_PEER)?;
                self.receive(message, *last)
            }
            PeerChange::Witness {
                peer,
                side,
                head,
                revision,
            } => {
                let stored = self.peers.get(peer).ok_or(NO_PEER)?.revision;
                if revision.is_some_and(|revision| revision != stored) {
                    return Err(STALE_HEAD);
                }
                self.witness(*peer, *side, head)
            }
            PeerChange::VoidHeads { peer, newest, void } => {
                let keys = self.heads_of(*peer, LogSide::Peer);
                if keys.last().map(|(_, _, seq, _)| *seq) != *newest {
                    return Err(STALE_HEAD);
                }
                let void = keys.iter().filter(|(_, _, seq, _)| void.contains(seq));
                void.for_each(|key| self.heads.remove(key));
                Ok(())
            }
            PeerChange::Void(void) => {
                self.void(void);
                Ok(())
            }
            PeerChange::ToldVoid(told) => {
                for VoidAtPeer { peer, consumer, at } in told {
                    let key = (*peer, consumer.clone());
                    if self.voids.get(&key) == Some(at) {
                        self.voids.remove(&key);
                    }
                }
                Ok(())
            }
            PeerChange::DiscardSent { id, own } => {
                let at = self.sent(*id, |message| message.own == *own);
                self.outbox.remove(&at.ok_or(NO_MESSAGE)?);
                Ok(())
            }
            PeerChange::DiscardWaiting { own } => {
                let waiting = self.outbox.after(None).filter(|(_, message)| {
                    message.own == *own && message.state == SendState::Waiting
                });
                let waiting: Vec<_> = waiting.map(|(at, _)| *at).collect();
                waiting.iter().for_each(|at| self.outbox.remove(at));
                Ok(())
            }
            PeerChange::DiscardReceived { id, own } => {
                let at = self.received(*id, *own).ok_or(NO_MESSAGE)?;
                self.inbox.remove(&at);
                Ok(())
            }
        }
    }

    fn void(&mut self, voids: &[VoidAtPeer]) {
        let latest = voids.iter().map(|void| void.at).max();
        let ended = |at: &Timestamp| latest >= Some(at.plus_millis(MAX_FOREIGN_TICKET));
        let gone = self.voids.after(None).filter(|(_, at)| ended(at));
        let gone: Vec<_> = gone.map(|(key, _)| key.clone()).collect();
        gone.iter().for_each(|key| self.voids.remove(key));
        for void in voids {
            let key = (void.peer, void.consumer.clone());
            let waiting = self
                .voids
                .after(None)
                .filter(|((peer, _), _)| *peer == void.peer);
            let has_room = waiting.count() < MAX_VOID_AT_PEER || self.voids.get(&key).is_some();
            if has_room && self.peers.get(&void.peer).is_some() {
                self.voids.put(key, void.at);
            }
        }
    }

    fn put(&mut self, peer: &Peer) -> Result<(), StoreError> {
        let site = peer.site();
        let other = self.of_zone(&peer.zone);
        if !peer.is_removed() && other.is_some_and(|other| other.site() != site) {
            let what = Unique::PeerZone;
            return Err(StoreError::Conflict { what });
        }
        self.peers.put(site, peer.clone());
        Ok(())
    }

    fn of_zone(&self, zone: &Zone) -> Option<&Peer> {
        let mut peers = self.peers.values();
        peers.find(|peer| peer.zone == *zone && !peer.is_removed())
    }

    fn change(&mut self, site: SiteId, change: impl FnOnce(&mut Peer)) {
        if let Some(mut peer) = self.peers.get(&site).cloned() {
            change(&mut peer);
            self.peers.put(site, peer);
        }
    }

    fn forget(&mut self, site: SiteId, revision: u64) -> Result<(), StoreError> {
        let peer = self.peers.get(&site).ok_or(NO_PEER)?;
        if peer.revision != revision || !peer.is_removed() {
            let what = Thing::Peer;
            return Err(StoreError::Stale { what });
        }
        self.peers.remove(&site);
        self.retain(|peer, _| peer != site);
        for side in [LogSide::Own, LogSide::Peer] {
            let keys = self.heads_of(site, side);
            keys.iter().for_each(|key| self.heads.remove(key));
        }
        let voids = self
            .voids
            .after(None)
            .filter(|((peer, _), _)| *peer == site);
        let voids: Vec<_> = voids.map(|(key, _)| key.clone()).collect();
        voids.iter().for_each(|key| self.voids.remove(key));
        Ok(())
    }

    /// Deletes the messages of a deleted account.
    pub(super) fn delete_of(&mut self, account: AccountId) {
        self.retain(|_, own| own != account);
    }

    fn retain(&mut self, keep: impl Fn(SiteId, AccountId) -> bool) {
        let gone = |(at, peer, own): (u64, SiteId, AccountId)| (!keep(peer, own)).then_some(at);
        let sent = self.outbox.after(None);
        let sent: Vec<_> = sent
            .filter_map(|(at, message)| gone((*at, message.peer, message.own)))
            .collect();
        sent.iter().for_each(|at| self.outbox.remove(at));
        let received = self.inbox.after(None);
        let received: Vec<_> = received
            .filter_map(|(at, message)| gone((*at, message.peer, message.own)))
            .collect();
        received.iter().for_each(|at| self.inbox.remove(at));
        let pairs = self.pairs.after(None);
        let pairs: Vec<_> = pairs
            .filter(|((peer, _, own), _)| !keep(*peer, *own))
            .map(|(pair, _)| pair.clone())
            .collect();
        pairs.iter().for_each(|pair| self.pairs.remove(pair));
    }

    fn send(&mut self, message: &OutboxMessage) {
        let pair = (message.peer, message.other.clone(), message.own);
        let mut numbers = self.pairs.get(&pair).cloned().unwrap_or_default();
        let number = message.number.max(numbers.sent.saturating_add(1));
        numbers.sent = number;
        self.pairs.put(pair, numbers);
        let place = self.place();
        let message = OutboxMessage {
            number,
            ..message.clone()
        };
        self.outbox.put(place, message);
    }

    /// The message at this place of the outbox was accepted.
    fn accepted(&mut self, at: u64) {
        if let Some(message) = self.outbox.get(&at) {
            let pair = (message.peer, message.other.clone(), message.own);
            let mut numbers = self.pairs.get(&pair).cloned().unwrap_or_default();
            numbers.has_accepted = true;
            self.pairs.put(pair, numbers);
        }
    }

    fn receive(&mut self, message: &InboxMessage, last: u64) -> Result<(), StoreError> {
        let pair = (message.peer, message.other.clone(), message.own);
        let mut numbers = self.pairs.get(&pair).cloned().unwrap_or_default();
        let received = &mut numbers.received;
        if received.number != last {
            let what = Thing::Message;
            return Err(StoreError::Stale { what });
        }
        received.number = message.number;
        received.recent.insert(0, message.id);
        received.recent.truncate(MAX_RECENT);
        self.pairs.put(pair, numbers);
        let place = self.place();
        self.inbox.put(place, message.clone());
        self.change(message.peer, |peer| peer.received += 1);
        Ok(())
    }

    fn witness(
        &mut self,
        peer: SiteId,
        side: LogSide,
        witnessed: &WitnessedHead,
    ) -> Result<(), StoreError> {
        let head = witnessed.head.head();
        let newest = self.heads_of(peer, side).last().map(|(_, _, seq, _)| *seq);
        if side == LogSide::Peer && newest >= Some(head.seq) {
            return Err(STALE_HEAD);
        }
        self.heads
            .put((peer, side, head.seq, head.hash), *witnessed);
        let keys = self.heads_of(peer, side).into_iter().rev();
        let heads = keys.filter_map(|key| Some((key, self.heads.get(&key)?.receipt.time)));
        let deleted = superfluous_heads(heads);
        deleted.iter().for_each(|key| self.heads.remove(key));
        Ok(())
    }

    fn heads_of(&self, peer: SiteId, side: LogSide) -> Vec<HeadKey> {
        let range = (peer, side, 0, [0; 32])..=(peer, side, u64::MAX, [u8::MAX; 32]);
        self.heads.range(range).map(|(key, _)| *key).collect()
    }

    /// The next number in the order of messages.
    fn place(&mut self) -> u64 {
        let next = self.last.get(&()).copied().unwrap_or(0).saturating_add(1);
        self.last.put((), next);
        next
    }

    fn sent(&self, id: MessageId, of: impl Fn(&OutboxMessage) -> bool) -> Option<u64> {
        let mut all = self.outbox.after(None);
        let found = all.find(|(_, message)| message.id == id && of(message));
        found.map(|(at, _)| *at)
    }

    fn received(&self, id: MessageId, own: AccountId) -> Option<u64> {
        let mut all = self.inbox.after(None);
        let found = all.find(|(_, message)| message.id == id && message.own == own);
        found.map(|(at, _)| *at)
    }

    pub(super) fn commit(&mut self) {
        self.peers.commit();
        self.pairs.commit();
        self.outbox.commit();
        self.inbox.commit();
        self.last.commit();
        self.heads.commit();
        self.voids.commit();
    }

    pub(super) fn roll_back(&mut self) {
        self.peers.roll_back();
        self.pairs.roll_back();
        self.outbox.roll_back();
        self.inbox.roll_back();
        self.last.roll_back();
        self.heads.roll_back();
        self.voids.roll_back();
    }
}
