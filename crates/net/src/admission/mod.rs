//! How many connections there may be: limits in total, per source and per network, and what happens when a limit
//! is reached.
//!
//! Unauthenticated connections are cheap for an attacker. When there are too many of them, a new connection is
//! admitted all the same, and the oldest one of the network that holds most is evicted. So an honest login, which
//! is quick and alone, gets through a flood of slow ones.
//!
//! What a source and a network are, the caller says ([`Origin`]).
//!
//! Unauthenticated connections are in two tiers. One that has not sent a whole first flight costs its client
//! nothing, and an honest client sends its first flight at once: these are evicted first. After its first
//! flight a client may need a second to stretch a pass phrase; its connection is evicted only when few of the
//! others are left. An attacker gets into the second tier by first flights alone, which wait for the turn of
//! their network, and there too the largest network makes room.

mod tier;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use self::tier::{Tier, Unauthenticated};

/// What connections are counted by: an address or a prefix of one.
pub trait Key: Copy + Ord + Hash + Send + 'static {}

impl<K: Copy + Ord + Hash + Send + 'static> Key for K {}

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<K> {
    /// What one machine has, such as an IPv4 address or an IPv6 /64.
    pub source: K,
    /// The largest that one client may hold, such as an IPv6 /48: all its sources are evicted alike.
    pub network: K,
}

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In total.
    pub connections: usize,
    /// From one source.
    pub per_source: usize,
    /// From one network.
    pub per_network: usize,
    /// Unauthenticated ones in total; one more evicts another.
    pub unauthenticated: usize,
    /// Unauthenticated ones from one source.
    pub unauthenticated_per_source: usize,
    /// Unauthenticated ones from one network.
    pub unauthenticated_per_network: usize,
    /// From this number of unauthenticated ones on, networks that hold their share are rejected at random, the
    /// more likely the fewer places are left (random early drop, as `MaxStartups` of OpenSSH).
    pub early: usize,
}

/// Why a connection is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// The limit on connections is reached, and all of them are authenticated.
    Full,
    /// There are many unauthenticated connections, and its network holds its share of them.
    EarlyDrop,
    /// Its source or network holds as many connections, or unauthenticated ones, as one may.
    TooManyFromSource,
}

/// A network with fewer unauthenticated connections is not rejected early: an office that logs in at once is no
/// flood, not even when there are so many networks that a share is less than one.
const NEVER_EARLY: usize = 16;
/// This part of the places for unauthenticated connections is left to those that have not sent a whole first
/// flight: first flights alone do not keep a new connection from sending its own.
const OPENING: usize = 4;

/// Counts connections.
pub struct Admission<K: Key> {
    state: Mutex<State<K>>,
}

struct State<K: Key> {
    limits: Limits,
    /// Those that have not been evicted.
    connections: usize,
    next: u64,
    sources: HashMap<K, Counts>,
    networks: HashMap<K, Counts>,
    /// The networks with unauthenticated connections.
    unauthenticated_networks: usize,
    /// The unauthenticated connections that have not sent a whole first flight.
    opening: Tier<K>,
    /// The unauthenticated connections that have.
    heard: Tier<K>,
}

/// The connections of one source or network.
#[derive(Default)]
struct Counts {
    all: usize,
    unauthenticated: usize,
}

impl<K: Key> Admission<K> {
    /// Keeps to these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Arc<Self> {
        let state = State {
            limits,
            connections: 0,
            next: 0,
            sources: HashMap::new(),
            networks: HashMap::new(),
            unauthenticated_networks: 0,
            opening: Tier::default(),
            heard: Tier::default(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
        })
    }

    /// Keeps to these limits from now on.
    pub fn keep_to(&self, limits: Limits) {
        self.state().limits = limits;
    }

    /// Evicts an unauthenticated connection: the oldest of the largest network, of those that have not sent a
    /// whole first flight while there are more than few of these. Whether there was one.
    pub fn evict(&self) -> bool {
        self.state().evict()
    }

    /// Admits a connection, counted until the returned value is dropped. `random` is uniformly random, for random
    /// early drop.
    ///
    /// # Errors
    /// [`Rejected`]: close the connection at once.
    pub fn admit(self: &Arc<Self>, from: Origin<K>, random: u32) -> Result<Admitted<K>, Rejected> {
        let mut state = self.state();
        let source = state.sources.get(&from.source);
        let network = state.networks.get(&from.network);
        let in_network = network.map_or(0, |network| network.unauthenticated);
        if source.is_some_and(|source| state.has_its_share(source))
            || network.is_some_and(|network| network.all >= state.limits.per_network)
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
        Ok(Admitted {
            admission: self.clone(),
            from,
            number,
            authenticated: false,
            ended: Some(ended),
        })
    }

    /// How many connections there are, and how many of them are unauthenticated.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let state = self.state();
        (state.connections, state.unauthenticated())
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        // Every change under the lock is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Key> State<K> {
    fn has_its_share(&self, source: &Counts) -> bool {
        source.all >= self.limits.per_source
            || source.unauthenticated >= self.limits.unauthenticated_per_source
    }

    fn unauthenticated(&self) -> usize {
        self.opening.len() + self.heard.len()
    }

    /// Whether one more has to take another's place.
    fn is_full(&self) -> bool {
        self.unauthenticated() >= self.limits.unauthenticated
            || self.connections >= self.limits.connections
    }

    /// Whether a network that has `own` unauthenticated connections is turned away early: never with less than its
    /// share or [`NEVER_EARLY`], otherwise the more likely the fewer places are left.
    fn drops_early(&self, own: usize, random: u32) -> bool {
        let (early, full) = (self.limits.early, self.limits.unauthenticated);
        let share = self.unauthenticated() / self.unauthenticated_networks.max(1);
        let over = self.unauthenticated().saturating_sub(early);
        if over == 0 || own < share.max(NEVER_EARLY) {
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
        source.all += 1;
        source.unauthenticated += 1;
        let network = self.networks.entry(from.network).or_default();
        network.all += 1;
        network.unauthenticated += 1;
        self.unauthenticated_networks += usize::from(network.unauthenticated == 1);
        self.opening.add(Unauthenticated { number, from, end });
        number
    }

    /// Moves a connection to the tier of those that sent a whole first flight, if it is still unauthenticated.
    fn hear(&mut self, from: Origin<K>, number: u64) {
        if let Some(unauthenticated) = self.opening.take(from.network, number) {
            self.heard.add(unauthenticated);
        }
    }

    /// Takes a connection out of the unauthenticated ones, if it is still there.
    fn no_longer_unauthenticated(&mut self, from: Origin<K>, number: u64) -> bool {
        let of = from.network;
        let taken = self.opening.take(of, number);
        let was_unauthenticated = taken.or_else(|| self.heard.take(of, number)).is_some();
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
        let left_to_opening = self.limits.unauthenticated / OPENING;
        let heard_first = self.opening.len() <= left_to_opening && self.heard.len() > 0;
        let tier = match heard_first {
            true => &mut self.heard,
            false => &mut self.opening,
        };
        let Some(unauthenticated) = tier.take_oldest_of_largest() else {
            return false;
        };
        // It counts no longer, also while it says its last word. It may have ended by itself just now.
        self.count_no_longer_unauthenticated(unauthenticated.from);
        self.connections -= 1;
        let _ = unauthenticated.end.send(());
        true
    }

    fn remove(&mut self, from: Origin<K>, number: u64, authenticated: bool) {
        let of = from.network;
        let was_unauthenticated = self.no_longer_unauthenticated(from, number);
        // One that was evicted counts no longer.
        self.connections -= usize::from(was_unauthenticated || authenticated);
        if let Some(source) = self.sources.get_mut(&from.source) {
            source.all -= 1;
            if source.all == 0 {
                self.sources.remove(&from.source);
            }
        }
        if let Some(network) = self.networks.get_mut(&of) {
            network.all -= 1;
            if network.all == 0 {
                self.networks.remove(&of);
            }
        }
    }
}

/// A connection that was admitted.
pub struct Admitted<K: Key> {
    admission: Arc<Admission<K>>,
    from: Origin<K>,
    number: u64,
    authenticated: bool,
    ended: Option<oneshot::Receiver<()>>,
}

impl<K: Key> Admitted<K> {
    /// Where it comes from.
    #[must_use]
    pub fn origin(&self) -> Origin<K> {
        self.from
    }

    /// Becomes ready when the connection is evicted; at most once.
    pub fn ended(&mut self) -> Option<oneshot::Receiver<()>> {
        self.ended.take()
    }

    /// The client sent a whole first flight: the connection is evicted after those that have not.
    pub fn heard(&self) {
        self.admission.state().hear(self.from, self.number);
    }

    /// Its client is authenticated: it is never evicted.
    pub fn authenticated(&mut self) {
        if !self.authenticated {
            let mut state = self.admission.state();
            let was_unauthenticated = state.no_longer_unauthenticated(self.from, self.number);
            // It was evicted, and was authenticated before it heard of that: it stays, and counts again.
            state.connections += usize::from(!was_unauthenticated);
            self.authenticated = true;
        }
    }
}

impl<K: Key> Drop for Admitted<K> {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        state.remove(self.from, self.number, self.authenticated);
    }
}

#[cfg(test)]
mod tests;
