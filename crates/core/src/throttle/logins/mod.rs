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
mod tests;
