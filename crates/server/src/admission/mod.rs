//! Admits connections: by the limits of [`places`] and the penalties of sources.
//!
//! ```text
//! TCP, HTTP, devices, peers ─────────────────────────────▶ clients
//! HTTP from a trusted proxy ──▶ proxies
//!                                 │ upgrade to a session
//!                                 ├── the proxy names the client ──▶ clients
//!                                 └── it names none ──▶ proxied sessions
//! ```

mod account_shares;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use countersign_core::id::AccountId;
use countersign_core::throttle::{Abuse, Source, Throttle};
use countersign_core::timestamp::Timestamp;
use countersign_crypto::entropy::{SystemEntropy, fresh};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tracing::debug;

pub(crate) use self::account_shares::{AccountShares, Held, NoPlace};
use crate::accept_loop::DescriptorReserve;
use crate::clock;
use crate::limits::Limits;
use crate::places::{self, Origin, Place, Places, Rejected};

/// Why a connection is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAdmitted {
    /// The limit on connections is reached.
    #[error("too many connections")]
    Full,
    /// There are many unauthenticated connections, and the network has its share of them.
    #[error("the network has its share of the unauthenticated connections")]
    EarlyDrop,
    /// The source or the network has as many connections, or unauthenticated connections, as it may have.
    #[error("too many connections from this source or network")]
    TooManyFromSource,
    /// The source has a penalty.
    #[error("the source has a penalty")]
    Penalized,
}

impl From<Rejected> for NotAdmitted {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Full => Self::Full,
            Rejected::EarlyDrop => Self::EarlyDrop,
            Rejected::TooManyFromSource => Self::TooManyFromSource,
        }
    }
}

/// Admits connections.
pub(crate) struct Admission {
    group: Group,
    places: Arc<Places<Source>>,
}

/// The connections that an admission counts together.
enum Group {
    /// Clients with a source, which may have a penalty.
    Clients(Arc<Throttle>),
    /// HTTP connections of trusted proxies.
    Proxies {
        /// The admission of sessions whose client the proxy names.
        named: Arc<Admission>,
        /// The admission of the other sessions.
        unnamed: Arc<Admission>,
    },
    /// Sessions whose client a trusted proxy does not name. Each account has a share of them.
    ProxiedSessions(Arc<AccountShares>),
}

impl Admission {
    /// The admission of clients, with these limits and the penalties of the site.
    pub(crate) fn new(limits: &Limits, throttle: Arc<Throttle>) -> Arc<Self> {
        Self::of(Group::Clients(throttle), limits)
    }

    /// The admission of trusted proxies: a limit of their own, which other clients cannot use up, and no
    /// penalties, since a proxy forwards the requests of others. A connection that becomes a session
    /// gives its place back, so that sessions, which last, leave the places to requests.
    pub(crate) fn for_proxies(limits: &Limits, clients: Arc<Self>) -> Arc<Self> {
        let accounts = AccountShares::new(limits.proxied_sessions);
        let unnamed = Self::of(Group::ProxiedSessions(accounts), limits);
        let named = clients;
        Self::of(Group::Proxies { named, unnamed }, limits)
    }

    fn of(group: Group, limits: &Limits) -> Arc<Self> {
        let places = Places::new(group.limits(limits));
        Arc::new(Self { group, places })
    }

    /// Changes the limits.
    pub(crate) fn keep_to(&self, limits: &Limits) {
        self.places.set_limits(self.group.limits(limits));
        match &self.group {
            Group::Clients(_) => {}
            Group::Proxies { unnamed, .. } => unnamed.keep_to(limits),
            Group::ProxiedSessions(accounts) => accounts.keep_to(limits.proxied_sessions),
        }
    }

    /// The number of connections, with the sessions of proxies, and how many are unauthenticated.
    pub(crate) fn count(&self) -> (usize, usize) {
        let (connections, unauthenticated) = self.places.count();
        let (more, unauthenticated_more) = match &self.group {
            Group::Proxies { unnamed, .. } => unnamed.places.count(),
            Group::Clients(_) | Group::ProxiedSessions(_) => (0, 0),
        };
        (connections + more, unauthenticated + unauthenticated_more)
    }

    /// Makes room when no descriptor is left: evicts connections of these admissions, beginning with the one
    /// that has most.
    pub(crate) fn room(admissions: [&Self; 2]) -> Arc<DescriptorReserve> {
        let sessions = admissions.iter().filter_map(|one| match &one.group {
            Group::Proxies { unnamed, .. } => Some(unnamed.places.clone()),
            Group::Clients(_) | Group::ProxiedSessions(_) => None,
        });
        let all = admissions.iter().map(|one| one.places.clone());
        DescriptorReserve::new(all.chain(sessions).collect())
    }

    /// Admits a connection at the current time.
    ///
    /// # Errors
    /// [`NotAdmitted`]: close the connection at once.
    pub(crate) fn admit_from(self: &Arc<Self>, peer: SocketAddr) -> Result<Admitted, NotAdmitted> {
        self.admit_now(peer.ip().into())
    }

    fn admit_now(self: &Arc<Self>, from: Source) -> Result<Admitted, NotAdmitted> {
        let random = u32::from_be_bytes(fresh(&mut SystemEntropy));
        self.admit(from, clock::now(), random)
    }

    /// Admits a connection, counted until the returned value is dropped. `random` is uniformly random.
    ///
    /// # Errors
    /// [`NotAdmitted`]: close the connection at once.
    fn admit(
        self: &Arc<Self>,
        from: Source,
        now: Timestamp,
        random: u32,
    ) -> Result<Admitted, NotAdmitted> {
        let penalty = |throttle: &Throttle| throttle.penalties().refused_until(from, now);
        if self.throttle().and_then(penalty).is_some() {
            return Err(NotAdmitted::Penalized);
        }
        let origin = Origin {
            source: from,
            network: from.network(),
        };
        Ok(Admitted {
            place: self.places.admit(origin, random)?,
            admission: self.clone(),
            source: from,
            has_sent: AtomicBool::new(false),
            is_authenticated: false,
            held: None,
            returned: None,
        })
    }

    /// The penalties that are checked and recorded; `None` behind trusted proxies, where a source is
    /// that of the proxy.
    fn throttle(&self) -> Option<&Throttle> {
        match &self.group {
            Group::Clients(throttle) => Some(throttle),
            Group::Proxies { .. } | Group::ProxiedSessions(_) => None,
        }
    }
}

impl Group {
    fn limits(&self, limits: &Limits) -> places::Limits {
        match self {
            Self::Clients(_) => of_clients(limits),
            Self::Proxies { .. } => of_proxies(limits.proxied_connections),
            Self::ProxiedSessions(_) => of_proxied_sessions(limits.proxied_sessions),
        }
    }
}

/// A connection that was admitted.
pub(crate) struct Admitted {
    place: Place<Source>,
    admission: Arc<Admission>,
    source: Source,
    /// Whether a byte of the client came.
    has_sent: AtomicBool,
    is_authenticated: bool,
    /// The place among the proxied sessions of its account.
    held: Option<Held>,
    /// The receiver of the eviction, if it was taken and given back.
    returned: Option<oneshot::Receiver<()>>,
}

impl Admitted {
    /// The source of the connection, which may be that of a trusted proxy.
    pub(crate) fn source(&self) -> Source {
        self.source
    }

    /// The source of the client; `None` if a trusted proxy forwards the connection and names none.
    pub(crate) fn client(&self) -> Option<Source> {
        self.admission.throttle().map(|_| self.source)
    }

    /// The place of a session that begins on this HTTP connection, for the client that a trusted proxy
    /// named; `None` if the connection keeps its place. A request with a credential authenticated the
    /// connection and not the session, so the session begins in a place that may be evicted.
    ///
    /// # Errors
    /// [`NotAdmitted`]: refuse the session.
    pub(crate) fn for_session(&self, named: Option<Source>) -> Result<Option<Self>, NotAdmitted> {
        let (admission, source) = match (&self.admission.group, named) {
            (Group::Proxies { named, .. }, Some(client)) => (named, client),
            (Group::Proxies { unnamed, .. }, None) => (unnamed, self.source),
            // The address became that of a proxy after the connection began.
            (_, Some(client)) => (&self.admission, client),
            (_, None) if self.is_authenticated => (&self.admission, self.source),
            (_, None) => return Ok(None),
        };
        admission.admit_now(source).map(Some)
    }

    /// Takes a place of this account for its session until the connection ends. Returns `false` if the
    /// account has as many sessions of this kind as it may have.
    pub(crate) fn hold_for(&mut self, account: AccountId) -> bool {
        let Group::ProxiedSessions(accounts) = &self.admission.group else {
            return true;
        };
        self.held = accounts.hold(account).ok();
        self.held.is_some()
    }

    /// Becomes ready when the connection is evicted; at most once.
    pub(crate) fn ended(&mut self) -> Option<oneshot::Receiver<()>> {
        self.returned.take().or_else(|| self.place.ended())
    }

    /// Takes back what [`Self::ended`] returned, for the next protocol on the connection.
    pub(crate) fn return_ended(&mut self, ended: Option<oneshot::Receiver<()>>) {
        self.returned = ended;
    }

    /// Waits until the connection is evicted; for ever when it never is.
    pub(crate) fn evicted(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let mut ended = self.ended();
        async move { wait_for_eviction(&mut ended).await }
    }

    /// A byte of the client came.
    pub(crate) fn byte_received(&self) {
        self.has_sent.store(true, Ordering::Relaxed);
    }

    /// Whether a byte of the client came. Browsers open connections in advance and send nothing on
    /// them, for each page that asks for it.
    pub(crate) fn has_sent(&self) -> bool {
        self.has_sent.load(Ordering::Relaxed)
    }

    /// The client sent a whole first flight: the connection is evicted after those that have not.
    pub(crate) fn first_flight_received(&self) {
        self.place.first_flight_received();
    }

    /// The client is authenticated: the connection is never evicted.
    pub(crate) fn authenticated(&mut self) {
        self.is_authenticated = true;
        self.place.authenticated();
        if let Some(throttle) = self.admission.throttle() {
            throttle
                .penalties()
                .authenticated(self.source(), clock::now());
        }
    }

    /// Records abuse by the source.
    pub(crate) fn punish(&self, abuse: Abuse, now: Timestamp) {
        if let Some(throttle) = self.admission.throttle() {
            throttle.penalties().record_abuse(self.source(), abuse, now);
        }
    }
}

/// Rejects a connection with one small write that does not block.
pub(crate) fn reject(socket: &TcpStream, peer: SocketAddr, reason: NotAdmitted) {
    debug!(%peer, %reason, "connection rejected");
    let _ = socket.try_write(&countersign_proto::session::WireError::Busy.to_wire());
}

/// Waits until the connection is evicted; for ever if it never is.
pub(crate) async fn wait_for_eviction(ended: &mut Option<oneshot::Receiver<()>>) {
    if let Some(receiver) = ended {
        if receiver.await.is_ok() {
            return;
        }
        // The sender is gone, and a receiver that has told so panics when it is polled again.
        *ended = None;
    }
    std::future::pending::<()>().await;
}

fn of_clients(limits: &Limits) -> places::Limits {
    places::Limits {
        connections: limits.connections,
        per_source: limits.connections_per_source,
        per_network: limits.connections_per_network,
        unauthenticated: limits.unauthenticated,
        unauthenticated_per_source: limits.unauthenticated_per_source,
        unauthenticated_per_network: limits.unauthenticated_per_network,
        early: limits.unauthenticated_early_drop,
    }
}

/// The limits of trusted proxies: only their number in total is limited.
fn of_proxies(share: usize) -> places::Limits {
    places::Limits {
        connections: share,
        per_source: usize::MAX,
        per_network: usize::MAX,
        unauthenticated: share,
        unauthenticated_per_source: usize::MAX,
        unauthenticated_per_network: usize::MAX,
        early: share,
    }
}

/// The limits of sessions whose client is unknown: half of the places stay for those that have logged in.
fn of_proxied_sessions(share: usize) -> places::Limits {
    let unauthenticated = (share / 2).max(1);
    places::Limits {
        unauthenticated,
        early: unauthenticated,
        ..of_proxies(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    impl Admission {
        /// A connection that random early drop spares.
        fn from(self: &Arc<Self>, last: u8) -> Result<Admitted, NotAdmitted> {
            self.admit(Source::V4([192, 0, 2, last].into()), NOW, u32::MAX)
        }
    }

    /// 16 malformed connections to the session port from 127.0.0.1 closed HTTP for the proxy on the same machine,
    /// for up to an hour; 256 idle ones did the same.
    #[test]
    fn a_proxy_has_a_share_of_its_own_and_no_penalties() {
        let limits = Limits {
            proxied_connections: 30,
            ..Limits::default()
        };
        let clients = Admission::new(&limits, Arc::default());
        let proxies = Admission::for_proxies(&limits, clients.clone());
        let idle: Vec<Admitted> = (0..25).map(|_| clients.from(1).unwrap()).collect();
        for _ in 0..16 {
            idle[0].punish(Abuse::Malformed, NOW);
        }
        assert_eq!(clients.from(1).err(), Some(NotAdmitted::Penalized));
        let mut passed: Vec<Admitted> = (0..30).map(|_| proxies.from(1).unwrap()).collect();
        // At the share and one over: its own oldest makes room.
        passed.push(proxies.from(1).unwrap());
        assert!(passed[0].ended().unwrap().try_recv().is_ok());
        assert_eq!(proxies.places.count(), (30, 30));
        passed[1].punish(Abuse::Malformed, NOW);
        assert!(proxies.from(1).is_ok());
    }

    #[test]
    fn a_source_with_a_penalty_is_rejected_and_others_are_not() {
        let admission = Admission::new(&Limits::default(), Arc::default());
        let admitted = admission.from(1).unwrap();
        for _ in 0..16 {
            admitted.punish(Abuse::Malformed, NOW);
        }
        assert_eq!(admission.from(1).err(), Some(NotAdmitted::Penalized));
        assert!(admission.from(2).is_ok());
        let later = NOW.plus_millis(15_000);
        let source = admitted.source();
        assert!(admission.admit(source, later, u32::MAX).is_ok());
    }

    /// A member opened sessions through the proxy until no request of others had a place: REST, tickets
    /// and the console were closed for all.
    #[test]
    fn sessions_through_a_proxy_take_no_place_of_requests() {
        let limits = Limits {
            proxied_connections: 4,
            proxied_sessions: 16,
            ..Limits::default()
        };
        let clients = Admission::new(&limits, Arc::default());
        let proxies = Admission::for_proxies(&limits, clients.clone());
        let session = |named: Option<u8>| {
            let connection = proxies.from(1).unwrap();
            let named = named.map(|last| Source::V4([203, 0, 113, last].into()));
            let session = connection.for_session(named).map(Option::unwrap);
            session.map(|mut session| {
                session.authenticated();
                session
            })
        };
        // With a named client it counts as a connection of that client does.
        let named = session(Some(7)).unwrap();
        assert_eq!(named.client(), Some(named.source()));
        assert_eq!(clients.places.count(), (1, 0));
        // Without, one account gets an eighth of the places.
        let (account, other) = (
            AccountId::from_bytes([1; 16]),
            AccountId::from_bytes([2; 16]),
        );
        let mut open = Vec::new();
        for _ in 0..2 {
            open.push(session(None).unwrap());
            assert!(open.last_mut().unwrap().hold_for(account));
        }
        let mut third = session(None).unwrap();
        assert_eq!(third.client(), None);
        assert!(!third.hold_for(account) && third.hold_for(other));
        open.pop();
        assert!(session(None).unwrap().hold_for(account));
        // All places of such sessions are taken, and each request still has one.
        open.extend((0..14).map(|_| session(None).unwrap()));
        assert_eq!(session(None).err(), Some(NotAdmitted::Full));
        let requests: Vec<_> = (0..4).map(|_| proxies.from(1).unwrap()).collect();
        assert_eq!((requests.len(), proxies.places.count()), (4, (4, 4)));
        assert!(clients.from(2).is_ok());
    }

    /// Attempts to log in filled the places of sessions through the proxy.
    #[test]
    fn logins_through_a_proxy_leave_half_of_the_places_to_sessions() {
        let limits = Limits {
            proxied_sessions: 8,
            ..Limits::default()
        };
        let proxies = Admission::for_proxies(&limits, Admission::new(&limits, Arc::default()));
        let attempt = || proxies.from(1).unwrap().for_session(None).unwrap().unwrap();
        let mut attempts: Vec<_> = (0..9).map(|_| attempt()).collect();
        for attempt in &mut attempts[5..] {
            attempt.authenticated();
        }
        let mut evicted = attempts[..5]
            .iter_mut()
            .map(|attempt| attempt.ended().unwrap().try_recv().is_ok());
        assert!(evicted.all(|evicted| evicted));
    }

    /// A request with a token authenticated the connection, and the session that began on it could
    /// never be evicted.
    #[test]
    fn a_session_begins_unauthenticated_after_a_request_with_a_credential() {
        let clients = Admission::new(&Limits::default(), Arc::default());
        let mut connection = clients.from(1).unwrap();
        assert!(connection.for_session(None).unwrap().is_none());
        connection.authenticated();
        let mut session = connection.for_session(None).unwrap().unwrap();
        drop(connection);
        assert_eq!(clients.places.count(), (1, 1));
        assert!(clients.places.evict());
        assert!(session.ended().unwrap().try_recv().is_ok());
    }
}
