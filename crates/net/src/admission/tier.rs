//! Unauthenticated connections that are evicted alike, grouped by network.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, VecDeque};

use countersign_core::guard::Source;
use tokio::sync::oneshot;

/// Networks with at most this many unauthenticated connections count as equally large.
const NO_CROWD: usize = 4;

/// Unauthenticated connections that are evicted alike.
#[derive(Default)]
pub(super) struct Tier {
    len: usize,
    /// The connections of each network that has any, oldest first.
    networks: HashMap<Source, VecDeque<Unproved>>,
    /// The same networks by size; among those of equal size, the one with the oldest connection comes last.
    crowds: BTreeSet<Crowd>,
}

/// How many connections a network has, [`NO_CROWD`] at least, and the number of its oldest.
type Crowd = (usize, Reverse<u64>, Source);

/// An unauthenticated connection.
pub(super) struct Unproved {
    /// Grows with each connection that is admitted.
    pub(super) number: u64,
    pub(super) from: Source,
    /// Evicts it.
    pub(super) end: oneshot::Sender<()>,
}

impl Tier {
    /// Its connections.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a connection at the place that its age gives it.
    pub(super) fn add(&mut self, unproved: Unproved) {
        let of = unproved.from.network();
        let connections = self.networks.entry(of).or_default();
        if let Some(before) = crowd(of, connections) {
            self.crowds.remove(&before);
        }
        let at = connections.partition_point(|other| other.number < unproved.number);
        connections.insert(at, unproved);
        self.len += 1;
        self.crowds.extend(crowd(of, connections));
    }

    /// Takes a connection out, if it is in this tier.
    pub(super) fn take(&mut self, network: Source, number: u64) -> Option<Unproved> {
        let connections = self.networks.get_mut(&network)?;
        // The queue is sorted by number.
        let at = connections.binary_search_by_key(&number, |unproved| unproved.number);
        let before = crowd(network, connections)?;
        let taken = connections.remove(at.ok()?)?;
        let after = crowd(network, connections);
        self.len -= 1;
        self.crowds.remove(&before);
        if after.is_none() {
            self.networks.remove(&network);
        }
        self.crowds.extend(after);
        Some(taken)
    }

    /// Takes the oldest connection of the largest network out.
    pub(super) fn take_oldest_of_largest(&mut self) -> Option<Unproved> {
        let (_, Reverse(number), network) = self.crowds.last().copied()?;
        self.take(network, number)
    }
}

/// The crowd that these connections of a network are; `None` without any.
fn crowd(network: Source, connections: &VecDeque<Unproved>) -> Option<Crowd> {
    let oldest = connections.front()?;
    let size = connections.len().max(NO_CROWD);
    Some((size, Reverse(oldest.number), network))
}
