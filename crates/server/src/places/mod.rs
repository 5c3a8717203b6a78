//! Places: limits on connections in total, per source and per network, and eviction of
//! unauthenticated connections.
//!
//! Unauthenticated connections are cheap for an attacker. When their limit is reached, a new
//! connection is still admitted, and the oldest one of the network that holds most is evicted. So a
//! legitimate login, which is quick and alone, succeeds during a flood of slow connections.
//!
//! The caller defines what a source and a network are ([`Origin`]).
//!
//! Unauthenticated connections are in two tiers. A connection without a complete first flight costs
//! its client nothing, and a legitimate client sends its first flight at once, so these are evicted
//! first. After its first flight a client may need a second to stretch a pass phrase; its
//! connection is evicted only when few connections are left in the first tier. An attacker enters
//! the second tier only by sending first flights, which are queued by network, and there too the
//! largest network is evicted.

mod tier;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use self::tier::{Tier, Unauthenticated};

/// The key by which connections are counted: an address or an address prefix.
pub(crate) trait Key: Copy + Ord + Hash + Send + 'static {}

impl<K: Copy + Ord + Hash + Send + 'static> Key for K {}

/// The origin of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin<K> {
    /// The addresses of one machine, such as an IPv4 address or an IPv6 /64.
    pub(crate) source: K,
    /// The largest prefix that one client may hold, such as an IPv6 /48. Eviction treats all its
    /// sources alike.
    pub(crate) network: K,
}

/// Limits on concurrent connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Maximum number of connections in total.
    pub(crate) connections: usize,
    /// Maximum number from one source.
    pub(crate) per_source: usize,
    /// Maximum number from one network.
    pub(crate) per_network: usize,
    /// Maximum number of unauthenticated connections in total; beyond it one is evicted.
    pub(crate) unauthenticated: usize,
    /// Maximum number of unauthenticated connections from one source.
    pub(crate) unauthenticated_per_source: usize,
    /// Maximum number of unauthenticated connections from one network.
    pub(crate) unauthenticated_per_network: usize,
    /// From this number of unauthenticated connections on, connections from networks that hold
    /// their share are rejected at random, with a probability that grows up to the limit (random
    /// early drop, as `MaxStartups` of OpenSSH).
    pub(crate) early: usize,
}

/// Why a connection is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// The limit on connections is reached, and all connections are authenticated.
    Full,
    /// Random early drop: there are many unauthenticated connections, and its network holds its
    /// share.
    EarlyDrop,
    /// A limit of its source or network is reached.
    TooManyFromSource,
}

/// Random early drop never affects a network with fewer unauthenticated connections than this: an
/// office whose people log in at the same time is not a flood, even if so many networks connect
/// that a share is less than one.
const MIN_EARLY_DROP: usize = 16;
/// One in this many places for unauthenticated connections is reserved for those without a complete
/// first flight, so that first flights cannot prevent a new client from sending its own.
const OPENING_SHARE: usize = 4;

/// Counts connections and enforces the limits.
pub(crate) struct Places<K: Key> {
    state: Mutex<State<K>>,
}

struct State<K: Key> {
    limits: Limits,
    /// Connections that have not been evicted.
    connections: usize,
    next: u64,
    sources: HashMap<K, Counts>,
    networks: HashMap<K, Counts>,
    /// The number of networks with unauthenticated connections.
    unauthenticated_networks: usize,
    /// Unauthenticated connections without a complete first flight.
    opening: Tier<K>,
    /// Unauthenticated connections with a complete first flight.
    first_flight_received: Tier<K>,
}

/// The numbers of connections of one source or network.
#[derive(Default)]
struct Counts {
    total: usize,
    unauthenticated: usize,
}

impl<K: Key> Places<K> {
    /// Enforces these limits.
    #[must_use]
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        let state = State {
            limits,
            connections: 0,
            next: 0,
            sources: HashMap::new(),
            networks: HashMap::new(),
            unauthenticated_networks: 0,
            opening: Tier::default(),
            first_flight_received: Tier::default(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
        })
    }

    /// Replaces the limits. Present connections stay.
    pub(crate) fn set_limits(&self, limits: Limits) {
        self.state().limits = limits;
    }

    /// Evicts an unauthenticated connection: the oldest of the largest network in the first tier,
    /// or in the second tier if few are left in the first. Returns `false` if there was none.
    pub(crate) fn evict(&self) -> bool {
        self.state().evict()
    }

    /// Admits a connection. It is counted until the returned value is dropped. `random` is a
    /// uniformly random number for random early drop.
    ///
    /// # Errors
    /// [`Rejected`]: the caller has to close the connection at once.
    pub(crate) fn admit(
        self: &Arc<Self>,
        from: Origin<K>,
        random: u32,
    ) -> Result<Place<K>, Rejected> {
        let mut state = self.state();
        let source = state.sources.get(&from.source);
        let network = state.networks.get(&from.network);
        let in_network = network.map_or(0, |network| network.unauthenticated);
        if source.is_some_and(|source| state.is_at_limit(source))
            || network.is_some_and(|network| network.total >= state.limits.per_network)
            || in_network >= state.limits.unauthenticated_per_network
        {
            return Err(Rejected::TooManyFromSource);
        }
        if state.drops_early(in_network, random) {
            return Err(Rejected::EarlyDrop);
        }
        while state.is_full() && state.evict() {}
        if state.connections >= state.limits.connections {
            return Err(Rejected::Full);
        }
        let (end, ended) = oneshot::channel();
        let number = state.add(from, end);
        Ok(Place {
            places: self.clone(),
            from,
            number,
            authenticated: false,
            ended: Some(ended),
        })
    }

    /// The number of connections, and of unauthenticated ones among them.
    #[must_use]
    pub(crate) fn count(&self) -> (usize, usize) {
        let state = self.state();
        (state.connections, state.unauthenticated())
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        // No code under the lock can panic between two changes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Key> State<K> {
    fn is_at_limit(&self, source: &Counts) -> bool {
        source.total >= self.limits.per_source
            || source.unauthenticated >= self.limits.unauthenticated_per_source
    }

    fn unauthenticated(&self) -> usize {
        self.opening.len() + self.first_flight_received.len()
    }

    /// Whether another connection has to be evicted for a new one.
    fn is_full(&self) -> bool {
        self.unauthenticated() >= self.limits.unauthenticated
            || self.connections >= self.limits.connections
    }

    /// Random early drop for a network with `own` unauthenticated connections. It does not apply
    /// below the network's share or [`MIN_EARLY_DROP`]; otherwise its probability grows linearly
    /// from `early` to the limit.
    fn drops_early(&self, own: usize, random: u32) -> bool {
        let (early, full) = (self.limits.early, self.limits.unauthenticated);
        let share = self.unauthenticated() / self.unauthenticated_networks.max(1);
        let over = self.unauthenticated().saturating_sub(early);
        if over == 0 || own < share.max(MIN_EARLY_DROP) {
            return false;
        }
        let chance =
            over as u128 * u128::from(u32::MAX) / (full.saturating_sub(early)).max(1) as u128;
        u128::from(random) < chance
    }

    fn add(&mut self, from: Origin<K>, end: oneshot::Sender<()>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.connections += 1;
        let source = self.sources.entry(from.source).or_default();
        source.total += 1;
        source.unauthenticated += 1;
        let network = self.networks.entry(from.network).or_default();
        network.total += 1;
        network.unauthenticated += 1;
        self.unauthenticated_networks += usize::from(network.unauthenticated == 1);
        self.opening.add(Unauthenticated { number, from, end });
        number
    }

    /// Moves a connection to the second tier if it is still unauthenticated.
    fn first_flight(&mut self, from: Origin<K>, number: u64) {
        if let Some(unauthenticated) = self.opening.take(from.network, number) {
            self.first_flight_received.add(unauthenticated);
        }
    }

    /// Removes a connection from the unauthenticated ones. Returns `false` if it was not one.
    fn no_longer_unauthenticated(&mut self, from: Origin<K>, number: u64) -> bool {
        let of = from.network;
        let taken = self.opening.take(of, number);
        let was_unauthenticated = taken
            .or_else(|| self.first_flight_received.take(of, number))
            .is_some();
        if was_unauthenticated {
            self.count_no_longer_unauthenticated(from);
        }
        was_unauthenticated
    }

    fn count_no_longer_unauthenticated(&mut self, from: Origin<K>) {
        if let Some(source) = self.sources.get_mut(&from.source) {
            source.unauthenticated -= 1;
        }
        if let Some(network) = self.networks.get_mut(&from.network) {
            network.unauthenticated -= 1;
            self.unauthenticated_networks -= usize::from(network.unauthenticated == 0);
        }
    }

    fn evict(&mut self) -> bool {
        let left_to_opening = self.limits.unauthenticated / OPENING_SHARE;
        let heard_first =
            self.opening.len() <= left_to_opening && self.first_flight_received.len() > 0;
        let tier = match heard_first {
            true => &mut self.first_flight_received,
            false => &mut self.opening,
        };
        let Some(unauthenticated) = tier.take_oldest_of_largest() else {
            return false;
        };
        // It is not counted any more, even while it sends its error. `send` fails if it ended by
        // itself.
        self.count_no_longer_unauthenticated(unauthenticated.from);
        self.connections -= 1;
        let _ = unauthenticated.end.send(());
        true
    }

    fn remove(&mut self, from: Origin<K>, number: u64, authenticated: bool) {
        let of = from.network;
        let was_unauthenticated = self.no_longer_unauthenticated(from, number);
        // An evicted connection was subtracted already.
        self.connections -= usize::from(was_unauthenticated || authenticated);
        if let Some(source) = self.sources.get_mut(&from.source) {
            source.total -= 1;
            if source.total == 0 {
                self.sources.remove(&from.source);
            }
        }
        if let Some(network) = self.networks.get_mut(&of) {
            network.total -= 1;
            if network.total == 0 {
                self.networks.remove(&of);
            }
        }
    }
}

/// The place of an admitted connection.
pub(crate) struct Place<K: Key> {
    places: Arc<Places<K>>,
    from: Origin<K>,
    number: u64,
    authenticated: bool,
    ended: Option<oneshot::Receiver<()>>,
}

impl<K: Key> Place<K> {
    /// Returns, on the first call, a receiver that becomes ready when the connection is evicted.
    pub(crate) fn ended(&mut self) -> Option<oneshot::Receiver<()>> {
        self.ended.take()
    }

    /// Records that the client sent its complete first flight, which moves the connection to the
    /// second tier.
    pub(crate) fn first_flight_received(&self) {
        self.places.state().first_flight(self.from, self.number);
    }

    /// Records that the client is authenticated. The connection is not evicted any more.
    pub(crate) fn authenticated(&mut self) {
        if !self.authenticated {
            let mut state = self.places.state();
            let was_unauthenticated = state.no_longer_unauthenticated(self.from, self.number);
            // It was evicted but authenticated before it was notified, so it stays and is counted
            // again.
            state.connections += usize::from(!was_unauthenticated);
            self.authenticated = true;
        }
    }
}

impl<K: Key> Drop for Place<K> {
    fn drop(&mut self) {
        let mut state = self.places.state();
        state.remove(self.from, self.number, self.authenticated);
    }
}

#[cfg(test)]
mod tests;
