//! Failed guesses at a name's pass phrase. Whoever guesses makes itself wait, longer each time; whoever logs
//! in from where they logged in before does not wait for what strangers do. Names that do not exist are
//! treated as those that do.

use std::collections::HashMap;
use std::hash::Hash;

use super::{Source, make_room, since};
use crate::timestamp::Timestamp;

/// How guessing is slowed. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuessLimits {
    /// Failures of one source at one name before it waits: people mistype.
    pub free: u32,
    /// Failures of all sources at one name before strangers wait.
    pub free_of_strangers: u32,
    /// The first wait; twice as long with each further failure.
    pub first: u64,
    /// The longest wait of one source at one name.
    pub longest: u64,
    /// The longest wait of strangers: the person on a new device waits it too.
    pub longest_of_strangers: u64,
    /// Failures are forgotten when there was none for this long.
    pub forgotten: u64,
    /// Names, and pairs of name and source, that are remembered of each kind.
    pub remembered: usize,
}

impl Default for GuessLimits {
    fn default() -> Self {
        Self {
            free: 3,
            free_of_strangers: 20,
            first: 250,
            longest: 10_000,
            longest_of_strangers: 3_000,
            forgotten: 15 * 60 * 1_000,
            remembered: 16_384,
        }
    }
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Timestamp,
}

impl Failures {
    fn count_at(self, now: Timestamp, limits: &GuessLimits) -> u32 {
        if since(self.last, now) >= limits.forgotten {
            0
        } else {
            self.count
        }
    }
}

/// The failed guesses of all sources at all names.
#[derive(Default)]
pub struct Guesses {
    limits: GuessLimits,
    pairs: HashMap<(String, Source), Failures>,
    names: HashMap<String, Failures>,
    /// Who logged in from where, and when last.
    known: HashMap<(String, Source), Timestamp>,
}

impl Guesses {
    /// Keeps to these limits from now on.
    pub fn keep_to(&mut self, limits: GuessLimits) {
        self.limits = limits;
    }

    /// A login with that name from there is to be answered: how long that is to wait, in milliseconds. It
    /// counts as failed until it succeeds, so that many at once are slowed too.
    pub fn attempt(&mut self, name: &str, source: Source, now: Timestamp) -> u64 {
        let pair = (name.to_owned(), source);
        let own = count(&mut self.pairs, pair.clone(), now, &self.limits);
        let all = count(&mut self.names, name.to_owned(), now, &self.limits);
        let limits = &self.limits;
        let waits = doubling(limits.first, own, limits.free).min(limits.longest);
        if self.known.contains_key(&pair) {
            return waits;
        }
        let strangers = doubling(limits.first, all, limits.free_of_strangers);
        waits.max(strangers.min(limits.longest_of_strangers))
    }

    /// The person of that name logged in from there.
    pub fn succeeded(&mut self, name: &str, source: Source, now: Timestamp) {
        let pair = (name.to_owned(), source);
        self.pairs.remove(&pair);
        if let Some(all) = self.names.get_mut(name) {
            all.count = all.count.saturating_sub(1);
        }
        make_room(&mut self.known, &pair, self.limits.remembered, |last| {
            u64::try_from(last.millis()).unwrap_or(0)
        });
        self.known.insert(pair, now);
    }
}

/// Counts one more failure; how many there were before it.
fn count<K: Eq + Hash + Clone>(
    all: &mut HashMap<K, Failures>,
    key: K,
    now: Timestamp,
    limits: &GuessLimits,
) -> u32 {
    make_room(all, &key, limits.remembered, |failures: &Failures| {
        u64::from(failures.count_at(now, limits)) << 32
            | u64::from(u32::MAX).saturating_sub(since(failures.last, now) / 1_000)
    });
    let failures = all.entry(key).or_insert(Failures {
        count: 0,
        last: now,
    });
    let before = failures.count_at(now, limits);
    failures.count = before.saturating_add(1);
    failures.last = now;
    before
}

/// Nothing for the free ones, then `first`, then twice as long each time.
fn doubling(first: u64, failures: u32, free: u32) -> u64 {
    match failures.checked_sub(free) {
        None | Some(0) => 0,
        Some(over) => first.saturating_mul(1 << (over - 1).min(32)),
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

    #[test]
    fn a_guesser_makes_itself_wait_and_nobody_else() {
        let mut guesses = Guesses::default();
        let waits: Vec<u64> = (0..12)
            .map(|_| guesses.attempt("maria@x", source(1), at(0)))
            .collect();
        assert_eq!(
            waits,
            [
                0, 0, 0, 0, 250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000
            ]
        );
        assert_eq!(guesses.attempt("bob@x", source(1), at(0)), 0);
        assert_eq!(guesses.attempt("maria@x", source(2), at(0)), 0);
    }

    #[test]
    fn many_strangers_slow_strangers_and_not_who_logged_in_before() {
        let mut guesses = Guesses::default();
        guesses.attempt("maria@x", source(1), at(0));
        guesses.succeeded("maria@x", source(1), at(0));
        for stranger in 100..200 {
            guesses.attempt("maria@x", source(stranger), at(1));
        }
        assert_eq!(guesses.attempt("maria@x", source(1), at(1)), 0);
        assert_eq!(guesses.attempt("maria@x", source(2), at(1)), 3_000);
    }

    #[test]
    fn who_logs_in_often_is_no_stranger_to_anybody() {
        let mut guesses = Guesses::default();
        for _ in 0..100 {
            assert_eq!(guesses.attempt("maria@x", source(1), at(0)), 0);
            guesses.succeeded("maria@x", source(1), at(0));
        }
        assert_eq!(guesses.attempt("maria@x", source(2), at(0)), 0);
    }

    #[test]
    fn failures_are_forgotten_with_time_and_with_success() {
        let mut guesses = Guesses::default();
        for _ in 0..5 {
            guesses.attempt("maria@x", source(1), at(0));
            guesses.attempt("bob@x", source(1), at(0));
        }
        assert_eq!(guesses.attempt("maria@x", source(1), at(899)), 500);
        assert_eq!(guesses.attempt("bob@x", source(1), at(900)), 0);
        guesses.succeeded("maria@x", source(1), at(900));
        assert_eq!(guesses.attempt("maria@x", source(1), at(900)), 0);
    }

    #[test]
    fn memory_is_bounded_and_who_guesses_most_is_remembered() {
        let mut guesses = Guesses::default();
        guesses.keep_to(GuessLimits {
            remembered: 8,
            ..GuessLimits::default()
        });
        for _ in 0..6 {
            guesses.attempt("maria@x", source(1), at(0));
        }
        for stranger in 0..1_000 {
            let name = format!("nobody{stranger}@x");
            guesses.attempt(&name, source(2), at(1));
            let friend = format!("friend{stranger}@x");
            guesses.attempt(&friend, source(3), at(1));
            guesses.succeeded(&friend, source(3), at(1));
        }
        assert!(guesses.pairs.len() <= 8 && guesses.names.len() <= 8 && guesses.known.len() <= 8);
        assert_eq!(guesses.attempt("maria@x", source(1), at(1)), 1_000);
    }
}
