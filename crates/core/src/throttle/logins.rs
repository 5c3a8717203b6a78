//! Failed guesses at a name's pass phrase. Whoever guesses makes itself wait, longer each time; whoever logs
//! in from where they logged in before does not wait for what strangers do. Names that do not exist are
//! treated as those that do.
//!
//! Waits of one source at one name come one after the other, so that many connections guess no faster than
//! one. Of strangers, so many wait at a time, and one of each network: the rate of all guesses at a name is
//! bounded, and no single network can keep a newcomer out.

use std::collections::HashMap;

use super::{Source, make_room, since};
use crate::timestamp::Timestamp;

/// How guessing is slowed. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginThrottleLimits {
    /// Failures of one source at one name before it waits: people mistype.
    pub free: u32,
    /// Failures of all sources at one name before strangers wait.
    pub free_of_strangers: u32,
    /// The first wait; twice as long with each further failure.
    pub first: u64,
    /// The longest wait for one more failure of a source at a name; twice as long where others of that source
    /// wait before it.
    pub longest: u64,
    /// The longest wait of strangers: the person on a new device waits it too.
    pub longest_of_strangers: u64,
    /// Strangers that may wait at one name at a time, one of each network (an IPv4 address, an IPv6 /48).
    pub strangers_at_a_time: usize,
    /// Failures are forgotten when there was none for this long.
    pub forgotten: u64,
    /// Names, and pairs of name and source, that are remembered of each kind.
    pub remembered: usize,
}

impl Default for LoginThrottleLimits {
    fn default() -> Self {
        Self {
            free: 3,
            free_of_strangers: 20,
            first: 250,
            longest: 10_000,
            longest_of_strangers: 3_000,
            // Some 340 guesses a second of all the world: fewer would let whoever has as many networks keep
            // newcomers out, more would let them guess.
            strangers_at_a_time: 1_024,
            forgotten: 15 * 60 * 1_000,
            remembered: 16_384,
        }
    }
}

/// A login that would have to wait longer than anybody does, or beside too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many logins with this name are under way")]
pub struct TooManyAttempts;

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Timestamp,
}

/// The failures of one source at one name.
#[derive(Clone, Copy)]
struct Pair {
    failures: Failures,
    /// Until when its logins that wait will have waited.
    waits_until: Timestamp,
}

/// The failures of all sources at one name.
#[derive(Clone)]
struct Name {
    failures: Failures,
    /// The networks of which a stranger waits, and until when.
    strangers: Vec<(Source, Timestamp)>,
}

impl Failures {
    fn count_at(self, now: Timestamp, limits: &LoginThrottleLimits) -> u32 {
        if since(self.last, now) >= limits.forgotten {
            0
        } else {
            self.count
        }
    }

    fn one_more(&mut self, now: Timestamp, limits: &LoginThrottleLimits) {
        self.count = self.count_at(now, limits).saturating_add(1);
        self.last = now;
    }

    /// The more, and the later, the worse.
    fn severity(self, now: Timestamp, limits: &LoginThrottleLimits) -> u64 {
        u64::from(self.count_at(now, limits)) << 32
            | u64::from(u32::MAX).saturating_sub(since(self.last, now) / 1_000)
    }
}

/// The failed guesses of all sources at all names.
#[derive(Default)]
pub struct LoginThrottle {
    limits: LoginThrottleLimits,
    pairs: HashMap<(String, Source), Pair>,
    names: HashMap<String, Name>,
    /// Who logged in from where, and when last.
    known: HashMap<(String, Source), Timestamp>,
}

impl LoginThrottle {
    /// Keeps to these limits from now on.
    pub fn keep_to(&mut self, limits: LoginThrottleLimits) {
        self.limits = limits;
    }

    /// A login with that name from there is to be answered: how long that is to wait, in milliseconds. It
    /// counts as failed until it succeeds, so that many at once are slowed too.
    ///
    /// # Errors
    /// [`TooManyAttempts`]: it is not to be answered, and does not count.
    pub fn attempt(
        &mut self,
        name: &str,
        source: Source,
        now: Timestamp,
    ) -> Result<u64, TooManyAttempts> {
        let limits = self.limits;
        let pair = (name.to_owned(), source);
        let none = Failures {
            count: 0,
            last: now,
        };
        make_room(&mut self.pairs, &pair, limits.remembered, |pair| {
            pair.failures.severity(now, &limits)
        });
        let known = self.known.contains_key(&pair);
        let own = self.pairs.entry(pair.clone()).or_insert(Pair {
            failures: none,
            waits_until: now,
        });
        let step = doubling(
            limits.first,
            own.failures.count_at(now, &limits),
            limits.free,
        );
        // Further off than it can be: the clock was set back.
        let queued = since(now, own.waits_until);
        let queued = if queued > 2 * limits.longest {
            0
        } else {
            queued
        };
        let mut wait = match (step, known) {
            (0, _) => 0,
            // Who shares the source of somebody that logged in from there is to keep nobody out: the source's
            // penalties bound what it can guess.
            (_, true) => step.min(limits.longest),
            (_, false) => queued + step.min(limits.longest),
        };
        if wait > 2 * limits.longest {
            return Err(TooManyAttempts);
        }
        // A known source leaves what all share as it was, whether its login succeeds or fails: otherwise a
        // probe from elsewhere could tell from its delay that the owner logged in.
        if !known {
            make_room(&mut self.names, &pair.0, limits.remembered, |name| {
                name.failures.severity(now, &limits)
            });
            let all = self.names.entry(pair.0).or_insert_with(|| Name {
                failures: none,
                strangers: Vec::new(),
            });
            let failures = all.failures.count_at(now, &limits);
            let place = doubling(limits.first, failures, limits.free_of_strangers);
            if place > 0 {
                let place = place.min(limits.longest_of_strangers);
                all.wait(source.network(), now, place, &limits)?;
                wait = wait.max(place);
            }
            all.failures.one_more(now, &limits);
        }
        if step > 0 {
            own.waits_until = now.plus_millis(wait);
        }
        own.failures.one_more(now, &limits);
        Ok(wait)
    }

    /// A login that waited went away before it was answered: its place is another stranger's.
    pub fn left(&mut self, name: &str, source: Source) {
        if let Some(all) = self.names.get_mut(name) {
            all.strangers.retain(|(of, _)| *of != source.network());
        }
    }

    /// The account of that name was deleted: where it was known from does not help another of its name.
    /// Failures stay, as they do for a name that never existed.
    pub fn forget(&mut self, name: &str) {
        self.known.retain(|(of, _), _| of != name);
    }

    /// The person of that name logged in from there. What all sources share stays as it was, so that
    /// nothing outside shows that the login succeeded.
    pub fn succeeded(&mut self, name: &str, source: Source, now: Timestamp) {
        let pair = (name.to_owned(), source);
        self.pairs.remove(&pair);
        make_room(&mut self.known, &pair, self.limits.remembered, |last| {
            u64::try_from(last.millis()).unwrap_or(0)
        });
        self.known.insert(pair, now);
    }
}

impl Name {
    /// A stranger of that network waits, if there is room.
    fn wait(
        &mut self,
        network: Source,
        now: Timestamp,
        wait: u64,
        limits: &LoginThrottleLimits,
    ) -> Result<(), TooManyAttempts> {
        let until = now.plus_millis(wait);
        self.strangers
            .retain(|(_, until)| (1..=limits.longest_of_strangers).contains(&since(now, *until)));
        let waits = self.strangers.iter().any(|(of, _)| *of == network);
        if waits || self.strangers.len() >= limits.strangers_at_a_time {
            return Err(TooManyAttempts);
        }
        self.strangers.push((network, until));
        Ok(())
    }
}

/// Nothing for the free ones, then `first`, then twice as long each time.
fn doubling(first: u64, failures: u32, free: u32) -> u64 {
    match failures.checked_sub(free) {
        None => 0,
        Some(over) => first.saturating_mul(1 << over.min(32)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> Source {
        Source::V4([192, 0, 2, last].into())
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    /// How long one login waits, when it may.
    fn wait(logins: &mut LoginThrottle, name: &str, source: Source, now: Timestamp) -> u64 {
        logins.attempt(name, source, now).unwrap()
    }

    #[test]
    fn a_guesser_makes_itself_wait_and_nobody_else() {
        let mut logins = LoginThrottle::default();
        let mut now = at(0);
        let waits: Vec<u64> = (0..12)
            .map(|_| {
                let waits = wait(&mut logins, "maria@x", source(1), now);
                now = now.plus_millis(waits);
                waits
            })
            .collect();
        assert_eq!(
            waits,
            [
                0, 0, 0, 250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000
            ]
        );
        assert_eq!(wait(&mut logins, "bob@x", source(1), now), 0);
        assert_eq!(wait(&mut logins, "maria@x", source(2), now), 0);
    }

    #[test]
    fn many_connections_of_one_source_guess_no_faster_than_one() {
        let mut logins = LoginThrottle::default();
        let mut answered = Vec::new();
        for _ in 0..1_000 {
            answered.extend(logins.attempt("maria@x", source(1), at(0)));
        }
        // One after the other, until the last would wait for twice the longest wait.
        assert_eq!(answered, [0, 0, 0, 250, 750, 1_750, 3_750, 7_750, 15_750]);
        // What was not answered did not count: the next wait is that after nine failures.
        assert_eq!(wait(&mut logins, "maria@x", source(1), at(16)), 10_000);
    }

    #[test]
    fn many_strangers_slow_strangers_and_not_who_logged_in_before() {
        let mut logins = LoginThrottle::default();
        wait(&mut logins, "maria@x", source(1), at(0));
        logins.succeeded("maria@x", source(1), at(0));
        for stranger in 100..200 {
            let _ = logins.attempt("maria@x", source(stranger), at(1));
        }
        assert_eq!(wait(&mut logins, "maria@x", source(1), at(1)), 0);
        assert_eq!(wait(&mut logins, "maria@x", source(2), at(5)), 3_000);
    }

    /// Whoever guesses from the source of somebody who logged in there slows them, and keeps them out in no case.
    #[test]
    fn who_logged_in_from_there_is_answered_whatever_others_of_that_source_do() {
        let mut logins = LoginThrottle::default();
        wait(&mut logins, "maria@x", source(1), at(0));
        logins.succeeded("maria@x", source(1), at(0));
        let waits: Vec<u64> = (0..1_000)
            .map(|_| wait(&mut logins, "maria@x", source(1), at(1)))
            .collect();
        assert_eq!(waits.iter().max(), Some(&10_000));
    }

    #[test]
    fn a_stranger_that_goes_away_leaves_its_place() {
        let mut logins = LoginThrottle::default();
        logins.keep_to(LoginThrottleLimits {
            strangers_at_a_time: 32,
            ..LoginThrottleLimits::default()
        });
        for stranger in 0..24 {
            let _ = logins.attempt("maria@x", source(stranger), at(0));
        }
        wait(&mut logins, "maria@x", source(100), at(4));
        let again = logins.attempt("maria@x", source(100), at(4));
        assert_eq!(again, Err(TooManyAttempts));
        logins.left("maria@x", source(100));
        assert!(logins.attempt("maria@x", source(100), at(4)).is_ok());
    }

    /// At the limit and one over: so many strangers wait at a name, and others may when these have waited.
    #[test]
    fn as_many_strangers_wait_at_a_name_as_there_is_room() {
        let mut logins = LoginThrottle::default();
        logins.keep_to(LoginThrottleLimits {
            strangers_at_a_time: 32,
            ..LoginThrottleLimits::default()
        });
        for stranger in 0..24 {
            let _ = logins.attempt("maria@x", source(stranger), at(0));
        }
        let answered = |logins: &mut LoginThrottle, now| {
            let strangers = (100..200).map(|last| logins.attempt("maria@x", source(last), now));
            strangers.filter(Result::is_ok).count()
        };
        assert_eq!(answered(&mut logins, at(4)), 32);
        assert_eq!(answered(&mut logins, at(4)), 0);
        assert_eq!(answered(&mut logins, at(8)), 32);
        assert_eq!(logins.attempt("bob@x", source(100), at(8)), Ok(0));
    }

    /// However many addresses somebody has of one network, one of them guesses at a time, and a newcomer from
    /// elsewhere finds room.
    #[test]
    fn one_network_keeps_nobody_out() {
        let mut logins = LoginThrottle::default();
        let address = |subnet: u64| Source::V6(0x2001_0db8_0001_0000 | subnet);
        let mut answered = 0;
        for subnet in 0..10_000 {
            answered += u32::from(logins.attempt("maria@x", address(subnet), at(0)).is_ok());
        }
        assert_eq!(
            answered, 21,
            "the free ones, the first that waits, and no more"
        );
        assert!(logins.attempt("maria@x", source(1), at(0)).is_ok());
        assert!(logins.attempt("maria@x", address(1), at(4)).is_ok());
        assert!(logins.attempt("maria@x", address(2), at(4)).is_err());
    }

    #[test]
    fn who_logs_in_often_is_no_stranger_to_anybody() {
        let mut logins = LoginThrottle::default();
        for _ in 0..100 {
            assert_eq!(wait(&mut logins, "maria@x", source(1), at(0)), 0);
            logins.succeeded("maria@x", source(1), at(0));
        }
        assert_eq!(wait(&mut logins, "maria@x", source(2), at(0)), 0);
    }

    /// 21 failures at a name from 7 unfamiliar sources, and a probe 15 minutes and a second later: it was
    /// delayed if the owner had logged in meanwhile, and not delayed if they had not.
    #[test]
    fn a_probe_cannot_tell_whether_the_owner_logged_in() {
        let probed = |owner_from: Option<u8>| {
            let mut logins = LoginThrottle::default();
            wait(&mut logins, "maria@x", source(1), at(0));
            logins.succeeded("maria@x", source(1), at(0));
            for guess in 0..21 {
                let _ = logins.attempt("maria@x", source(100 + guess % 7), at(1));
            }
            if let Some(from) = owner_from {
                wait(&mut logins, "maria@x", source(from), at(600));
                logins.succeeded("maria@x", source(from), at(600));
            }
            wait(&mut logins, "maria@x", source(200), at(902))
        };
        assert_eq!((probed(None), probed(Some(1))), (0, 0));

        // On a new device a login that succeeds looks like one that fails.
        let after = |succeeds: bool| {
            let mut logins = LoginThrottle::default();
            for guess in 0..21 {
                let _ = logins.attempt("maria@x", source(100 + guess), at(0));
            }
            wait(&mut logins, "maria@x", source(2), at(10));
            if succeeds {
                logins.succeeded("maria@x", source(2), at(10));
            }
            wait(&mut logins, "maria@x", source(200), at(20))
        };
        assert_eq!(after(true), after(false));
    }

    /// Another account of a deleted one's name must not be easier to guess at from where the first was known.
    #[test]
    fn a_new_account_of_a_deleted_ones_name_has_no_known_sources() {
        let mut logins = LoginThrottle::default();
        wait(&mut logins, "maria@x", source(1), at(0));
        logins.succeeded("maria@x", source(1), at(0));
        logins.forget("maria@x");
        for guess in 0..22 {
            let _ = logins.attempt("maria@x", source(100 + guess), at(1));
        }
        assert!(wait(&mut logins, "maria@x", source(1), at(5)) > 0);
    }

    #[test]
    fn failures_are_forgotten_with_time_and_with_success() {
        let mut logins = LoginThrottle::default();
        for _ in 0..5 {
            wait(&mut logins, "maria@x", source(1), at(0));
            wait(&mut logins, "bob@x", source(1), at(0));
        }
        assert_eq!(wait(&mut logins, "maria@x", source(1), at(899)), 1_000);
        assert_eq!(wait(&mut logins, "bob@x", source(1), at(900)), 0);
        logins.succeeded("maria@x", source(1), at(900));
        assert_eq!(wait(&mut logins, "maria@x", source(1), at(900)), 0);
    }

    #[test]
    fn memory_is_bounded_and_who_guesses_most_is_remembered() {
        let mut logins = LoginThrottle::default();
        logins.keep_to(LoginThrottleLimits {
            remembered: 8,
            ..LoginThrottleLimits::default()
        });
        for _ in 0..6 {
            wait(&mut logins, "maria@x", source(1), at(0));
        }
        for stranger in 0..1_000 {
            let name = format!("nobody{stranger}@x");
            wait(&mut logins, &name, source(2), at(1));
            let friend = format!("friend{stranger}@x");
            wait(&mut logins, &friend, source(3), at(1));
            logins.succeeded(&friend, source(3), at(1));
        }
        assert!(logins.pairs.len() <= 8 && logins.names.len() <= 8 && logins.known.len() <= 8);
        assert_eq!(wait(&mut logins, "maria@x", source(1), at(5)), 2_000);
    }
}
