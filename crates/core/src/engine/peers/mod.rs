//! Peer sites: how one joins, its connections, and what this site knows of both.
//!
//! ```text
//! ticket of this site ──▶ accept_peer ──▶ one change set: ticket bound, peer inserted
//! ticket of another   ──▶ peer join: the transport carries the request ──▶ peer inserted
//!
//! hello ──▶ open_peer: known, active, introduced by that person, newest key? ──▶ PeerConnection
//!                                                                                 │
//! change set: peer suspended or removed, peer server stopped ──▶ projection ──▶ connection ends
//! ```
//!
//! Core opens no sockets. The program that runs the site provides a [`PeerTransport`].

mod accepting;
mod connections;
mod following;
mod held;
mod joining;
mod messages;
mod server;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;
use countersign_proto::name::AccountName;
use countersign_proto::peer::{JoinedSite, PeerTicket};
use countersign_proto::site_identity::SiteId;

use super::Site;
use crate::id::AccountId;
use crate::timestamp::Timestamp;

pub(crate) use connections::Connections;
pub use connections::{NewPeerConnection, PeerConnection, PeerDirection, PeerPlan};
pub use following::PeerBreach;
pub use joining::MAX_JOINS;
pub use messages::{DeliveryReport, Incoming, IncomingState, MAX_BATCH, Outgoing};
pub(crate) use server::PEER_SERVER;
pub use server::PeerServerState;

/// What a site says of itself when it joins another one.
#[derive(Debug, Clone)]
pub struct OwnSide {
    /// The person whose business it is, with the zone.
    pub id: AccountName,
    /// Where the other site reaches this one: a DNS name, an IPv4 address, or an IPv6 address in
    /// brackets.
    pub host: String,
    /// The port there.
    pub port: u16,
    /// The person's account. Public-key work for the join waits among the operations of this account.
    pub account: AccountId,
}

/// Why another site could not be joined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// There was no connection, or it broke. The ticket may still be good.
    #[error("{0}")]
    Unreachable(String),
    /// The other site did not accept the ticket, or did not prove its key.
    #[error("{0}")]
    Refused(String),
}

/// The part of the program that opens connections to peers.
#[async_trait]
pub trait PeerTransport: Send + Sync {
    /// Presents a ticket to the site that issued it. Returns what that site proved to be.
    async fn join(&self, ticket: &PeerTicket, own: &OwnSide) -> Result<JoinedSite, TransportError>;

    /// Looks at the outbox and at the setting of the peer server again. Must not block.
    fn wake(&self);

    /// Waits, for a few seconds at most, until the peer server has followed its setting.
    async fn settle(&self, runs: bool);

    /// The state of the peer server.
    fn state(&self) -> PeerServerState;
}

/// What a site holds in memory about its peers.
#[derive(Default)]
pub(crate) struct Peering {
    connections: Mutex<Connections>,
    transport: RwLock<Option<Arc<dyn PeerTransport>>>,
    /// Messages that peers asked to wait.
    held: Mutex<held::HeldPairs>,
    /// The persons for whom this site joins others now.
    joining: Mutex<Vec<AccountId>>,
    /// Why the last attempt to connect to a peer failed.
    problems: Mutex<HashMap<SiteId, (String, Timestamp)>>,
    /// The weight of the breaches of the protocol by each peer, and when the first of them was.
    faults: Mutex<HashMap<SiteId, (u32, Timestamp)>>,
}

impl Site {
    /// Sets what opens connections to peers.
    pub fn connect_peers_with(&self, transport: Arc<dyn PeerTransport>) {
        let slot = self.peering().transport.write();
        *slot.unwrap_or_else(PoisonError::into_inner) = Some(transport);
    }

    pub(crate) fn peer_transport(&self) -> Option<Arc<dyn PeerTransport>> {
        let slot = self.peering().transport.read();
        slot.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells the transport that there may be something for peers.
    pub(crate) fn wake_peers(&self) {
        if let Some(transport) = self.peer_transport() {
            transport.wake();
        }
    }

    /// Records why a peer could not be reached, for `peer doctor`; `None` once it was.
    pub fn peer_problem(&self, site: SiteId, problem: Option<String>, now: Timestamp) {
        let mut problems = lock(&self.peering().problems);
        match problem {
            Some(problem) => problems.insert(site, (problem, now)),
            None => problems.remove(&site),
        };
    }

    /// Why the last attempt to connect to a peer failed, and when; `None` if it did not.
    pub(crate) fn last_peer_problem(&self, site: SiteId) -> Option<(String, Timestamp)> {
        lock(&self.peering().problems).get(&site).cloned()
    }

    pub(super) fn peering(&self) -> &Peering {
        &self.0.peering
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
