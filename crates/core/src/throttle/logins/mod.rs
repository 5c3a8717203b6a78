//! The login throttle: delays replies to login attempts for a name after failed logins. A source
//! that guesses pass phrases delays its own attempts, by more each time. A source from which the
//! account has logged in before is not delayed by failures of other sources. Names without an
//! account are treated like others.
//!
//! Delayed replies to one source for one name are sent one after the other, so that many
//! connections guess no faster than one. Of the unknown sources, a limited number wait at a time,
//! one per network. This bounds the rate of all guesses for a name, and no single network can keep
//! a new device out.

mod unnamed;

use std::collections::HashMap;

use super::{Source, make_room, since};
use crate::timestamp::Timestamp;

/// The limits of the login throttle. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginThrottleLimits {
    /// Failures of one source for one name before its replies are delayed: people mistype.
    pub free: u32,
    /// Failures of all unknown sources for one name before replies to unknown sources are delayed.
    pub free_from_unknown_sources: u32,
    /// The first delay. It doubles with each further failure.
    pub first_delay: u64,
    /// The maximum delay per failure of a source for a name. An attempt behind others of the same
    /// source waits up to twice as long.
    pub max_delay: u64,
    /// The maximum delay for unknown sources. It also delays the account's owner on a new device.
    pub max_delay_from_unknown_sources: u64,
    /// How many unknown sources may wait for one name at a time, one per network (an IPv4 address
    /// or an IPv6 /48).
    pub max_waiting_networks: usize,
    /// Failures are forgotten after this time without another one.
    pub forget_after: u64,
    /// The maximum number of entries in each table: names, and pairs of name and source.
    pub max_entries: usize,
}

impl Default for LoginThrottleLimits {
    fn default() -> Self {
        Self {
            free: 3,
            free_from_unknown_sources: 20,
            first_delay: 250,
            max_delay: 10_000,
            max_delay_from_unknown_sources: 3_000,
            // Allows about 340 guesses a second worldwide. Fewer would let an attacker with that
            // many networks keep new devices out; more would allow more guesses.
            max_waiting_networks: 1_024,
            forget_after: 15 * 60 * 1_000,
            max_entries: 16_384,
        }
    }
}

/// The login attempt would have to wait too long, or too many others wait already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many login attempts for this name are in progress")]
pub struct TooManyAttempts;

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Timestamp,
}

/// The failures of one source for one name.
#[derive(Clone, Copy)]
struct Pair {
    failures: Failures,
    /// Until when the delayed attempts of this pair wait.
    delayed_until: Timestamp,
}

/// The failures of all unknown sources for one name.
#[derive(Clone)]
struct Name {
    failures: Failures,
    /// The networks of which an unknown source waits, and until when.
    waiting: Vec<(Source, Timestamp)>,
    /// Until when attempts wait whose client a trusted proxy did not name.
    unnamed: Vec<Timestamp>,
}

impl Failures {
    fn count_at(self, now: Timestamp, limits: &LoginThrottleLimits) -> u32 {
        if since(self.last, now) >= limits.forget_after {
            0
        } else {
            self.count
        }
    }

    fn one_more(&mut self, now: Timestamp, limits: &LoginThrottleLimits) {
        self.count = self.count_at(now, limits).saturating_add(1);
        self.last = now;
    }

    /// More failures are more severe, then later ones.
    fn severity(self, now: Timestamp, limits: &LoginThrottleLimits) -> u64 {
        u64::from(self.count_at(now, limits)) << 32
            | u64::from(u32::MAX).saturating_sub(since(self.last, now) / 1_000)
    }
}

/// The failed logins of all sources for all names.
#[derive(Default)]
pub struct LoginThrottle {
    limits: LoginThrottleLimits,
    pairs: HashMap<(String, Source), Pair>,
    names: HashMap<String, Name>,
    /// Sources from which an account logged in, and when last.
    known: HashMap<(String, Source), Timestamp>,
}

impl LoginThrottle {
    /// Sets the limits.
    pub fn set_limits(&mut self, limits: LoginThrottleLimits) {
        self.limits = limits;
    }

    /// Counts a login attempt for this name and returns the milliseconds by which its reply must be
    /// delayed. The attempt counts as failed until [`Self::succeeded`], so that concurrent attempts
    /// are delayed too.
    ///
    /// # Errors
    /// [`TooManyAttempts`]: the attempt must be refused. It does not count.
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
        make_room(&mut self.pairs, &pair, limits.max_entries, |pair| {
            pair.failures.severity(now, &limits)
        });
        let known = self.known.contains_key(&pair);
        let own = self.pairs.entry(pair.clone()).or_insert(Pair {
            failures: none,
            delayed_until: now,
        });
        let own_delay = doubling(
            limits.first_delay,
            own.failures.count_at(now, &limits),
            limits.free,
        );
        // A later time is possible only if the clock was set back.
        let queued = since(now, own.delayed_until);
        let queued = if queued > 2 * limits.max_delay {
            0
        } else {
            queued
        };
        let mut delay = match (own_delay, known) {
            (0, _) => 0,
            // An attacker who shares a known source must not keep the owner out, so attempts do not
            // queue. The penalties of the source bound its guesses; clients that share a trusted proxy
            // have no source.
            (_, true) => own_delay.min(limits.max_delay),
            (_, false) => queued + own_delay.min(limits.max_delay),
        };
        if delay > 2 * limits.max_delay {
            return Err(TooManyAttempts);
        }
        // A known source changes nothing that others share, whether its login succeeds or fails.
        // Otherwise a probe from another source could tell from its delay that the owner logged in.
        if !known {
            let shared = entry_of(&mut self.names, pair.0, now, &limits);
            let failures = shared.failures.count_at(now, &limits);
            let shared_delay = doubling(
                limits.first_delay,
                failures,
                limits.free_from_unknown_sources,
            );
            if shared_delay > 0 {
                let shared_delay = shared_delay.min(limits.max_delay_from_unknown_sources);
                shared.add_waiting(source.network(), now, shared_delay, &limits)?;
                delay = delay.max(shared_delay);
            }
            shared.failures.one_more(now, &limits);
        }
        if own_delay > 0 {
            own.delayed_until = now.plus_millis(delay);
        }
        own.failures.one_more(now, &limits);
        Ok(delay)
    }

    /// Frees the place of an unknown source whose delayed attempt ended before it was answered.
    pub fn left(&mut self, name: &str, source: Source) {
        if let Some(shared) = self.names.get_mut(name) {
            shared.waiting.retain(|(of, _)| *of != source.network());
        }
    }

    /// Forgets the known sources of a name whose account was deleted, so that they do not help
    /// against another account of the same name. Failures stay, as they do for a name without an
    /// account.
    pub fn forget(&mut self, name: &str) {
        self.known.retain(|(of, _), _| of != name);
    }

    /// Records a successful login. What unknown sources share does not change, so that others
    /// cannot observe the login.
    pub fn succeeded(&mut self, name: &str, source: Source, now: Timestamp) {
        let pair = (name.to_owned(), source);
        self.pairs.remove(&pair);
        make_room(&mut self.known, &pair, self.limits.max_entries, |last| {
            u64::try_from(last.millis()).unwrap_or(0)
        });
        self.known.insert(pair, now);
    }
}

impl Name {
    /// Adds an unknown source of this network to those that wait, if there is room.
    fn add_waiting(
        &mut self,
        network: Source,
        now: Timestamp,
        delay: u64,
        limits: &LoginThrottleLimits,
    ) -> Result<(), TooManyAttempts> {
        let until = now.plus_millis(delay);
        self.waiting.retain(|(_, until)| {
            (1..=limits.max_delay_from_unknown_sources).contains(&since(now, *until))
        });
        let waits = self.waiting.iter().any(|(of, _)| *of == network);
        if waits || self.waiting.len() >= limits.max_waiting_networks {
            return Err(TooManyAttempts);
        }
        self.waiting.push((network, until));
        Ok(())
    }
}

/// Returns what unknown sources share for this name.
fn entry_of<'a>(
    names: &'a mut HashMap<String, Name>,
    name: String,
    now: Timestamp,
    limits: &LoginThrottleLimits,
) -> &'a mut Name {
    make_room(names, &name, limits.max_entries, |name| {
        name.failures.severity(now, limits)
    });
    names.entry(name).or_insert_with(|| Name {
        failures: Failures {
            count: 0,
            last: now,
        },
        waiting: Vec::new(),
        unnamed: Vec::new(),
    })
}

/// Returns 0 for the first `free` failures, then `first`, then twice as much for each further
/// failure.
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

    /// Returns the delay of one attempt, which must be allowed.
    fn wait(logins: &mut LoginThrottle, name: &str, source: Source, now: Timestamp) -> u64 {
        logins.attempt(name, source, now).unwrap()
    }

    #[test]
    fn failed_logins_delay_their_own_source_and_name_only() {
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
        // One after the other, until the last would wait longer than twice the maximum delay.
        assert_eq!(answered, [0, 0, 0, 250, 750, 1_750, 3_750, 7_750, 15_750]);
        // Refused attempts did not count: the next delay is that after nine failures.
        assert_eq!(wait(&mut logins, "maria@x", source(1), at(16)), 10_000);
    }

    #[test]
    fn failures_of_unknown_sources_delay_unknown_sources_and_not_known_ones() {
        let mut logins = LoginThrottle::default();
        wait(&mut logins, "maria@x", source(1), at(0));
        logins.succeeded("maria@x", source(1), at(0));
        for unknown in 100..200 {
            let _ = logins.attempt("maria@x", source(unknown), at(1));
        }
        assert_eq!(wait(&mut logins, "maria@x", source(1), at(1)), 0);
        assert_eq!(wait(&mut logins, "maria@x", source(2), at(5)), 3_000);
    }

    /// An attacker who guesses from a known source delays the owner there but never locks the owner
    /// out.
    #[test]
    fn a_known_source_is_always_answered_within_the_maximum_delay() {
        let mut logins = LoginThrottle::default();
        wait(&mut logins, "maria@x", source(1), at(0));
        logins.succeeded("maria@x", source(1), at(0));
        let waits: Vec<u64> = (0..1_000)
            .map(|_| wait(&mut logins, "maria@x", source(1), at(1)))
            .collect();
        assert_eq!(waits.iter().max(), Some(&10_000));
    }

    #[test]
    fn an_attempt_that_ends_early_frees_its_place() {
        let mut logins = LoginThrottle::default();
        logins.set_limits(LoginThrottleLimits {
            max_waiting_networks: 32,
            ..LoginThrottleLimits::default()
        });
        for unknown in 0..24 {
            let _ = logins.attempt("maria@x", source(unknown), at(0));
        }
        wait(&mut logins, "maria@x", source(100), at(4));
        let again = logins.attempt("maria@x", source(100), at(4));
        assert_eq!(again, Err(TooManyAttempts));
        logins.left("maria@x", source(100));
        assert!(logins.attempt("maria@x", source(100), at(4)).is_ok());
    }

    /// At the limit and one over: a limited number of unknown sources wait, and others may wait
    /// afterwards.
    #[test]
    fn the_number_of_unknown_sources_that_wait_for_a_name_is_limited() {
        let mut logins = LoginThrottle::default();
        logins.set_limits(LoginThrottleLimits {
            max_waiting_networks: 32,
            ..LoginThrottleLimits::default()
        });
        for unknown in 0..24 {
            let _ = logins.attempt("maria@x", source(unknown), at(0));
        }
        let answered = |logins: &mut LoginThrottle, now| {
            let waiting = (100..200).map(|last| logins.attempt("maria@x", source(last), now));
            waiting.filter(Result::is_ok).count()
        };
        assert_eq!(answered(&mut logins, at(4)), 32);
        assert_eq!(answered(&mut logins, at(4)), 0);
        assert_eq!(answered(&mut logins, at(8)), 32);
        assert_eq!(logins.attempt("bob@x", source(100), at(8)), Ok(0));
    }

    /// One network has one place, however many addresses it has, and another network finds room.
    #[test]
    fn one_network_cannot_keep_other_networks_out() {
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
    fn frequent_logins_of_a_known_source_do_not_delay_other_sources() {
        let mut logins = LoginThrottle::default();
        for _ in 0..100 {
            assert_eq!(wait(&mut logins, "maria@x", source(1), at(0)), 0);
            logins.succeeded("maria@x", source(1), at(0));
        }
        assert_eq!(wait(&mut logins, "maria@x", source(2), at(0)), 0);
    }

    /// Regression test. 15 minutes and a second after 21 failures from 7 unknown sources, a probe
    /// was delayed if the owner had logged in meanwhile, and was not delayed otherwise.
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

        // On a new device a successful login looks like a failed one.
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

    /// The known sources of a deleted account do not make guesses for another account of its name
    /// easier.
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
    fn failures_are_forgotten_after_some_time_and_after_a_success() {
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
    fn memory_is_bounded_and_the_source_with_most_failures_is_kept() {
        let mut logins = LoginThrottle::default();
        logins.set_limits(LoginThrottleLimits {
            max_entries: 8,
            ..LoginThrottleLimits::default()
        });
        for _ in 0..6 {
            wait(&mut logins, "maria@x", source(1), at(0));
        }
        for index in 0..1_000 {
            let name = format!("unknown{index}@x");
            wait(&mut logins, &name, source(2), at(1));
            let friend = format!("friend{index}@x");
            wait(&mut logins, &friend, source(3), at(1));
            logins.succeeded(&friend, source(3), at(1));
        }
        assert!(logins.pairs.len() <= 8 && logins.names.len() <= 8 && logins.known.len() <= 8);
        assert_eq!(wait(&mut logins, "maria@x", source(1), at(5)), 2_000);
    }
}
