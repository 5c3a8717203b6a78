//! Who may connect: limits in total and per source, and what happens when there are more than the site
//! takes.
//!
//! What an attacker has is connections that nobody is proved on. When there are too many, a newcomer is
//! not turned away for it: the oldest one of the network (an IPv4 address, an IPv6 /48) that has most of them
//! has to go. So an honest login, which is quick and alone, gets through a crowd of slow ones.
//!
//! Unauthenticated connections are in two tiers. One that has not sent a whole first flight costs its client
//! nothing, and an honest client sends its first flight at once: these are evicted first. After its first
//! flight a client may need a second to stretch a pass phrase; its connection is evicted only when few of the
//! others are left. An attacker gets into the second tier by first flights alone, which wait for the turn of
//! their network, and there too the largest network makes room.

mod tier;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_core::guard::{Guard, Offence, Source};
use countersign_core::timestamp::Timestamp;
use tokio::sync::oneshot;

use self::tier::{Tier, Unproved};
use crate::clock;
use crate::limits::Limits;

/// Why a connection is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TurnedAway {
    /// The site has as many connections as it takes.
    #[error("too many connections")]
    Full,
    /// There are many connections that nobody is proved on, and its network has its share of them.
    #[error("its network has its share of the connections that nobody is proved on")]
    EarlyDrop,
    /// The source or its network has as many connections as one may have, or as many that nobody is proved
    /// on.
    #[error("too many connections from this source or its network")]
    TooManyFromSource,
    /// This source misbehaved and has to wait.
    #[error("a source that misbehaved and has to wait")]
    Penalized,
}

/// A network with fewer unproved connections is not turned away early: an office that logs in at once is no
/// crowd, not even when there are so many networks that a share is less than one.
const NEVER_EARLY: usize = 16;
/// This part of the places for unproved connections is left to those that have not sent a whole first flight:
/// first flights alone do not keep a newcomer from sending its own.
const OPENING: usize = 4;

/// Counts connections.
pub struct Admission {
    /// The penalties that it heeds and adds to; none for trusted proxies, which speak for others.
    guard: Option<Arc<Guard>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    limits: Limits,
    /// Those that have not been evicted.
    connections: usize,
    next: u64,
    sources: HashMap<Source, Counts>,
    networks: HashMap<Source, Counts>,
    /// The networks with unproved connections.
    unproved_networks: usize,
    /// The unproved connections that have not sent a whole first flight.
    opening: Tier,
    /// The unproved connections that have, and will show who they are.
    heard: Tier,
}

/// The connections of one source or network.
#[derive(Default)]
struct Counts {
    all: usize,
    unproved: usize,
}

impl Admission {
    /// For clients: keeps to these limits, and to the penalties of the site.
    #[must_use]
    pub fn new(limits: Limits, guard: Arc<Guard>) -> Arc<Self> {
        Self::with(limits, Some(guard))
    }

    /// For trusted proxies: a share of connections of their own, which nothing that other clients do can use
    /// up, and no penalties. A proxy passes on what others send, so neither is its fault.
    #[must_use]
    pub fn for_proxies(limits: &Limits) -> Arc<Self> {
        Self::with(share_of_proxies(limits), None)
    }

    fn with(limits: Limits, guard: Option<Arc<Guard>>) -> Arc<Self> {
        let state = State {
            limits,
            ..State::default()
        };
        Arc::new(Self {
            guard,
            state: Mutex::new(state),
        })
    }

    /// Keeps to these limits from now on.
    pub fn keep_to(&self, limits: &Limits) {
        self.state().limits = match self.guard {
            Some(_) => limits.clone(),
            None => share_of_proxies(limits),
        };
    }

    /// Evicts an unauthenticated connection: the oldest of the largest network, of those that have not sent a
    /// whole first flight while there are more than few of these. Whether there was one.
    pub fn evict(&self) -> bool {
        self.state().evict()
    }

    /// Lets a connection in, counted until the returned value is dropped. `dice` is random, for the choice
    /// whom to turn away early.
    ///
    /// # Errors
    /// [`TurnedAway`]: close the connection at once.
    pub fn admit(
        self: &Arc<Self>,
        from: Source,
        now: Timestamp,
        dice: u32,
    ) -> Result<Admitted, TurnedAway> {
        if self.has_to_wait(from, now) {
            return Err(TurnedAway::Penalized);
        }
        let mut state = self.state();
        let source = state.sources.get(&from);
        let network = state.networks.get(&from.network());
        let in_network = network.map_or(0, |network| network.unproved);
        if source.is_some_and(|source| state.has_its_share(source))
            || network.is_some_and(|network| network.all >= state.limits.connections_per_network)
            || in_network >= state.limits.unproved_per_network
        {
            return Err(TurnedAway::TooManyFromSource);
        }
        if state.drops_early(in_network, dice) {
            return Err(TurnedAway::EarlyDrop);
        }
        while state.is_full() && state.evict() {}
        if state.connections >= state.limits.connections {
            return Err(TurnedAway::Full);
        }
        let (end, ended) = oneshot::channel();
        let number = state.add(from, end);
        Ok(Admitted {
            admission: self.clone(),
            from,
            number,
            proved: false,
            ended: Some(ended),
        })
    }

    fn has_to_wait(&self, from: Source, now: Timestamp) -> bool {
        let guard = self.guard.as_ref();
        guard.is_some_and(|guard| guard.penalties().turned_away(from, now).is_some())
    }

    /// How many connections there are, and on how many of them nobody is proved.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let state = self.state();
        (state.connections, state.unproved())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_its_share(&self, source: &Counts) -> bool {
        source.all >= self.limits.connections_per_source
            || source.unproved >= self.limits.unproved_per_source
    }

    fn unproved(&self) -> usize {
        self.opening.len() + self.heard.len()
    }

    /// Whether one more has to take another's place.
    fn is_full(&self) -> bool {
        self.unproved() >= self.limits.unproved || self.connections >= self.limits.connections
    }

    /// Whether a network that has `own` unproved connections is turned away early: never with less than its
    /// share or [`NEVER_EARLY`], otherwise the more likely the fewer places are left.
    fn drops_early(&self, own: usize, dice: u32) -> bool {
        let (early, full) = (self.limits.unproved_early, self.limits.unproved);
        let share = self.unproved() / self.unproved_networks.max(1);
        let over = self.unproved().saturating_sub(early);
        if over == 0 || own < share.max(NEVER_EARLY) {
            return false;
        }
        let chance =
            over as u128 * u128::from(u32::MAX) / (full.saturating_sub(early)).max(1) as u128;
        u128::from(dice) < chance
    }

    fn add(&mut self, from: Source, end: oneshot::Sender<()>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.connections += 1;
        let source = self.sources.entry(from).or_default();
        source.all += 1;
        source.unproved += 1;
        let network = self.networks.entry(from.network()).or_default();
        network.all += 1;
        network.unproved += 1;
        self.unproved_networks += usize::from(network.unproved == 1);
        self.opening.add(Unproved { number, from, end });
        number
    }

    /// Moves a connection to the tier of those that sent a whole first flight, if it is still unproved.
    fn hear(&mut self, from: Source, number: u64) {
        if let Some(unproved) = self.opening.take(from.network(), number) {
            self.heard.add(unproved);
        }
    }

    /// Takes a connection out of the unproved ones, if it is still there.
    fn no_longer_unproved(&mut self, from: Source, number: u64) -> bool {
        let of = from.network();
        let taken = self.opening.take(of, number);
        let was_unproved = taken.or_else(|| self.heard.take(of, number)).is_some();
        if was_unproved {
            self.count_no_longer_unproved(from);
        }
        was_unproved
    }

    fn count_no_longer_unproved(&mut self, from: Source) {
        if let Some(source) = self.sources.get_mut(&from) {
            source.unproved -= 1;
        }
        if let Some(network) = self.networks.get_mut(&from.network()) {
            network.unproved -= 1;
            self.unproved_networks -= usize::from(network.unproved == 0);
        }
    }

    fn evict(&mut self) -> bool {
        let left_to_opening = self.limits.unproved / OPENING;
        let heard_first = self.opening.len() <= left_to_opening && self.heard.len() > 0;
        let tier = match heard_first {
            true => &mut self.heard,
            false => &mut self.opening,
        };
        let Some(unproved) = tier.take_oldest_of_largest() else {
            return false;
        };
        // It counts no longer, also while it says its last word. It may have ended by itself just now.
        self.count_no_longer_unproved(unproved.from);
        self.connections -= 1;
        let _ = unproved.end.send(());
        true
    }

    fn remove(&mut self, from: Source, number: u64, proved: bool) {
        let of = from.network();
        let was_unproved = self.no_longer_unproved(from, number);
        // One that was evicted counts no longer.
        self.connections -= usize::from(was_unproved || proved);
        if let Some(source) = self.sources.get_mut(&from) {
            source.all -= 1;
            if source.all == 0 {
                self.sources.remove(&from);
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

/// A connection that was let in.
pub struct Admitted {
    admission: Arc<Admission>,
    from: Source,
    number: u64,
    proved: bool,
    ended: Option<oneshot::Receiver<()>>,
}

impl Admitted {
    /// Where it comes from.
    #[must_use]
    pub fn source(&self) -> Source {
        self.from
    }

    /// Becomes ready when the connection has to make room for others; at most once.
    pub fn ended(&mut self) -> Option<oneshot::Receiver<()>> {
        self.ended.take()
    }

    /// The client sent a whole first flight: the connection makes room after those that have not.
    pub fn heard(&self) {
        self.admission.state().hear(self.from, self.number);
    }

    /// Somebody is proved on it: it counts as unproved no longer.
    pub fn proved(&mut self) {
        if !self.proved {
            let mut state = self.admission.state();
            let was_unproved = state.no_longer_unproved(self.from, self.number);
            // It was evicted, and was authenticated before it heard of that: it stays, and counts again.
            state.connections += usize::from(!was_unproved);
            self.proved = true;
        }
        if let Some(guard) = &self.admission.guard {
            guard.penalties().proved(self.from, clock::now());
        }
    }

    /// The source did this.
    pub fn punish(&self, offence: Offence, now: Timestamp) {
        if let Some(guard) = &self.admission.guard {
            guard.penalties().offend(self.from, offence, now);
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        state.remove(self.from, self.number, self.proved);
    }
}

/// Limits of which the proxies' share is the only one: each of them may have all of it.
fn share_of_proxies(limits: &Limits) -> Limits {
    let share = limits.proxied_connections;
    Limits {
        connections: share,
        connections_per_source: usize::MAX,
        connections_per_network: usize::MAX,
        unproved: share,
        unproved_per_source: usize::MAX,
        unproved_per_network: usize::MAX,
        unproved_early: share,
        ..limits.clone()
    }
}

#[cfg(test)]
mod tests;
