//! Penalties: points for what a source did. At a threshold it is turned away for a while, and longer each
//! time that it comes to that again.

use std::collections::HashMap;

use super::{Source, make_room, since};
use crate::timestamp::Timestamp;

/// What a source did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abuse {
    /// Sent what is not of the protocol.
    Malformed,
    /// Started a login and did not prove anything.
    NotAuthenticated,
    /// Wanted what it could not have: to resume a session that there is not, as every client does after the site
    /// was started anew, or to log in beside too many.
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

/// When a source is turned away, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PenaltyLimits {
    /// Points at which a source is turned away; one is forgotten each second. Those of an IPv6 /48 count
    /// together too, up to [`NETWORK`] times as many.
    pub threshold: u32,
    /// How long it is turned away the first time, in milliseconds; twice as long each time after.
    pub first: u64,
    /// How long it is turned away at most, in milliseconds.
    pub longest: u64,
    /// Sources that are remembered.
    pub sources: usize,
}

impl Default for PenaltyLimits {
    fn default() -> Self {
        Self {
            // Thirty logins that failed at once: a whole office behind one address with a broken client.
            threshold: 128,
            first: 15_000,
            // An address is somebody else's tomorrow.
            longest: 60 * 60 * 1_000,
            sources: 16_384,
        }
    }
}

/// The points of a whole network (an IPv6 /48) at which it is turned away, in those of a source: an office is
/// one, and so is a guesser with 65,536 sources.
pub const NETWORK: u32 = 16;
/// So long after somebody was proved at a source its network's penalties are not its own: a day, in milliseconds.
const PROVED_FOR: u64 = 24 * 60 * 60 * 1_000;
/// Penalties that began and that nothing has reported yet.
const UNREPORTED: usize = 256;
/// One time of turning away is forgotten for each so long since the last one.
const FORGIVEN_AFTER: u64 = 10 * 60 * 1_000;

/// What is remembered of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Penalty {
    /// Points, of which one is forgotten each second.
    pub points: u64,
    /// How often it was turned away lately.
    pub times: u32,
    /// Until when it is turned away; the past when it is not.
    pub until: Timestamp,
    at: Timestamp,
}

impl Penalty {
    fn points_at(&self, now: Timestamp) -> u64 {
        self.points.saturating_sub(since(self.at, now) / 1_000)
    }

    /// The penalty as it stands now; none turns a source away for longer than `longest`.
    fn now(&self, now: Timestamp, longest: u64) -> Self {
        // What was noted in times that are to come yet was noted before the clock was set back.
        let until = match since(now, self.until) > longest {
            true => now,
            false => self.until,
        };
        let at = self.at.min(now);
        let good = since(until, now) / FORGIVEN_AFTER;
        let forgiven = since(at, now) / 1_000;
        Self {
            points: self.points_at(now),
            // By whole seconds: who comes more often than that is forgiven too.
            at: at.plus_millis(forgiven * 1_000),
            times: self
                .times
                .saturating_sub(u32::try_from(good).unwrap_or(u32::MAX)),
            // What was forgiven is not forgiven again for the same time.
            until: until.plus_millis(good * FORGIVEN_AFTER),
        }
    }

    fn is_over(&self, now: Timestamp, longest: u64) -> bool {
        let penalty = self.now(now, longest);
        penalty.points == 0 && penalty.times == 0 && now >= penalty.until
    }
}

/// The penalties of all sources.
#[derive(Default)]
pub struct Penalties {
    limits: PenaltyLimits,
    sources: HashMap<Source, Penalty>,
    /// Sources on which somebody was proved, and when last: what their network did is not theirs.
    proved: HashMap<Source, Timestamp>,
    /// Penalties that began, and until when they last.
    begun: Vec<(Source, Timestamp)>,
}

impl Penalties {
    /// Keeps to these limits from now on.
    pub fn keep_to(&mut self, limits: PenaltyLimits) {
        self.limits = limits;
    }

    /// The source did this.
    pub fn record_abuse(&mut self, source: Source, abuse: Abuse, now: Timestamp) {
        let threshold = u64::from(self.limits.threshold);
        self.count(source, threshold, abuse, now);
        if source.network() != source {
            let threshold = threshold * u64::from(NETWORK);
            self.count(source.network(), threshold, abuse, now);
        }
    }

    /// Somebody was proved on a connection of that source.
    pub fn authenticated(&mut self, source: Source, now: Timestamp) {
        if source.network() == source {
            return;
        }
        make_room(&mut self.proved, &source, self.limits.sources, |last| {
            u64::try_from(last.millis()).unwrap_or(0)
        });
        self.proved.insert(source, now);
    }

    fn count(&mut self, source: Source, threshold: u64, abuse: Abuse, now: Timestamp) {
        make_room(&mut self.sources, &source, self.limits.sources, |penalty| {
            penalty.points_at(now) + since(now, penalty.until)
        });
        let longest = self.limits.longest;
        let before = self
            .sources
            .get(&source)
            .map(|penalty| penalty.now(now, longest));
        let mut penalty = before.unwrap_or(Penalty {
            points: 0,
            times: 0,
            until: now,
            at: now,
        });
        penalty.points += abuse.points();
        if penalty.points >= threshold && now >= penalty.until {
            let doubled = self.limits.first.saturating_mul(1 << penalty.times.min(32));
            let long = doubled.min(longest);
            penalty.times = penalty.times.saturating_add(1);
            penalty.points = 0;
            penalty.until = now.plus_millis(long);
            if self.begun.len() < UNREPORTED {
                self.begun.push((source, penalty.until));
            }
        }
        self.sources.insert(source, penalty);
    }

    /// Until when the source is turned away, for what it did or, unless somebody was proved there, for what its
    /// network did; `None` when it is not.
    #[must_use]
    pub fn refused_until(&self, source: Source, now: Timestamp) -> Option<Timestamp> {
        let own = self.until(source, now);
        let proved = self.proved.get(&source);
        match proved.is_some_and(|last| since(*last, now) < PROVED_FOR) {
            true => own,
            false => own.max(self.until(source.network(), now)),
        }
    }

    fn until(&self, source: Source, now: Timestamp) -> Option<Timestamp> {
        let penalty = self.sources.get(&source)?;
        // Further off than it can be: the clock was set back.
        let left = since(now, penalty.until);
        (1..=self.limits.longest)
            .contains(&left)
            .then_some(penalty.until)
    }

    /// The penalties that began since the last call, and until when they last.
    #[must_use]
    pub fn begun(&mut self) -> Vec<(Source, Timestamp)> {
        std::mem::take(&mut self.begun)
    }

    /// Every source that something is remembered of, the worst first.
    #[must_use]
    pub fn list(&self, now: Timestamp) -> Vec<(Source, Penalty)> {
        let longest = self.limits.longest;
        let mut all: Vec<(Source, Penalty)> = self
            .sources
            .iter()
            .filter(|(_, penalty)| !penalty.is_over(now, longest))
            .map(|(source, penalty)| (*source, penalty.now(now, longest)))
            .collect();
        all.sort_by_key(|(source, penalty)| {
            (std::cmp::Reverse((penalty.until, penalty.points)), *source)
        });
        all
    }

    /// Forgets a source, or all; how many were forgotten.
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
        first: 1_000,
        longest: 5_000,
        sources: 2,
    };

    fn source(last: u8) -> Source {
        Source::V4([192, 0, 2, last].into())
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    fn penalties() -> Penalties {
        let mut penalties = Penalties::default();
        penalties.keep_to(LIMITS);
        penalties
    }

    fn twice(penalties: &mut Penalties, last: u8, now: Timestamp) {
        for _ in 0..2 {
            penalties.record_abuse(source(last), Abuse::Malformed, now);
        }
    }

    /// At the threshold, and one offence under it.
    #[test]
    fn whoever_misbehaves_waits_and_is_let_in_again() {
        let mut penalties = penalties();
        penalties.record_abuse(source(1), Abuse::Malformed, at(0));
        assert_eq!(penalties.refused_until(source(1), at(0)), None);
        penalties.record_abuse(source(1), Abuse::Malformed, at(0));
        assert_eq!(penalties.refused_until(source(1), at(999)), Some(at(1_000)));
        assert_eq!(penalties.refused_until(source(1), at(1_000)), None);
        assert_eq!(penalties.refused_until(source(2), at(0)), None);
        assert_eq!(penalties.begun(), [(source(1), at(1_000))]);
        assert!(penalties.begun().is_empty(), "each is reported once");
    }

    /// A source that had a penalty when the clock was set back by a century had none for a century, whatever it did,
    /// and its points were never forgiven.
    #[test]
    fn a_clock_that_is_set_back_neither_frees_a_source_nor_keeps_its_points() {
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
    fn points_are_forgotten_one_a_second() {
        let mut penalties = penalties();
        penalties.record_abuse(source(1), Abuse::Malformed, at(0));
        penalties.record_abuse(source(1), Abuse::Malformed, at(1_000));
        assert_eq!(penalties.refused_until(source(1), at(1_000)), None);
        assert_eq!(penalties.list(at(1_000))[0].1.points, 15);
        assert!(penalties.list(at(16_000)).is_empty());
    }

    #[test]
    fn each_time_is_longer_up_to_the_longest_and_forgiven_in_time() {
        let mut penalties = penalties();
        let mut now = at(0);
        for long in [1_000, 2_000, 4_000, 5_000, 5_000] {
            twice(&mut penalties, 1, now);
            let until = penalties.refused_until(source(1), now).unwrap();
            assert_eq!(until, now.plus_millis(long));
            now = until;
        }
        let later = now.plus_millis(FORGIVEN_AFTER * 5);
        twice(&mut penalties, 1, later);
        let until = penalties.refused_until(source(1), later);
        assert_eq!(until, Some(later.plus_millis(1_000)));
    }

    #[test]
    fn the_same_good_time_forgives_once() {
        let mut penalties = penalties();
        let mut now = at(0);
        for _ in 0..3 {
            twice(&mut penalties, 1, now);
            now = penalties.refused_until(source(1), now).unwrap();
        }
        // Long enough for one of the three, whatever is done in it.
        let later = now.plus_millis(FORGIVEN_AFTER + 60_000);
        twice(&mut penalties, 1, later);
        let until = penalties.refused_until(source(1), later);
        assert_eq!(until, Some(later.plus_millis(4_000)));
    }

    #[test]
    fn as_many_are_remembered_as_there_is_room_and_the_worst_stay() {
        let mut penalties = penalties();
        twice(&mut penalties, 1, at(0));
        penalties.record_abuse(source(2), Abuse::NotAuthenticated, at(0));
        penalties.record_abuse(source(3), Abuse::NotAuthenticated, at(0));
        assert_eq!(penalties.list(at(0)).len(), 2);
        assert!(penalties.refused_until(source(1), at(0)).is_some());
    }

    #[test]
    fn who_has_a_whole_network_is_turned_away_with_all_of_it() {
        let mut penalties = Penalties::default();
        penalties.keep_to(PenaltyLimits {
            sources: 1_024,
            ..LIMITS
        });
        let address = |subnet: u64| Source::V6(0x2001_0db8_0001_0000 | subnet);
        // Four points each: none of these sources is near its own threshold of 16.
        for subnet in 0..63 {
            penalties.record_abuse(address(subnet), Abuse::NotAuthenticated, at(0));
        }
        assert_eq!(penalties.refused_until(address(999), at(0)), None);
        penalties.record_abuse(address(63), Abuse::NotAuthenticated, at(0));
        assert!(penalties.refused_until(address(999), at(0)).is_some());
        // Except where somebody logs in.
        penalties.authenticated(address(7), at(0));
        assert_eq!(penalties.refused_until(address(7), at(0)), None);
        let neighbour = Source::V6(0x2001_0db8_0002_0000);
        assert_eq!(penalties.refused_until(neighbour, at(0)), None);
        assert_eq!(penalties.forget(Some(address(0).network())), 1);
        assert_eq!(penalties.refused_until(address(999), at(0)), None);
    }

    #[test]
    fn points_are_forgiven_however_often_somebody_comes() {
        let mut penalties = penalties();
        // One point each 900 milliseconds, of which one is forgotten each second.
        for number in 0..100 {
            penalties.record_abuse(source(1), Abuse::Refused, at(0).plus_millis(number * 900));
        }
        let (_, penalty) = penalties.list(at(90))[0];
        assert!(penalty.points < 14 && penalty.times == 0, "{penalty:?}");
    }

    #[test]
    fn an_admin_forgets_one_or_all() {
        let mut penalties = penalties();
        twice(&mut penalties, 1, at(0));
        twice(&mut penalties, 2, at(0));
        assert_eq!(penalties.forget(Some(source(1))), 1);
        assert_eq!(penalties.refused_until(source(1), at(0)), None);
        assert_eq!((penalties.forget(None), penalties.forget(None)), (1, 0));
    }
}
