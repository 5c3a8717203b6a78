//! A tier of unauthenticated connections, grouped by network.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, VecDeque};

use tokio::sync::oneshot;

use super::{Key, Origin};

/// Networks with at most this many unauthenticated connections are treated as equally large.
const SMALL: usize = 4;

/// Unauthenticated connections in one tier.
pub(super) struct Tier<K: Key> {
    len: usize,
    /// The connections of each network, oldest first. There are no empty queues.
    networks: HashMap<K, VecDeque<Unauthenticated<K>>>,
    /// The same networks by size; among equal sizes, the network with the oldest connection is
    /// last.
    by_size: BTreeSet<Group<K>>,
}

/// The number of a network's connections, at least [`SMALL`], and the number of its oldest one.
type Group<K> = (usize, Reverse<u64>, K);

/// An unauthenticated connection.
pub(super) struct Unauthenticated<K> {
    /// A serial number that increases with each admitted connection.
    pub(super) number: u64,
    pub(super) from: Origin<K>,
    /// Tells the connection that it is evicted.
    pub(super) end: oneshot::Sender<()>,
}

impl<K: Key> Default for Tier<K> {
    fn default() -> Self {
        Self {
            len: 0,
            networks: HashMap::new(),
            by_size: BTreeSet::new(),
        }
    }
}

impl<K: Key> Tier<K> {
    /// The number of connections.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a connection in order of age.
    pub(super) fn add(&mut self, unauthenticated: Unauthenticated<K>) {
        let of = unauthenticated.from.network;
        let connections = self.networks.entry(of).or_default();
        if let Some(before) = group(of, connections) {
            self.by_size.remove(&before);
        }
        let at = connections.partition_point(|other| other.number < unauthenticated.number);
        connections.insert(at, unauthenticated);
        self.len += 1;
        self.by_size.extend(group(of, connections));
    }

    /// Removes and returns a connection if it is in this tier.
    pub(super) fn take(&mut self, network: K, number: u64) -> Option<Unauthenticated<K>> {
        let connections = self.networks.get_mut(&network)?;
        // The queue is sorted by number.
        let at =
            connections.binary_search_by_key(&number, |unauthenticated| unauthenticated.number);
        let before = group(network, connections)?;
        let taken = connections.remove(at.ok()?)?;
        let after = group(network, connections);
        self.len -= 1;
        self.by_size.remove(&before);
        if after.is_none() {
            self.networks.remove(&network);
        }
        self.by_size.extend(after);
        Some(taken)
    }

    /// Removes and returns the oldest connection of the largest network.
    pub(super) fn take_oldest_of_largest(&mut self) -> Option<Unauthenticated<K>> {
        let (_, Reverse(number), network) = self.by_size.last().copied()?;
        self.take(network, number)
    }
}

/// The sort key of a network with these connections; `None` if there are none.
fn group<K: Key>(network: K, connections: &VecDeque<Unauthenticated<K>>) -> Option<Group<K>> {
    let oldest = connections.front()?;
    let size = connections.len().max(SMALL);
    Some((size, Reverse(oldest.number), network))
}
