//! Admits connections: by the limits of [`countersign_net::admission`] and the penalties of sources.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use countersign_core::throttle::{Abuse, Source, Throttle};
use countersign_core::timestamp::Timestamp;
use countersign_crypto::entropy::{SystemEntropy, fresh};
use countersign_net::admission::{self, Origin, Rejected};
use countersign_net::listener::DescriptorReserve;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tracing::debug;

use crate::clock;
use crate::limits::Limits;

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
    /// The penalties that are checked and recorded; `None` for trusted proxies.
    throttle: Option<Arc<Throttle>>,
    places: Arc<admission::Admission<Source>>,
}

impl Admission {
    /// The admission of clients, with these limits and the penalties of the site.
    pub(crate) fn new(limits: &Limits, throttle: Arc<Throttle>) -> Arc<Self> {
        Arc::new(Self {
            throttle: Some(throttle),
            places: admission::Admission::new(of_clients(limits)),
        })
    }

    /// The admission of trusted proxies: a limit of their own, which other clients cannot use up, and no
    /// penalties, since a proxy forwards the requests of others.
    pub(crate) fn for_proxies(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            throttle: None,
            places: admission::Admission::new(of_proxies(limits)),
        })
    }

    /// Changes the limits.
    pub(crate) fn keep_to(&self, limits: &Limits) {
        self.places.set_limits(match self.throttle {
            Some(_) => of_clients(limits),
            None => of_proxies(limits),
        });
    }

    /// The number of connections, and how many of them are unauthenticated.
    pub(crate) fn count(&self) -> (usize, usize) {
        self.places.count()
    }

    /// Makes room when no descriptor is left: evicts connections of these admissions, beginning with the one
    /// that has most.
    pub(crate) fn room(admissions: [&Self; 2]) -> Arc<DescriptorReserve> {
        DescriptorReserve::new(admissions.map(|one| one.places.clone()).into())
    }

    /// Admits a connection at the current time.
    ///
    /// # Errors
    /// [`NotAdmitted`]: close the connection at once.
    pub(crate) fn admit_from(&self, peer: SocketAddr) -> Result<Admitted, NotAdmitted> {
        let random = u32::from_be_bytes(fresh(&mut SystemEntropy));
        self.admit(peer.ip().into(), clock::now(), random)
    }

    /// Admits a connection, counted until the returned value is dropped. `random` is uniformly random.
    ///
    /// # Errors
    /// [`NotAdmitted`]: close the connection at once.
    fn admit(&self, from: Source, now: Timestamp, random: u32) -> Result<Admitted, NotAdmitted> {
        let penalty = |throttle: &Arc<Throttle>| throttle.penalties().refused_until(from, now);
        if self.throttle.as_ref().and_then(penalty).is_some() {
            return Err(NotAdmitted::Penalized);
        }
        let origin = Origin {
            source: from,
            network: from.network(),
        };
        Ok(Admitted {
            place: self.places.admit(origin, random)?,
            throttle: self.throttle.clone(),
            source: from,
            returned: None,
        })
    }
}

/// A connection that was admitted.
pub(crate) struct Admitted {
    place: admission::Admitted<Source>,
    throttle: Option<Arc<Throttle>>,
    source: Source,
    /// The receiver of the eviction, if it was taken and given back.
    returned: Option<oneshot::Receiver<()>>,
}

impl Admitted {
    /// The source of the connection.
    pub(crate) fn source(&self) -> Source {
        self.source
    }

    /// Counts what the client does from here on for this source, which a trusted proxy named.
    pub(crate) fn count_for(&mut self, source: Source, throttle: Arc<Throttle>) {
        self.source = source;
        self.throttle = Some(throttle);
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
        let ended = self.ended();
        async move {
            if let Some(ended) = ended
                && ended.await.is_ok()
            {
                return;
            }
            std::future::pending::<()>().await;
        }
    }

    /// The client sent a whole first flight: the connection is evicted after those that have not.
    pub(crate) fn first_flight_received(&self) {
        self.place.first_flight_received();
    }

    /// The client is authenticated: the connection is never evicted.
    pub(crate) fn authenticated(&mut self) {
        self.place.authenticated();
        if let Some(throttle) = &self.throttle {
            throttle
                .penalties()
                .authenticated(self.source(), clock::now());
        }
    }

    /// Records abuse by the source.
    pub(crate) fn punish(&self, abuse: Abuse, now: Timestamp) {
        if let Some(throttle) = &self.throttle {
            throttle.penalties().record_abuse(self.source(), abuse, now);
        }
    }
}

/// Rejects a connection with one small write that does not block.
pub(crate) fn reject(socket: &TcpStream, peer: SocketAddr, reason: NotAdmitted) {
    debug!(%peer, %reason, "connection rejected");
    let _ = socket.try_write(&countersign_proto::session::WireError::Busy.to_wire());
}

fn of_clients(limits: &Limits) -> admission::Limits {
    admission::Limits {
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
fn of_proxies(limits: &Limits) -> admission::Limits {
    let share = limits.proxied_connections;
    admission::Limits {
        connections: share,
        per_source: usize::MAX,
        per_network: usize::MAX,
        unauthenticated: share,
        unauthenticated_per_source: usize::MAX,
        unauthenticated_per_network: usize::MAX,
        early: share,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    impl Admission {
        /// A connection that random early drop spares.
        fn from(&self, last: u8) -> Result<Admitted, NotAdmitted> {
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
        let proxies = Admission::for_proxies(&limits);
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
}
