//! Void tickets across sites: the site of the consumer tells the peer, and the site of the provider
//! tells its providers.
//!
//! ```text
//! change set with a notice ──▶ waits, also in the store ──▶ `broker foreign_void` ──▶ event for the
//!                                  │                           (at the peer)         providers
//!                                  ▼ after the longest lifetime of a ticket: forgotten
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, MutexGuard, PoisonError};

use countersign_proto::broker::v2::foreign::ForeignName;
use countersign_proto::broker::v2::limits::MAX_FOREIGN_TICKET;
use countersign_proto::site_identity::SiteId;
use serde_json::json;

use crate::access::Caller;
use crate::audit::AuditDraft;
use crate::engine::Site;
use crate::peers::{MAX_VOID_AT_PEER, VoidAtPeer};
use crate::sessions::Audience;
use crate::store::{Change, ChangeSet, Notice, PeerChange, StoreError};
use crate::timestamp::Timestamp;

/// The most consumers in one operation `broker foreign_void`.
pub(crate) const MAX_VOID_NAMES: usize = 64;

/// The consumers whose void tickets wait to be told to each peer, and since when.
#[derive(Default)]
pub(crate) struct Voids {
    waiting: HashMap<SiteId, BTreeMap<ForeignName, Timestamp>>,
}

impl Voids {
    /// Forgets what has no effect any more.
    fn prune(&mut self, now: Timestamp) {
        for names in self.waiting.values_mut() {
            names.retain(|_, at| now < at.plus_millis(MAX_FOREIGN_TICKET));
        }
        self.waiting.retain(|_, names| !names.is_empty());
    }
}

impl Site {
    /// The tickets of consumers for providers of peers are void: the peers are to be told.
    pub(in crate::engine) fn void_at_peers(&self, new: &[VoidAtPeer]) {
        {
            let mut voids = self.voids();
            if let Some(latest) = new.iter().map(|void| void.at).max() {
                voids.prune(latest);
            }
            for VoidAtPeer { peer, consumer, at } in new {
                let names = voids.waiting.entry(*peer).or_default();
                if names.len() < MAX_VOID_AT_PEER || names.contains_key(consumer) {
                    names.insert(consumer.clone(), *at);
                }
            }
        }
        self.wake_peers();
    }

    /// How many of these peers could not be told of all: too many consumers wait for them already.
    pub(crate) fn peers_without_room(&self, new: &[VoidAtPeer]) -> usize {
        let voids = self.voids();
        let mut further = BTreeMap::<SiteId, usize>::new();
        for void in new {
            let names = voids.waiting.get(&void.peer);
            let is_new = names.is_none_or(|names| !names.contains_key(&void.consumer));
            *further.entry(void.peer).or_default() += usize::from(is_new);
        }
        let has_no_room = |(peer, further): &(SiteId, usize)| {
            let names = voids.waiting.get(peer);
            names.map_or(0, BTreeMap::len) + further > MAX_VOID_AT_PEER
        };
        further.into_iter().filter(has_no_room).count()
    }

    /// The peers that are to be told that tickets are void.
    #[must_use]
    pub fn peers_to_tell(&self, now: Timestamp) -> Vec<SiteId> {
        let mut voids = self.voids();
        voids.prune(now);
        voids.waiting.keys().copied().collect()
    }

    /// Tells a peer which tickets are void, at most 64 consumers. Returns whether it was told; call
    /// it again later otherwise.
    pub async fn tell_void_tickets(&self, peer: SiteId, now: Timestamp) -> bool {
        let batch: Vec<(ForeignName, Timestamp)> = {
            let voids = self.voids();
            let waiting = voids.waiting.get(&peer).into_iter().flatten();
            let waiting = waiting.map(|(name, at)| (name.clone(), *at));
            waiting.take(MAX_VOID_NAMES).collect()
        };
        if batch.is_empty() {
            return true;
        }
        let consumers: Vec<&ForeignName> = batch.iter().map(|(name, _)| name).collect();
        if !self
            .tell(peer, &json!({ "consumers": consumers }), now)
            .await
        {
            return false;
        }
        let void = |(consumer, at)| VoidAtPeer { peer, consumer, at };
        let told: Vec<_> = batch.into_iter().map(void).collect();
        let audit = AuditDraft {
            target: Some(peer.to_string()),
            details: json!({ "consumers": told.len() }).to_string(),
            ..AuditDraft::done(&Caller::site(), "peer.void_told", now)
        };
        let change = Change::Peer(PeerChange::ToldVoid(told));
        // Otherwise they are told again.
        let set = ChangeSet::new(vec![change], audit);
        self.store().commit(set).await.is_ok()
    }

    /// A peer was told that these tickets are void.
    pub(in crate::engine) fn told_void(&self, told: &[VoidAtPeer]) {
        let mut voids = self.voids();
        for VoidAtPeer { peer, consumer, at } in told {
            // Tickets that became void meanwhile are told again.
            if let Some(waiting) = voids.waiting.get_mut(peer)
                && waiting.get(consumer) == Some(at)
            {
                waiting.remove(consumer);
            }
        }
        voids.waiting.retain(|_, names| !names.is_empty());
    }

    /// Reads which peers are to be told, at the start of the site.
    pub(in crate::engine) async fn recall_voids(&self) -> Result<(), StoreError> {
        let stored = self.store().void_at_peers().await?;
        let mut voids = self.voids();
        for VoidAtPeer { peer, consumer, at } in stored {
            voids.waiting.entry(peer).or_default().insert(consumer, at);
        }
        Ok(())
    }

    fn voids(&self) -> MutexGuard<'_, Voids> {
        // The map is consistent whenever the lock is free, so a poisoned lock can be used.
        let voids = self.peering().voids.lock();
        voids.unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the notices that tell providers that the tickets of consumers of a peer are void: of
    /// these, or of all. Only providers that they may call are told.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub(crate) async fn foreign_tickets_void(
        &self,
        peer: SiteId,
        consumers: Option<&BTreeSet<ForeignName>>,
        now: Timestamp,
    ) -> Result<Vec<Notice>, StoreError> {
        let mut told: BTreeMap<ForeignName, BTreeSet<_>> = BTreeMap::new();
        self.each_application(|provider| {
            let Some(service) = provider.service else {
                return;
            };
            for grant in provider.callers {
                let is_meant = consumers.is_none_or(|names| names.contains(&grant.name));
                if grant.site == peer && is_meant {
                    told.entry(grant.name).or_default().insert(service);
                }
            }
        })
        .await?;
        let notice = |(consumer, services): (ForeignName, _)| {
            let to = Audience::Accounts(Arc::new(services));
            let data = json!({ "app": consumer, "at": now });
            let event = Notice::event(to, "broker", "tickets_void", &data);
            event.map_err(|error| StoreError::Unavailable {
                problem: error.to_string(),
            })
        };
        told.into_iter().map(notice).collect()
    }
}
