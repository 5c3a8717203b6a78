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
mod addresses;
mod breaches;
mod connections;
mod following;
mod heads;
mod introductions;
mod joining;
mod messages;
mod problems;
mod server;
mod told;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;
use countersign_proto::name::AccountName;
use countersign_proto::operation::Outcome;
use countersign_proto::peer::{JoinedSite, PeerTicket};
use countersign_proto::site_identity::SiteId;
use serde_json::value::RawValue;

use super::Site;
use super::tickets::Voids;
use crate::id::AccountId;
use crate::timestamp::Timestamp;

pub(crate) use accepting::PEER_TRIES;
pub use addresses::PeerAddressNotice;
pub use breaches::{PeerBreach, delay_of_answer};
pub(crate) use connections::Connections;
pub use connections::{
    LONGEST_PEER_BACKOFF, NewPeerConnection, PeerBackoff, PeerConnection, PeerDirection, PeerPlan,
};
pub use following::FollowedEvents;
pub use heads::{HeadOffer, HeadReply, HeadState, OfferedHead};
pub(crate) use heads::{HeadRefused, Witness};
pub use joining::MAX_JOINS;
pub use messages::{DeliveryReport, Incoming, IncomingState, MAX_BATCH, Outgoing};
pub use problems::PeerProblem;
pub(crate) use server::PEER_SERVER;
pub use server::PeerServerState;
pub use told::PeerStatus;
pub(crate) use told::PeerTold;

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

/// Why a peer did not answer an operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Too many operations wait for the peer.
    #[error("too many operations wait for the peer")]
    Busy,
    /// There was no connection, or no result in time. The peer may have run the operation.
    #[error("{0}")]
    Unreachable(String),
}

/// The name of an operation that this site calls at a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationName {
    /// The group, such as `broker`.
    pub group: &'static str,
    /// The command within the group.
    pub command: &'static str,
}

/// The part of the program that opens connections to peers.
#[async_trait]
pub trait PeerTransport: Send + Sync {
    /// Presents a ticket to the site that issued it. Returns what that site proved to be.
    async fn join(&self, ticket: &PeerTicket, own: &OwnSide) -> Result<JoinedSite, TransportError>;

    /// Calls an operation at a peer and returns its result. It connects to the peer if there is no
    /// connection, and ends within seconds. A peer that cannot be reached for now gets no further
    /// attempt before its backoff has passed: then the error comes at once.
    async fn ask(
        &self,
        peer: SiteId,
        operation: OperationName,
        params: Box<RawValue>,
    ) -> Result<Outcome, AskError>;

    /// Looks at the outbox, at void tickets and at the setting of the peer server again. Must not block.
    fn wake(&self);

    /// A connection with the peer ended, or was given up before it was open: what waits for the peer
    /// may need another one. Must not block.
    fn ended(&self, _peer: SiteId) {}

    /// Waits, for a few seconds at most, until the peer server has followed its setting.
    async fn settle(&self, runs: bool);

    /// Waits, for some seconds at most, until the peers that wait for a head of the audit log got it.
    async fn heads_sent(&self) {}

    /// The state of the peer server.
    fn state(&self) -> PeerServerState;
}

/// What a site holds in memory about its peers.
#[derive(Default)]
pub(crate) struct Peering {
    connections: Arc<Mutex<Connections>>,
    transport: RwLock<Option<Arc<dyn PeerTransport>>>,
    /// Why messages do not reach peers.
    problems: Mutex<HashMap<SiteId, problems::Problems>>,
    /// When the next attempts at peers are made that could not be reached.
    backoffs: Mutex<connections::Backoffs>,
    /// The persons whom this site named to peers.
    presented: Mutex<introductions::Presented>,
    /// Messages that peers asked to wait.
    held: Mutex<messages::HeldPairs>,
    /// The persons for whom this site joins others now.
    joining: Mutex<Vec<AccountId>>,
    /// The breaches of the protocol by each peer.
    faults: Mutex<HashMap<SiteId, breaches::Faults>>,
    /// When which peer gets the head of the audit log.
    heads: Mutex<heads::HeadSchedule>,
    /// What verifications of the audit log wait for.
    witnesses_asked: Mutex<heads::WitnessesAsked>,
    /// The peers that were too busy for an operation.
    resting: Mutex<connections::Resting>,
    /// The void tickets of which peers are to be told.
    pub(in crate::engine) voids: Mutex<Voids>,
    /// The peers that know an earlier address of this site.
    untold: Mutex<addresses::Untold>,
    /// What the peers told of themselves.
    told: Mutex<told::ToldByPeers>,
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

    pub(in crate::engine) fn peering(&self) -> &Peering {
        &self.0.peering
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether `time` milliseconds passed since `at`, or the clock was set back behind it.
fn is_past(at: Timestamp, time: u64, now: Timestamp) -> bool {
    now >= at.plus_millis(time) || now < at
}
