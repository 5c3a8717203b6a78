//! The peer server: connections between sites over TLS (`docs/protocol/peer.md`).
//!
//! ```text
//!            wanted, unsealed, bound
//! stopped ───────────────────────────▶ running: accepts, and dials peers that something waits for
//!    ▲                                    │
//!    └─── an admin stops it, or it fails ─┘
//! ```
//!
//! The setting of the site says whether it is wanted, so that the choice survives a restart.

mod accepting;
mod asking;
mod dialing;
mod joining;
mod link;
mod outgoing;
mod telling;

use std::collections::HashSet;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use countersign_core::engine::{
    AskError, ClientAddress, OperationName, OwnSide, PeerServerState, PeerTransport, TransportError,
};
use countersign_proto::operation::Outcome;
use countersign_proto::peer::{JoinedSite, PeerTicket};
use countersign_proto::site_identity::SiteId;
use serde_json::value::RawValue;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, broadcast, watch};
use tracing::{debug, error, info, warn};

use self::asking::Asks;
use crate::accept_loop::{self, Access, Connections, DescriptorReserve};
use crate::admission::Admission;
use crate::clock;
use crate::public_address::PublicAddress;
use crate::runtime::shared::{Shared, log_trouble};
use crate::tls::acceptors::Acceptors;

/// How long the server waits before it tries again to listen, or to read a store in trouble.
const RETRY: Duration = Duration::from_secs(5);
/// How long a verification of the audit log waits for the peers.
const HEADS: Duration = Duration::from_secs(10);
/// How long the operation that starts or stops the server waits for it.
const SETTLE: Duration = Duration::from_secs(5);

/// Ended connections that a task may be told later. A task that misses some looks at the outbox.
const ENDED_WAITING: usize = 64;

/// What the tasks of the peer server share.
pub(crate) struct PeerServer {
    shared: Weak<Shared>,
    state: watch::Sender<PeerServerState>,
    /// Changes when there may be something to do.
    changes: watch::Sender<u64>,
    /// The peers whose connections end.
    ended: broadcast::Sender<SiteId>,
    /// The peers that a connection is sending messages to: one at a time keeps their order.
    sending: Mutex<HashSet<SiteId>>,
    /// The site's end of TLS.
    acceptors: Arc<Acceptors>,
    /// Changes when an attempt to send a head of the audit log ended.
    heads: watch::Sender<u64>,
    /// Operations that wait for connections with peers.
    asks: Asks,
    /// Wakes the task that connects to peers.
    dialer: Notify,
    /// The most connections that this site opens at a time. They are not counted as clients, and each
    /// holds a descriptor of the reserve.
    max_outgoing: usize,
}

/// Where the peer server listens, and under which address peers reach it.
pub(crate) struct PeerAddress {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) public: PublicAddress,
    pub(crate) public_host: Option<String>,
}

/// What serves incoming connections.
pub(crate) struct Listening {
    pub(crate) room: Arc<DescriptorReserve>,
    pub(crate) connections: Connections,
    pub(crate) clients: Arc<Admission>,
}

impl PeerServer {
    /// Becomes the transport of the site. It opens at most so many connections at a time.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        address: &PeerAddress,
        max_outgoing: usize,
    ) -> Arc<Self> {
        let state = match address.listen {
            Some(_) => PeerServerState::Stopped,
            None => PeerServerState::NotConfigured,
        };
        let server = Arc::new(Self {
            shared: Arc::downgrade(shared),
            state: watch::Sender::new(state),
            changes: watch::Sender::new(0),
            ended: broadcast::Sender::new(ENDED_WAITING),
            sending: Mutex::default(),
            acceptors: Arc::default(),
            heads: watch::Sender::new(0),
            asks: Asks::default(),
            dialer: Notify::new(),
            max_outgoing,
        });
        let cached = server.acceptors.clone();
        shared.add_cache(move || cached.clear());
        shared.site.connect_peers_with(server.clone());
        server
    }

    /// Runs for as long as the site does.
    pub(crate) async fn run(
        self: Arc<Self>,
        address: PeerAddress,
        listening: Listening,
    ) -> io::Result<Infallible> {
        let Some(listen) = address.listen else {
            return std::future::pending().await;
        };
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            let Some(shared) = self.shared.upgrade() else {
                return std::future::pending().await;
            };
            let wait = match self.wanted(&shared).await {
                Wanted::No(state) => {
                    self.set_state(state);
                    None
                }
                Wanted::Trouble => Some(RETRY),
                Wanted::Yes => match bind(listen) {
                    Ok((listener, bound)) => {
                        self.serve(listener, bound, &address, &listening, &shared)
                            .await?;
                        continue;
                    }
                    Err(problem) => {
                        warn!(%listen, %problem, "the peer server cannot listen");
                        let problem = problem.to_string();
                        self.set_state(PeerServerState::Failed { problem });
                        Some(RETRY)
                    }
                },
            };
            drop(shared);
            let changed = changes.changed();
            match wait {
                None => {
                    let _ = changed.await;
                }
                Some(time) => {
                    let _ = tokio::time::timeout(time, changed).await;
                }
            }
        }
    }

    async fn wanted(&self, shared: &Shared) -> Wanted {
        match shared.site.wants_peer_server().await {
            Ok(true) if shared.site.unsealed_keys().is_none() => {
                Wanted::No(PeerServerState::Sealed)
            }
            Ok(true) => Wanted::Yes,
            Ok(false) => Wanted::No(PeerServerState::Stopped),
            Err(trouble) => {
                error!(%trouble, "the setting of the peer server cannot be read");
                Wanted::Trouble
            }
        }
    }

    /// Accepts and dials until the server is not wanted any more.
    async fn serve(
        self: &Arc<Self>,
        listener: TcpListener,
        bound: SocketAddr,
        address: &PeerAddress,
        listening: &Listening,
        shared: &Arc<Shared>,
    ) -> io::Result<()> {
        let public = PublicAddress {
            host: address.public.host.clone(),
            port: address.public.port,
        };
        let reached = match public.or_of(address.public_host.as_deref(), bound) {
            Ok(reached) => reached,
            Err(host) => {
                let problem = format!("the host {host} is neither a DNS name nor an IP address");
                self.set_state(PeerServerState::Failed { problem });
                self.until_unwanted(shared).await;
                return Ok(());
            }
        };
        shared.site.announce_peer(Some((bound, reached.clone())));
        self.set_state(PeerServerState::Running);
        info!(address = %bound, "listening for peers");
        let accepting = self.accept(listener, listening, shared);
        let dialing = dialing::run(self, &listening.connections, shared);
        let telling = telling::run(self, shared);
        let ended = tokio::select! {
            ended = accepting => ended.map(|never| match never {}),
            never = dialing => match never {},
            never = telling => match never {},
            () = self.until_unwanted(shared) => Ok(()),
        };
        shared
            .site
            .announce_peer(None::<(SocketAddr, ClientAddress)>);
        self.acceptors.clear();
        self.set_state(PeerServerState::Stopped);
        self.asks.fail_all("the peer server stopped");
        info!("the peer server stopped");
        ended
    }

    async fn accept(
        self: &Arc<Self>,
        listener: TcpListener,
        listening: &Listening,
        shared: &Arc<Shared>,
    ) -> io::Result<Infallible> {
        let acceptors = self.acceptors.clone();
        let (server, shared) = (self.clone(), shared.clone());
        let clients = listening.clients.clone();
        let service = move |(socket, peer): (TcpStream, SocketAddr)| match clients.admit_from(peer)
        {
            Ok(admitted) => {
                let _ = socket.set_nodelay(true);
                let (server, shared) = (server.clone(), shared.clone());
                let acceptors = acceptors.clone();
                Some(accepting::serve(
                    socket, peer, admitted, server, shared, acceptors,
                ))
            }
            Err(reason) => {
                debug!(%peer, %reason, "connection to the peer port rejected");
                None
            }
        };
        let (room, connections) = (listening.room.clone(), listening.connections.clone());
        accept_loop::run(listener, Access::Clients, room, connections, service).await
    }

    async fn until_unwanted(&self, shared: &Shared) {
        let mut changes = self.changes.subscribe();
        while matches!(self.wanted(shared).await, Wanted::Yes | Wanted::Trouble) {
            let _ = changes.changed().await;
        }
    }

    /// An attempt to send a head of the audit log ended.
    fn head_tried(&self) {
        self.heads
            .send_modify(|version| *version = version.wrapping_add(1));
    }

    /// Looks for peers that an operation waits for.
    fn wake_dialer(&self) {
        self.dialer.notify_one();
    }

    fn set_state(&self, state: PeerServerState) {
        self.state.send_replace(state);
    }

    /// Takes the right to send messages to a peer; `None` while another connection has it.
    fn begin_sending(self: &Arc<Self>, site: SiteId) -> Option<Sending> {
        let mut sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        sending.insert(site).then(|| Sending {
            server: self.clone(),
            site,
        })
    }
}

enum Wanted {
    Yes,
    No(PeerServerState),
    /// The store failed; nothing changes.
    Trouble,
}

/// The right to send messages to a peer. When the connection that has it ends, the others of that peer
/// are told.
struct Sending {
    server: Arc<PeerServer>,
    site: SiteId,
}

impl Drop for Sending {
    fn drop(&mut self) {
        let sending = self.server.sending.lock();
        sending
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.site);
    }
}

#[async_trait]
impl PeerTransport for PeerServer {
    async fn join(&self, ticket: &PeerTicket, own: &OwnSide) -> Result<JoinedSite, TransportError> {
        let shared = self.shared.upgrade();
        let shared =
            shared.ok_or_else(|| TransportError::Unreachable("the site is stopping".to_owned()))?;
        joining::join(ticket, own, &shared).await
    }

    async fn ask(
        &self,
        peer: SiteId,
        operation: OperationName,
        params: Box<RawValue>,
    ) -> Result<Outcome, AskError> {
        self.call(peer, operation, params).await
    }

    fn wake(&self) {
        self.changes
            .send_modify(|version| *version = version.wrapping_add(1));
    }

    fn ended(&self, peer: SiteId) {
        // Messages may wait for another connection. Those of other peers do not, and a peer that comes
        // and goes must not make their connections read the outbox.
        let _ = self.ended.send(peer);
    }

    async fn settle(&self, runs: bool) {
        let mut state = self.state.subscribe();
        let has_failed = matches!(*state.borrow_and_update(), PeerServerState::Failed { .. });
        if runs && has_failed {
            // An admin who freed the address need not wait for the next try.
            self.wake();
            let _ = tokio::time::timeout(SETTLE, state.changed()).await;
            return;
        }
        let is_sealed = || {
            let shared = self.shared.upgrade();
            shared.is_none_or(|shared| shared.site.is_sealed())
        };
        let followed = state.wait_for(|state| match state {
            PeerServerState::Running => runs,
            PeerServerState::Stopped => !runs,
            // A site that was just unsealed goes on.
            PeerServerState::Sealed => !runs || is_sealed(),
            PeerServerState::NotConfigured | PeerServerState::Failed { .. } => true,
        });
        let _ = tokio::time::timeout(SETTLE, followed).await;
    }

    async fn heads_sent(&self) {
        let mut tried = self.heads.subscribe();
        let waiting = async {
            while let Some(shared) = self.shared.upgrade() {
                tried.mark_unchanged();
                let waits = shared.site.peers_without_head(clock::now()).await;
                drop(shared);
                let is_running = *self.state.borrow() == PeerServerState::Running;
                let waits = log_trouble(waits).unwrap_or_default();
                if !is_running || !waits || tried.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(HEADS, waiting).await;
    }

    fn state(&self) -> PeerServerState {
        self.state.borrow().clone()
    }
}

fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = accept_loop::listen(address)?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}
