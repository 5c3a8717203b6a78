//! The connections with peers: which are allowed, and what ends them.

mod attempts;
mod resting;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex};

use countersign_crypto::sign::VerifyingKey;
use countersign_proto::peer::PeerHello;
use countersign_proto::site_identity::{KnownSite, SignedKeyEvent, SiteId};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::following::FollowedEvents;
use super::{PeerBreach, PeerProblem, PeerTransport, Site, lock};
use crate::access::{Caller, Channel, PeerCaller};
use crate::audit::coalesced::Occurrence;
use crate::audit::{AuditDraft, AuditOutcome};
use crate::lockdown::Activity;
use crate::peers::Peer;
use crate::sessions::{CloseReason, CutHook};
use crate::store::{Change, ChangeSet, PeerChange, StoreError};
use crate::throttle::{Rate, Source};
use crate::timestamp::Timestamp;

pub(super) use attempts::Backoffs;
pub use attempts::{LONGEST_PEER_BACKOFF, PeerBackoff};
pub(super) use resting::Resting;

/// The most connections with one peer at a time: one from each side, and as many that are ending.
const CONNECTIONS_PER_PEER: usize = 4;
/// The most connections with one peer that were cut and have not ended, when another one is cut for a new one.
const ENDING_PER_PEER: usize = 4;

/// Which side opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PeerDirection {
    /// The peer did.
    Incoming,
    /// This site did.
    Outgoing,
}

/// A connection of a peer that asks to be served. The TLS handshake has shown that it has the key.
pub struct NewPeerConnection {
    /// The peer's first line.
    pub hello: PeerHello,
    /// The key that it proved.
    pub key: VerifyingKey,
    /// What the connection is counted by.
    pub source: Source,
    /// Ends the connection.
    pub cut: CutHook,
}

/// An open connection with a peer. It is closed when this is dropped.
#[derive(Debug)]
#[must_use]
pub struct PeerConnection {
    /// The peer.
    pub site: SiteId,
    /// The peer as a caller of operations.
    pub caller: Caller,
    /// The error with which the store did not take that the peer was seen. The next connection tries again.
    pub seen: Result<(), StoreError>,
    _registered: Registered,
}

/// What this site needs to connect to a peer.
#[derive(Debug, Clone)]
pub struct PeerPlan {
    /// The peer's id and newest key event.
    pub known: KnownSite,
    /// Host and port.
    pub address: String,
    /// The first line to send.
    pub hello: PeerHello,
}

/// The open connections.
#[derive(Default)]
pub(crate) struct Connections {
    last: u64,
    open: HashMap<u64, Open>,
}

struct Open {
    site: SiteId,
    /// The key that the peer proved.
    key: VerifyingKey,
    direction: PeerDirection,
    cut: Option<CutHook>,
}

/// The place of a connection among the open ones, which it leaves when this is dropped: also if the future
/// that opens it is dropped before it has ended. The transport learns that it left.
struct Registered {
    connections: Arc<Mutex<Connections>>,
    transport: Option<Arc<dyn PeerTransport>>,
    number: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let left = lock(&self.connections).open.remove(&self.number);
        // A transport that looked meanwhile found the connection, and connects only if it looks again.
        if let (Some(left), Some(transport)) = (left, &self.transport) {
            transport.ended(left.site);
        }
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Registered")
            .field(&self.number)
            .finish()
    }
}

impl Connections {
    fn of(&self, site: SiteId) -> impl Iterator<Item = &Open> {
        self.open.values().filter(move |open| open.site == site)
    }

    /// Ends connections. Each stays listed until its task closes it.
    pub(crate) fn cut(&mut self, which: impl Fn(SiteId) -> bool, reason: CloseReason) -> usize {
        self.cut_where(|open| which(open.site), reason)
    }

    /// Ends the oldest connection that a peer opened; `false` without one.
    fn replace_oldest(&mut self, site: SiteId) -> bool {
        let is_open = |open: &Open| {
            open.site == site && open.direction == PeerDirection::Incoming && open.cut.is_some()
        };
        let open = self.open.iter().filter(|(_, open)| is_open(open));
        let oldest = open.map(|(number, _)| *number).min();
        let oldest = oldest.and_then(|oldest| self.open.get_mut(&oldest)?.cut.take());
        let Some(cut) = oldest else { return false };
        cut(CloseReason::Replaced);
        true
    }

    fn cut_where(&mut self, which: impl Fn(&Open) -> bool, reason: CloseReason) -> usize {
        let chosen = self.open.values_mut().filter(|open| which(open));
        let hooks: Vec<_> = chosen.filter_map(|open| open.cut.take()).collect();
        let ended = hooks.len();
        hooks.into_iter().for_each(|cut| cut(reason));
        ended
    }
}

impl Site {
    /// Opens a connection that a peer asks for. `None` stands for an unknown, suspended or removed
    /// peer, a lockdown of the peer or the site, a person who did not introduce it, another key than its newest, key events that
    /// contradict what is known, and too many connections, at a time or within seconds: answer them alike,
    /// with silence. It is counted for the audit log and against the source.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails: there is no connection then.
    pub async fn open_peer(
        &self,
        new: NewPeerConnection,
        now: Timestamp,
    ) -> Result<Option<PeerConnection>, StoreError> {
        let source = new.source;
        let site = new.hello.site;
        let opened = self.admit_peer(new, now).await;
        if matches!(opened, Ok(None)) {
            let outcome = AuditOutcome::Failed;
            let refused = Occurrence::of_source(source, Channel::Peer, "peer.connect", outcome);
            self.refused(Some(source), refused.to(site.to_string()), now);
        }
        opened
    }

    async fn admit_peer(
        &self,
        new: NewPeerConnection,
        now: Timestamp,
    ) -> Result<Option<PeerConnection>, StoreError> {
        let NewPeerConnection {
            hello, key, cut, ..
        } = new;
        if self.is_sealed() || !self.may_connect(hello.site) {
            return Ok(None);
        }
        // Before anything is looked up or verified: only the newest key may connect.
        let newest = hello.events.last().map(|event| event.event().keys.signing);
        if newest.is_some_and(|newest| newest != key) {
            return Ok(None);
        }
        let peer = self.store().peer(hello.site).await?;
        let peer = peer.filter(|peer| peer.is_active() && peer.was_introduced_by(&hello.id));
        let Some(peer) = peer else {
            return Ok(None);
        };
        let followed = self
            .follow_peer(peer, &hello.events, Some(key), now)
            .await?;
        let Some(peer) = followed.known() else {
            return Ok(None);
        };
        if peer.known.keys().signing != key || self.suspend_if_overdue(peer.site(), now).await? {
            return Ok(None);
        }
        self.accepted_again(peer.site());
        // Only with the peer's newest key, so that no other client uses up the rate.
        let rate = Rate::PeerConnections(peer.site());
        let taken = self.throttle().rates().take(rate, now);
        if taken.is_err() {
            self.peer_fault(peer.site(), PeerBreach::Rate, now).await?;
            return Ok(None);
        }
        self.register_peer(&peer, PeerDirection::Incoming, cut, now)
            .await
    }

    /// What this site needs to connect to a peer; `None` unless the peer is active, the site is
    /// unsealed, and no lockdown refuses the connection.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub async fn peer_plan(
        &self,
        site: SiteId,
        now: Timestamp,
    ) -> Result<Option<PeerPlan>, StoreError> {
        if self.is_sealed() || !self.may_connect(site) || self.suspend_if_overdue(site, now).await?
        {
            return Ok(None);
        }
        let peer = self.store().peer(site).await?;
        let Some(peer) = peer.filter(Peer::is_active) else {
            return Ok(None);
        };
        Ok(self.introduced_by(&peer).map(|id| PeerPlan {
            known: peer.known,
            address: peer.address(),
            hello: PeerHello::new(self.id(), id, &self.key_events()),
        }))
    }

    /// Registers a connection that this site opened and whose welcome has these key events. `None`
    /// if the peer was suspended, removed or put in lockdown meanwhile, or its key events contradict
    /// what is known.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub async fn peer_reached(
        &self,
        site: SiteId,
        key: VerifyingKey,
        events: &[SignedKeyEvent],
        cut: CutHook,
        now: Timestamp,
    ) -> Result<Option<PeerConnection>, StoreError> {
        let peer = self.store().peer(site).await?;
        let Some(peer) = peer.filter(Peer::is_active) else {
            return Ok(None);
        };
        let peer = match self.follow_peer(peer, events, Some(key), now).await? {
            FollowedEvents::Known(peer) if peer.known.keys().signing == key => peer,
            FollowedEvents::TooOften => return Ok(None),
            FollowedEvents::Known(_) | FollowedEvents::Refused => {
                self.peer_problem(site, PeerProblem::KeyEvents, now);
                return Ok(None);
            }
        };
        self.forget_reach_problem(site);
        self.introduction_accepted(site);
        self.register_peer(&peer, PeerDirection::Outgoing, cut, now)
            .await
    }

    /// Registered first, looked at again afterwards: a change meanwhile, such as a suspension, a
    /// lockdown, a new key of the peer or the sealing of this site, either finds the connection and
    /// cuts it, or is seen here.
    async fn register_peer(
        &self,
        peer: &Peer,
        direction: PeerDirection,
        cut: CutHook,
        now: Timestamp,
    ) -> Result<Option<PeerConnection>, StoreError> {
        let (site, key) = (peer.site(), peer.known.keys().signing);
        let connections = Arc::clone(&self.peering().connections);
        let number = {
            let mut connections = lock(&connections);
            // One that was cut ends within seconds. A thief of a replaced key must not keep out the
            // peer, whose hello has just ended the thief's connections.
            let live = connections.of(site).filter(|open| open.cut.is_some());
            let live = live.count();
            // A peer whose link was cut does not know that its connections are open here. It has just
            // proved its key, so no other client can end one of its connections by this.
            let ending = connections.of(site).count().saturating_sub(live);
            let replaces = direction == PeerDirection::Incoming && ending < ENDING_PER_PEER;
            if live >= CONNECTIONS_PER_PEER && !(replaces && connections.replace_oldest(site)) {
                return Ok(None);
            }
            connections.last = connections.last.wrapping_add(1);
            let number = connections.last;
            let open = Open {
                site,
                key,
                direction,
                cut: Some(cut),
            };
            connections.open.insert(number, open);
            number
        };
        let mut connection = PeerConnection {
            site,
            caller: Caller::peer(
                PeerCaller {
                    site,
                    connection: number,
                },
                &peer.zone,
            ),
            seen: Ok(()),
            _registered: Registered {
                connections,
                transport: self.peer_transport(),
                number,
            },
        };
        let is_wanted = self.wants_peer_server().await?;
        let again = self.store().peer(site).await?;
        let again = again.filter(|again| {
            is_wanted
                && again.is_active()
                && again.known.keys().signing == key
                && !self.is_sealed()
                && !self.is_to_be_suspended(site)
                && self.may_connect(site)
        });
        let Some(again) = again else {
            return Ok(None);
        };
        // A full disk does not end the connection: what the peer sends is stored, or refused, by itself.
        connection.seen = self.see_peer(&again, &connection, direction, now).await;
        Ok(Some(connection))
    }

    /// Writes when a peer was seen, at most once a minute.
    async fn see_peer(
        &self,
        peer: &Peer,
        connection: &PeerConnection,
        direction: PeerDirection,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if !peer.is_seen_anew(now) {
            return Ok(());
        }
        let site = peer.site();
        let details = json!({ "direction": direction, "zone": peer.zone });
        let audit = AuditDraft {
            target: Some(site.to_string()),
            details: details.to_string(),
            ..AuditDraft::done(&connection.caller, "peer.connected", now)
        };
        let see = Change::Peer(PeerChange::See { site, at: now });
        let set = ChangeSet::new(vec![see], audit);
        self.store().commit(set).await.map(|_| ())
    }

    fn may_connect(&self, site: SiteId) -> bool {
        self.permits_peer(Activity::PeerConnection, site)
    }

    /// The directions of the open connections with a peer.
    #[must_use]
    pub fn peer_connections(&self, site: SiteId) -> Vec<PeerDirection> {
        let connections = lock(&self.peering().connections);
        connections.of(site).map(|open| open.direction).collect()
    }

    /// The peers with an open connection.
    #[must_use]
    pub fn connected_peers(&self) -> HashSet<SiteId> {
        let connections = lock(&self.peering().connections);
        connections.open.values().map(|open| open.site).collect()
    }

    /// Ends the connection that this site opened to a peer, because another peer needs its place. Returns
    /// whether there was one.
    pub fn give_place_of(&self, site: SiteId) -> bool {
        let opened = |open: &Open| open.site == site && open.direction == PeerDirection::Outgoing;
        lock(&self.peering().connections).cut_where(opened, CloseReason::Replaced) > 0
    }

    /// The number of open connections with peers.
    pub(in crate::engine) fn open_peer_connections(&self) -> usize {
        lock(&self.peering().connections).open.len()
    }

    /// Whether this connection of a peer is open and was not cut. An operation on a connection that was
    /// cut is refused even if the connection has not noticed yet, and another one of that peer is open.
    pub(in crate::engine) fn is_peer_connected(&self, peer: &PeerCaller) -> bool {
        let connections = lock(&self.peering().connections);
        let open = connections.open.get(&peer.connection);
        open.is_some_and(|open| open.site == peer.site && open.cut.is_some())
    }

    /// A peer was changed: its connections end unless it is active, and those with a key that it
    /// has replaced end too.
    pub(crate) fn peer_changed(&self, peer: &Peer) {
        let (site, key) = (peer.site(), peer.known.keys().signing);
        if !peer.is_active() {
            return self.end_peer(site);
        }
        self.accepted_again(site);
        let has_other_key = |open: &Open| open.site == site && open.key != key;
        lock(&self.peering().connections).cut_where(has_other_key, CloseReason::KeyRevoked);
        self.wake_peers();
    }

    /// A peer is not active any more, or is none: its connections end.
    pub(crate) fn end_peer(&self, site: SiteId) {
        self.forget_faults(site);
        self.forget_problems(site);
        self.forget_presented(site);
        self.accepted_again(site);
        self.end_peers(CloseReason::Cut, |of| of == site);
    }

    /// Ends the connections with these peers, and tells the transport that others may be allowed.
    pub(in crate::engine) fn end_peers(&self, reason: CloseReason, which: impl Fn(SiteId) -> bool) {
        lock(&self.peering().connections).cut(which, reason);
        self.wake_peers();
    }
}
