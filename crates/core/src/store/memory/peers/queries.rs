//! What the store of peers in memory answers.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use countersign_proto::name::{AccountName, Zone};
use countersign_proto::peer::WitnessedHead;
use countersign_proto::site_identity::SiteId;

use super::super::MemoryStore;
use crate::id::{AccountId, MessageId};
use crate::page::Page;
use crate::peers::{InboxMessage, LogSide, OutboxMessage, Peer, SendState, VoidAtPeer};
use crate::store::{DamagedPeer, LastReceived, Peers, StoreError, Withheld};

fn is_sent_now(message: &OutboxMessage, withheld: &Withheld) -> bool {
    let mut pairs = withheld.pairs.iter();
    message.state == SendState::Waiting
        && !withheld.accounts.contains(&message.own)
        && !pairs.any(|(peer, own, other)| {
            (peer, own, other) == (&message.peer, &message.own, &message.other)
        })
}

#[async_trait]
impl Peers for MemoryStore {
    async fn peer(&self, site: SiteId) -> Result<Option<Peer>, StoreError> {
        self.read(|rows| rows.peers.peers.get(&site).cloned()).await
    }

    async fn peer_of_zone(&self, zone: &Zone) -> Result<Option<Peer>, StoreError> {
        self.read(|rows| rows.peers.of_zone(zone).cloned()).await
    }

    async fn peers(
        &self,
        page: &Page<SiteId>,
    ) -> Result<Vec<Result<Peer, DamagedPeer>>, StoreError> {
        self.read(|rows| {
            let peers = rows.peers.peers.after(page.after.as_ref());
            let peers = peers.map(|(_, peer)| Ok(peer.clone()));
            peers.take(page.limit as usize).collect()
        })
        .await
    }

    async fn damaged_peer(&self, _: SiteId) -> Result<Option<DamagedPeer>, StoreError> {
        Ok(None)
    }

    async fn peer_count(&self) -> Result<u64, StoreError> {
        self.read(|rows| rows.peers.peers.len() as u64).await
    }

    async fn peers_awaited(&self, withheld: &Withheld) -> Result<Vec<SiteId>, StoreError> {
        self.read(|rows| {
            let waiting = rows.peers.outbox.values();
            let waiting = waiting.filter(|message| {
                rows.accounts.is_active(message.own) && is_sent_now(message, withheld)
            });
            let mut peers: Vec<_> = waiting.map(|message| message.peer).collect();
            peers.sort_unstable();
            peers.dedup();
            peers
        })
        .await
    }

    async fn waiting_messages(
        &self,
        peer: SiteId,
        withheld: &Withheld,
        limit: u32,
    ) -> Result<Vec<OutboxMessage>, StoreError> {
        self.read(|rows| {
            let waiting = rows.peers.outbox.values().filter(|message| {
                message.peer == peer
                    && rows.accounts.is_active(message.own)
                    && is_sent_now(message, withheld)
            });
            let mut places = BTreeMap::new();
            let mut placed: Vec<_> = waiting
                .map(|message| {
                    let place = places.entry((message.own, &message.other)).or_insert(0_u64);
                    *place += 1;
                    (*place, message)
                })
                .collect();
            placed.sort_by_key(|(place, _)| *place);
            let mut turns = BTreeMap::new();
            for (turn, message) in &mut placed {
                let taken = turns.entry(message.own).or_insert(0_u64);
                *taken += 1;
                *turn = *taken;
            }
            // In the order of the outbox within a turn, as the pairs were above.
            placed.sort_by_key(|(turn, _)| *turn);
            let first = placed.into_iter().take(limit as usize);
            first.map(|(_, message)| message.clone()).collect()
        })
        .await
    }

    async fn new_recipients(
        &self,
        peer: SiteId,
        own: AccountId,
    ) -> Result<Vec<AccountName>, StoreError> {
        self.read(|rows| {
            let waiting = rows.peers.outbox.values().filter(|message| {
                (message.peer, message.own) == (peer, own) && message.state == SendState::Waiting
            });
            let is_new = |other: &&AccountName| {
                let pair = rows.peers.pairs.get(&(peer, (*other).clone(), own));
                pair.is_none_or(|pair| !pair.has_accepted)
            };
            let others: BTreeSet<_> = waiting.map(|message| &message.other).collect();
            others.into_iter().filter(is_new).cloned().collect()
        })
        .await
    }

    async fn has_accepted(
        &self,
        peer: SiteId,
        other: &AccountName,
        own: AccountId,
    ) -> Result<bool, StoreError> {
        self.read(|rows| {
            let pair = rows.peers.pairs.get(&(peer, other.clone(), own));
            pair.is_some_and(|pair| pair.has_accepted)
        })
        .await
    }

    async fn outbox(
        &self,
        account: AccountId,
        page: &Page<MessageId>,
    ) -> Result<Vec<OutboxMessage>, StoreError> {
        self.read(|rows| {
            let own = rows.peers.outbox.values();
            let mut own: Vec<_> = own
                .filter(|message| message.own == account)
                .filter(|message| page.after.is_none_or(|after| message.id > after))
                .cloned()
                .collect();
            own.sort_by_key(|message| message.id);
            own.truncate(page.limit as usize);
            own
        })
        .await
    }

    async fn outbox_count(&self, account: AccountId) -> Result<u64, StoreError> {
        self.read(|rows| {
            let all = rows.peers.outbox.values();
            all.filter(|message| message.own == account).count() as u64
        })
        .await
    }

    async fn outbox_peers(&self, account: AccountId) -> Result<Vec<SiteId>, StoreError> {
        self.read(|rows| {
            let waiting = rows.peers.outbox.values().filter(|message| {
                message.own == account && matches!(message.state, SendState::Waiting)
            });
            let peers: BTreeSet<_> = waiting.map(|message| message.peer.0).collect();
            peers.into_iter().map(SiteId).collect()
        })
        .await
    }

    async fn inbox(
        &self,
        account: AccountId,
        page: &Page<u64>,
    ) -> Result<Vec<(u64, InboxMessage)>, StoreError> {
        self.read(|rows| {
            let all = rows.peers.inbox.after(page.after.as_ref());
            let own = all.filter(|(_, message)| message.own == account);
            let own = own.map(|(at, message)| (*at, message.clone()));
            own.take(page.limit as usize).collect()
        })
        .await
    }

    async fn inbox_count(&self, account: AccountId) -> Result<u64, StoreError> {
        self.read(|rows| {
            let all = rows.peers.inbox.values();
            all.filter(|message| message.own == account).count() as u64
        })
        .await
    }

    async fn last_received(
        &self,
        peer: SiteId,
        other: &AccountName,
        own: AccountId,
    ) -> Result<LastReceived, StoreError> {
        self.read(|rows| {
            let pair = rows.peers.pairs.get(&(peer, other.clone(), own));
            pair.map(|pair| pair.received.clone()).unwrap_or_default()
        })
        .await
    }

    async fn void_at_peers(&self) -> Result<Vec<VoidAtPeer>, StoreError> {
        self.read(|rows| {
            let voids = rows.peers.voids.after(None);
            let void = |((peer, consumer), at): (&(SiteId, _), &_)| VoidAtPeer {
                peer: *peer,
                consumer: Clone::clone(consumer),
                at: *at,
            };
            voids.map(void).collect()
        })
        .await
    }

    async fn audit_heads(
        &self,
        peer: SiteId,
        side: LogSide,
        limit: u32,
    ) -> Result<Vec<WitnessedHead>, StoreError> {
        self.read(|rows| {
            let keys = rows.peers.heads_of(peer, side);
            let older = keys.len().saturating_sub(limit as usize);
            let newest = keys.into_iter().skip(older);
            newest
                .filter_map(|key| rows.peers.heads.get(&key).copied())
                .collect()
        })
        .await
    }
}
