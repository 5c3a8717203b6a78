//! Who may connect: limits in total and per source, and penalties for those who misbehave.
//!
//! A penalty slows a source, never an account, so nobody can lock somebody else out. Points are
//! forgotten one a second.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::limits::Limits;

/// What connections are counted by: an IPv4 address or an IPv6 /64, of which anybody has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source(u64, bool);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(u64::from(u32::from(v4)), false),
            IpAddr::V6(v6) => Self((u128::from(v6) >> 64) as u64, true),
        }
    }
}

/// What a source did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offence {
    /// Sent what is not of the protocol.
    Malformed,
    /// Started a login and did not prove anything.
    NotProved,
}

impl Offence {
    fn points(self) -> u32 {
        match self {
            Self::Malformed => 8,
            Self::NotProved => 4,
        }
    }
}

/// Why a connection is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TurnedAway {
    /// The site has as many connections as it takes.
    #[error("too many connections")]
    Full,
    /// Too many connections wait to be proved.
    #[error("too many connections that nobody is proved on")]
    TooManyUnproved,
    /// This source has as many connections as one may have.
    #[error("too many connections from this source")]
    TooManyFromSource,
    /// This source misbehaved and has to wait.
    #[error("a source that misbehaved and has to wait")]
    Penalized,
}

/// Counts connections and remembers penalties.
pub struct Admission {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connections: usize,
    unproved: usize,
    sources: HashMap<Source, usize>,
    penalties: HashMap<Source, Penalty>,
}

#[derive(Clone, Copy)]
struct Penalty {
    points: u32,
    at: Instant,
}

impl Penalty {
    fn left(self, now: Instant) -> u32 {
        let forgotten = now.saturating_duration_since(self.at).as_secs();
        self.points
            .saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX))
    }
}

impl Admission {
    /// Keeps to these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            state: Mutex::default(),
        })
    }

    /// Lets a connection in, counted until the returned value is dropped.
    ///
    /// # Errors
    /// [`TurnedAway`]: close the connection at once.
    pub fn admit(self: &Arc<Self>, from: Source, now: Instant) -> Result<Admitted, TurnedAway> {
        let mut state = self.state();
        if state
            .penalties
            .get(&from)
            .is_some_and(|penalty| penalty.left(now) >= self.limits.penalty_threshold)
        {
            return Err(TurnedAway::Penalized);
        }
        if state.connections >= self.limits.connections {
            return Err(TurnedAway::Full);
        }
        if state.unproved >= self.limits.unproved {
            return Err(TurnedAway::TooManyUnproved);
        }
        let count = state.sources.get(&from).copied().unwrap_or_default();
        if count >= self.limits.connections_per_source {
            return Err(TurnedAway::TooManyFromSource);
        }
        state.sources.insert(from, count + 1);
        state.connections += 1;
        state.unproved += 1;
        Ok(Admitted {
            admission: self.clone(),
            from,
            proved: false,
        })
    }

    /// How many connections there are, and on how many of them nobody is proved.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let state = self.state();
        (state.connections, state.unproved)
    }

    fn punish(&self, from: Source, offence: Offence, now: Instant) {
        let mut state = self.state();
        let room = self.limits.penalized_sources;
        if state.penalties.len() >= room && !state.penalties.contains_key(&from) {
            state.penalties.retain(|_, penalty| penalty.left(now) > 0);
            if state.penalties.len() >= room {
                let mildest = state
                    .penalties
                    .iter()
                    .min_by_key(|(_, penalty)| penalty.left(now));
                let Some(mildest) = mildest.map(|(source, _)| *source) else {
                    return;
                };
                state.penalties.remove(&mildest);
            }
        }
        let left = state
            .penalties
            .get(&from)
            .map_or(0, |penalty| penalty.left(now));
        // Bounded, so that the worst offender is forgotten too once it stops.
        let points = (left + offence.points()).min(self.limits.penalty_threshold * 4);
        state.penalties.insert(from, Penalty { points, at: now });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is a counter's: a panic elsewhere leaves nothing half-done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that was let in.
pub struct Admitted {
    admission: Arc<Admission>,
    from: Source,
    proved: bool,
}

impl Admitted {
    /// Somebody is proved on it: it counts as unproved no longer.
    pub fn proved(&mut self) {
        if !std::mem::replace(&mut self.proved, true) {
            self.admission.state().unproved -= 1;
        }
    }

    /// The source did this.
    pub fn punish(&self, offence: Offence, now: Instant) {
        self.admission.punish(self.from, offence, now);
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        state.connections -= 1;
        if !self.proved {
            state.unproved -= 1;
        }
        match state.sources.get_mut(&self.from) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                state.sources.remove(&self.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits() -> Limits {
        Limits {
            connections: 4,
            connections_per_source: 2,
            unproved: 3,
            penalty_threshold: 16,
            penalized_sources: 2,
            ..Limits::default()
        }
    }

    fn source(last: u8) -> Source {
        IpAddr::from([192, 0, 2, last]).into()
    }

    #[test]
    fn a_source_gets_its_share_and_no_more() {
        let (admission, now) = (Admission::new(limits()), crate::clock::monotonic());
        let first = admission.admit(source(1), now).unwrap();
        let _second = admission.admit(source(1), now).unwrap();
        assert_eq!(
            admission.admit(source(1), now).err(),
            Some(TurnedAway::TooManyFromSource)
        );
        let _other = admission.admit(source(2), now).unwrap();
        drop(first);
        admission.admit(source(1), now).unwrap();
    }

    #[test]
    fn unproved_connections_are_limited_and_so_are_all() {
        let (admission, now) = (Admission::new(limits()), crate::clock::monotonic());
        let mut held: Vec<Admitted> = (1..=3)
            .map(|last| admission.admit(source(last), now).unwrap())
            .collect();
        assert_eq!(
            admission.admit(source(4), now).err(),
            Some(TurnedAway::TooManyUnproved)
        );
        held.iter_mut().for_each(Admitted::proved);
        held.push(admission.admit(source(4), now).unwrap());
        assert_eq!(
            admission.admit(source(5), now).err(),
            Some(TurnedAway::Full)
        );
        drop(held);
        assert_eq!(admission.count(), (0, 0));
    }

    #[test]
    fn whoever_misbehaves_waits_and_is_forgiven() {
        let (admission, now) = (Admission::new(limits()), crate::clock::monotonic());
        let admitted = admission.admit(source(1), now).unwrap();
        admitted.punish(Offence::Malformed, now);
        admission.admit(source(1), now).unwrap();
        admitted.punish(Offence::Malformed, now);
        assert_eq!(
            admission.admit(source(1), now).err(),
            Some(TurnedAway::Penalized)
        );
        admission.admit(source(2), now).unwrap();
        admission
            .admit(source(1), now + Duration::from_secs(1))
            .unwrap();
    }

    #[test]
    fn an_ipv6_source_is_a_whole_64() {
        let a: IpAddr = "2001:db8::1".parse().unwrap();
        let b: IpAddr = "2001:db8::ffff:1".parse().unwrap();
        let c: IpAddr = "2001:db8:0:1::1".parse().unwrap();
        assert_eq!(Source::from(a), Source::from(b));
        assert_ne!(Source::from(a), Source::from(c));
        assert_eq!(
            Source::from("::ffff:192.0.2.1".parse::<IpAddr>().unwrap()),
            source(1),
            "an IPv4 address in IPv6 clothes is the same source"
        );
    }

    #[test]
    fn penalties_are_remembered_for_as_many_sources_as_there_is_room() {
        let (admission, now) = (Admission::new(limits()), crate::clock::monotonic());
        for _ in 0..2 {
            admission.punish(source(1), Offence::Malformed, now);
        }
        admission.punish(source(2), Offence::NotProved, now);
        admission.punish(source(3), Offence::NotProved, now);
        assert_eq!(admission.state().penalties.len(), 2);
        assert_eq!(
            admission.admit(source(1), now).err(),
            Some(TurnedAway::Penalized),
            "the mildest is forgotten, not the worst"
        );
    }
}
