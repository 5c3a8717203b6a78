//! Penalties for abuse: a source gets points for each abuse. At a threshold its connections are
//! rejected for some time, and for longer each time it reaches the threshold again.

use std::collections::HashMap;

use super::{Source, make_room, since};
use crate::timestamp::Timestamp;

/// A kind of abuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abuse {
    /// The source violated the protocol.
    Malformed,
    /// The source started a login and did not authenticate.
    NotAuthenticated,
    /// The source asked for something that it cannot have: to resume a session that does not exist,
    /// as every client does after the site restarted, or to log in when the account has the maximum
    /// of sessions. Or it used a key that the site has replaced, requested key events and nothing else,
    /// or sent a ticket request that was answered before, is too old, or is from the future.
    Refused,
}

impl Abuse {
    const fn points(self) -> u64 {
        match self {
            Self::Malformed => 8,
            Self::NotAuthenticated => 4,
            Self::Refused => 1,
        }
    }
}

/// The limits for penalties. Durations are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PenaltyLimits {
    /// The number of points at which a source gets a penalty. One point expires per second. The
    /// points of an IPv6 /48 are also added up, and [`NETWORK`] times this threshold applies to
    /// them.
    pub threshold: u32,
    /// The duration of the first penalty. Each further one lasts twice as long as the previous one.
    pub first_duration: u64,
    /// The maximum duration of a penalty.
    pub max_duration: u64,
    /// The maximum number of sources in the table.
    pub max_sources: usize,
}

impl Default for PenaltyLimits {
    fn default() -> Self {
        Self {
            // Thirty login attempts that fail at once: an office behind one address with a broken
            // client.
            threshold: 128,
            first_duration: 15_000,
            // The address may belong to another customer tomorrow.
            max_duration: 60 * 60 * 1_000,
            max_sources: 16_384,
        }
    }
}

/// The threshold of a whole network (an IPv6 /48), as a multiple of that of a source. An office is
/// one such network, and so is an attacker with 65,536 sources.
pub const NETWORK: u32 = 16;
/// How long an authenticated login exempts a source from penalties of its network, in milliseconds:
/// a day.
const AUTHENTICATED_FOR: u64 = 24 * 60 * 60 * 1_000;
/// The maximum number of penalties that wait to be reported.
const MAX_UNREPORTED: usize = 256;
/// One previous penalty is forgiven per this many milliseconds without a penalty.
const FORGIVE_AFTER: u64 = 10 * 60 * 1_000;

/// The penalty state of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Penalty {
    /// The points at the time of the last change. One expires per second.
    pub points: u64,
    /// How many penalties the source has had that are not forgiven.
    pub times: u32,
    /// When the penalty ends; in the past if there is none.
    pub until: Timestamp,
    at: Timestamp,
}

impl Penalty {
    fn points_at(&self, now: Timestamp) -> u64 {
        self.points.saturating_sub(since(self.at, now) / 1_000)
    }

    /// Returns the state as of `now`. No penalty lasts longer than `max_duration`.
    fn now(&self, now: Timestamp, max_duration: u64) -> Self {
        // Times in the future were recorded before the clock was set back.
        let until = match since(now, self.until) > max_duration {
            true => now,
            false => self.until,
        };
        let at = self.at.min(now);
        let periods = since(until, now) / FORGIVE_AFTER;
        let forgiven = since(at, now) / 1_000;
        Self {
            points: self.points_at(now),
            // Expired points are subtracted in whole seconds only, so that frequent calls do not
            // lose fractions.
            at: at.plus_millis(forgiven * 1_000),
            times: self
                .times
                .saturating_sub(u32::try_from(periods).unwrap_or(u32::MAX)),
            // Advanced so that the same time does not forgive twice.
            until: until.plus_millis(periods * FORGIVE_AFTER),
        }
    }

    fn is_over(&self, now: Timestamp, max_duration: u64) -> bool {
        let penalty = self.now(now, max_duration);
        penalty.points == 0 && penalty.times == 0 && now >= penalty.until
    }
}

/// The penalties of all sources.
#[derive(Default)]
pub struct Penalties {
    limits: PenaltyLimits,
    sources: HashMap<Source, Penalty>,
    /// Sources from which a client authenticated, and when last. Penalties of their network do not
    /// apply.
    authenticated: HashMap<Source, Timestamp>,
    /// Penalties that started and are not reported yet, with the time when they end.
    started: Vec<(Source, Timestamp)>,
}

impl Penalties {
    /// Sets the limits.
    pub fn set_limits(&mut self, limits: PenaltyLimits) {
        self.limits = limits;
    }

    /// Adds the points of an abuse to a source and its network.
    pub fn record_abuse(&mut self, source: Source, abuse: Abuse, now: Timestamp) {
        let threshold = u64::from(self.limits.threshold);
        self.count(source, threshold, abuse, now);
        if source.network() != source {
            let threshold = threshold * u64::from(NETWORK);
            self.count(source.network(), threshold, abuse, now);
        }
    }

    /// Records that a client authenticated on a connection from this source.
    pub fn authenticated(&mut self, source: Source, now: Timestamp) {
        if source.network() == source {
            return;
        }
        make_room(
            &mut self.authenticated,
            &source,
            self.limits.max_sources,
            |last| u64::try_from(last.millis()).unwrap_or(0),
        );
        self.authenticated.insert(source, now);
    }

    fn count(&mut self, source: Source, threshold: u64, abuse: Abuse, now: Timestamp) {
        make_room(
            &mut self.sources,
            &source,
            self.limits.max_sources,
            |penalty| penalty.points_at(now) + since(now, penalty.until),
        );
        let max_duration = self.limits.max_duration;
        let before = self
            .sources
            .get(&source)
            .map(|penalty| penalty.now(now, max_duration));
        let mut penalty = before.unwrap_or(Penalty {
            points: 0,
            times: 0,
            until: now,
            at: now,
        });
        penalty.points += abuse.points();
        if penalty.points >= threshold && now >= penalty.until {
            let doubled = self
                .limits
                .first_duration
                .saturating_mul(1 << penalty.times.min(32));
            let duration = doubled.min(max_duration);
            penalty.times = penalty.times.saturating_add(1);
            penalty.points = 0;
            penalty.until = now.plus_millis(duration);
            if self.started.len() < MAX_UNREPORTED {
                self.started.push((source, penalty.until));
            }
        }
        self.sources.insert(source, penalty);
    }

    /// Returns when the penalty of the source ends: its own, or that of its network unless a client
    /// authenticated from this source within the last day. `None` if it has no penalty.
    #[must_use]
    pub fn refused_until(&self, source: Source, now: Timestamp) -> Option<Timestamp> {
        let own = self.until(source, now);
        let authenticated = self.authenticated.get(&source);
        match authenticated.is_some_and(|last| since(*last, now) < AUTHENTICATED_FOR) {
            true => own,
            false => own.max(self.until(source.network(), now)),
        }
    }

    fn until(&self, source: Source, now: Timestamp) -> Option<Timestamp> {
        let penalty = self.sources.get(&source)?;
        // A later time is possible only if the clock was set back.
        let left = since(now, penalty.until);
        (1..=self.limits.max_duration)
            .contains(&left)
            .then_some(penalty.until)
    }

    /// Returns the penalties that started since the last call, with the time when they end.
    #[must_use]
    pub fn take_started(&mut self) -> Vec<(Source, Timestamp)> {
        std::mem::take(&mut self.started)
    }

    /// Returns the state of every source in the table, the most severe first.
    #[must_use]
    pub fn list(&self, now: Timestamp) -> Vec<(Source, Penalty)> {
        let max_duration = self.limits.max_duration;
        let mut all: Vec<(Source, Penalty)> = self
            .sources
            .iter()
            .filter(|(_, penalty)| !penalty.is_over(now, max_duration))
            .map(|(source, penalty)| (*source, penalty.now(now, max_duration)))
            .collect();
        all.sort_by_key(|(source, penalty)| {
            (std::cmp::Reverse((penalty.until, penalty.points)), *source)
        });
        all
    }

    /// Removes one source, or all, and returns how many were removed.
    pub fn forget(&mut self, source: Option<Source>) -> usize {
        let before = self.sources.len();
        match source {
            Some(source) => drop(self.sources.remove(&source)),
            None => self.sources.clear(),
        }
        before - self.sources.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: PenaltyLimits = PenaltyLimits {
        threshold: 16,
        first_duration: 1_000,
        max_duration: 5_000,
        max_sources: 2,
    };

    fn source(last: u8) -> Source {
        Source::V4([192, 0, 2, last].into())
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    fn penalties() -> Penalties {
        let mut penalties = Penalties::default();
        penalties.set_limits(LIMITS);
        penalties
    }

    fn twice(penalties: &mut Penalties, last: u8, now: Timestamp) {
        for _ in 0..2 {
            penalties.record_abuse(source(last), Abuse::Malformed, now);
        }
    }

    /// A source is rejected exactly at the threshold.
    #[test]
    fn a_source_is_rejected_at_the_threshold_until_its_penalty_ends() {
        let mut penalties = penalties();
        penalties.record_abuse(source(1), Abuse::Malformed, at(0));
        assert_eq!(penalties.refused_until(source(1), at(0)), None);
        penalties.record_abuse(source(1), Abuse::Malformed, at(0));
        assert_eq!(penalties.refused_until(source(1), at(999)), Some(at(1_000)));
        assert_eq!(penalties.refused_until(source(1), at(1_000)), None);
        assert_eq!(penalties.refused_until(source(2), at(0)), None);
        assert_eq!(penalties.take_started(), [(source(1), at(1_000))]);
        assert!(penalties.take_started().is_empty(), "each is reported once");
    }

    /// Regression test. After the clock was set back by a century, a source with a penalty was not
    /// penalised again for a century, and its points did not expire.
    #[test]
    fn a_clock_that_is_set_back_neither_exempts_a_source_nor_keeps_its_points() {
        let mut penalties = penalties();
        let century = 100 * 365 * 24 * 60 * 60 * 1_000;
        twice(&mut penalties, 1, at(century));
        assert!(penalties.refused_until(source(1), at(century)).is_some());
        assert_eq!(penalties.refused_until(source(1), at(0)), None);
        twice(&mut penalties, 1, at(0));
        assert!(penalties.refused_until(source(1), at(1)).is_some());

        let one = Abuse::NotAuthenticated;
        penalties.record_abuse(source(2), one, at(century));
        assert!(penalties.list(at(0)).iter().any(|(of, _)| *of == source(2)));
        penalties.record_abuse(source(2), one, at(0));
        let later = at(60 * 60 * 1_000);
        assert!(!penalties.list(later).iter().any(|(of, _)| *of == source(2)));
    }

    #[test]
    fn one_point_expires_per_second() {
        let mut penalties = penalties();
        penalties.record_abuse(source(1), Abuse::Malformed, at(0));
        penalties.record_abuse(source(1), Abuse::Malformed, at(1_000));
        assert_eq!(penalties.refused_until(source(1), at(1_000)), None);
        assert_eq!(penalties.list(at(1_000))[0].1.points, 15);
        assert!(penalties.list(at(16_000)).is_empty());
    }

    #[test]
    fn each_penalty_is_longer_up_to_the_maximum_and_is_forgiven_in_time() {
        let mut penalties = penalties();
        let mut now = at(0);
        for duration in [1_000, 2_000, 4_000, 5_000, 5_000] {
            twice(&mut penalties, 1, now);
            let until = penalties.refused_until(source(1), now).unwrap();
            assert_eq!(until, now.plus_millis(duration));
            now = until;
        }
        let later = now.plus_millis(FORGIVE_AFTER * 5);
        twice(&mut penalties, 1, later);
        let until = penalties.refused_until(source(1), later);
        assert_eq!(until, Some(later.plus_millis(1_000)));
    }

    #[test]
    fn the_same_period_without_penalty_forgives_once() {
        let mut penalties = penalties();
        let mut now = at(0);
        for _ in 0..3 {
            twice(&mut penalties, 1, now);
            now = penalties.refused_until(source(1), now).unwrap();
        }
        // Long enough to forgive one of the three.
        let later = now.plus_millis(FORGIVE_AFTER + 60_000);
        twice(&mut penalties, 1, later);
        let until = penalties.refused_until(source(1), later);
        assert_eq!(until, Some(later.plus_millis(4_000)));
    }

    #[test]
    fn the_table_is_bounded_and_the_most_severe_sources_stay() {
        let mut penalties = penalties();
        twice(&mut penalties, 1, at(0));
        penalties.record_abuse(source(2), Abuse::NotAuthenticated, at(0));
        penalties.record_abuse(source(3), Abuse::NotAuthenticated, at(0));
        assert_eq!(penalties.list(at(0)).len(), 2);
        assert!(penalties.refused_until(source(1), at(0)).is_some());
    }

    #[test]
    fn a_network_whose_sources_add_up_to_its_threshold_is_rejected() {
        let mut penalties = Penalties::default();
        penalties.set_limits(PenaltyLimits {
            max_sources: 1_024,
            ..LIMITS
        });
        let address = |subnet: u64| Source::V6(0x2001_0db8_0001_0000 | subnet);
        // Four points each: none of these sources reaches its own threshold of 16.
        for subnet in 0..63 {
            penalties.record_abuse(address(subnet), Abuse::NotAuthenticated, at(0));
        }
        assert_eq!(penalties.refused_until(address(999), at(0)), None);
        penalties.record_abuse(address(63), Abuse::NotAuthenticated, at(0));
        assert!(penalties.refused_until(address(999), at(0)).is_some());
        // The penalty does not apply to a source from which a client authenticated.
        penalties.authenticated(address(7), at(0));
        assert_eq!(penalties.refused_until(address(7), at(0)), None);
        let neighbour = Source::V6(0x2001_0db8_0002_0000);
        assert_eq!(penalties.refused_until(neighbour, at(0)), None);
        assert_eq!(penalties.forget(Some(address(0).network())), 1);
        assert_eq!(penalties.refused_until(address(999), at(0)), None);
    }

    #[test]
    fn points_expire_for_a_source_that_connects_often() {
        let mut penalties = penalties();
        // One point per 900 milliseconds, of which one expires per second.
        for number in 0..100 {
            penalties.record_abuse(source(1), Abuse::Refused, at(0).plus_millis(number * 900));
        }
        let (_, penalty) = penalties.list(at(90))[0];
        assert!(penalty.points < 14 && penalty.times == 0, "{penalty:?}");
    }

    #[test]
    fn an_admin_clears_one_source_or_all() {
        let mut penalties = penalties();
        twice(&mut penalties, 1, at(0));
        twice(&mut penalties, 2, at(0));
        assert_eq!(penalties.forget(Some(source(1))), 1);
        assert_eq!(penalties.refused_until(source(1), at(0)), None);
        assert_eq!((penalties.forget(None), penalties.forget(None)), (1, 0));
    }
}
