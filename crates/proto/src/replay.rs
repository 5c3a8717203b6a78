//! A replay cache: an accepted message is rejected when it arrives again within its validity.
//!
//! ```text
//! insert(owner, name, made, now) ── fresh? ── in neither generation? ── capacity? ── stored
//!                                   `Stale`        `Replayed`           `Full`
//! ```
//!
//! Entries are in two generations. New entries go to the newer one for `past + ahead`. Then it
//! becomes the older one, and the previous older one is dropped: all of its entries are stale by
//! then.
//!
//! The cache stays correct if its clock is set back by at most `past`: until the clock catches up,
//! the cache uses the latest time it was given. If the clock is set back further, the cache starts
//! again from the new time, since otherwise it would accept nothing for as long as the clock is
//! wrong; it then rejects everything made earlier.

use std::collections::{HashMap, HashSet};

use countersign_crypto::hash::sha256;

/// The validity of a message by the local clock, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayWindow {
    /// The maximum age. This age itself is accepted.
    pub past: u64,
    /// How far in the future a message may be dated.
    pub ahead: u64,
}

/// The capacity of each of the two generations. An entry takes 16 bytes and an owner at most 20,
/// regardless of the length of their names. With the spare capacity of hash tables this is less
/// than 100 bytes for each of `entries`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayLimits {
    /// The maximum number of entries of all owners.
    pub entries: usize,
    /// The maximum number of entries of one owner.
    pub entries_per_owner: usize,
}

/// Why a message is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The message was accepted before.
    #[error("the message was already accepted; make a new one")]
    Replayed,
    /// The message is too old or in the future, or was made before the cache started.
    #[error("the message is too old or in the future; compare the clocks")]
    Stale,
    /// The cache, or the owner's share of it, is full. No entry is evicted.
    #[error("the replay cache is full; try again later")]
    Full,
}

/// The first half of a SHA-256.
type Digest = [u8; 16];

#[derive(Debug, Default)]
struct Generation {
    entries: HashSet<Digest>,
    of_owner: HashMap<Digest, u32>,
}

/// Remembers accepted messages.
///
/// ```
/// use countersign_proto::replay::{ReplayCache, ReplayError, ReplayLimits, ReplayWindow};
///
/// let window = ReplayWindow { past: 60_000, ahead: 1_000 };
/// let limits = ReplayLimits { entries: 1_000, entries_per_owner: 250 };
/// let now = 1_800_000_000_000;
/// let mut cache = ReplayCache::new(window, limits, 0, now);
/// assert_eq!(cache.insert("billing", b"nonce", now, now), Ok(()));
/// let again = cache.insert("billing", b"nonce", now, now + 60_000);
/// assert_eq!(again, Err(ReplayError::Replayed));
/// let later = cache.insert("billing", b"nonce", now, now + 60_001);
/// assert_eq!(later, Err(ReplayError::Stale));
/// ```
#[derive(Debug)]
pub struct ReplayCache {
    window: ReplayWindow,
    limits: ReplayLimits,
    /// Messages made before this time are stale. `None`: there is no such time.
    not_before: Option<u64>,
    /// The latest time that the cache was given.
    clock: u64,
    /// When the newer generation started.
    generation_start: u64,
    newer: Generation,
    older: Generation,
}

impl ReplayCache {
    /// A cache that starts at `now`. It rejects messages made before `not_before`, since an earlier
    /// process may have accepted them. Both times are in milliseconds since 1970.
    #[must_use]
    pub fn new(window: ReplayWindow, limits: ReplayLimits, not_before: u64, now: u64) -> Self {
        Self {
            window,
            limits,
            not_before: Some(not_before),
            clock: now,
            generation_start: now,
            newer: Generation::default(),
            older: Generation::default(),
        }
    }

    /// A cache that rejects everything as [`ReplayError::Stale`].
    #[must_use]
    pub fn closed() -> Self {
        let window = ReplayWindow { past: 0, ahead: 0 };
        let limits = ReplayLimits {
            entries: 0,
            entries_per_owner: 0,
        };
        Self {
            not_before: None,
            ..Self::new(window, limits, 0, 0)
        }
    }

    /// Stores a message of `owner`, made at `made`, unless it is rejected. `name` identifies it
    /// among the owner's messages. Times are in milliseconds since 1970.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub fn insert(
        &mut self,
        owner: impl AsRef<[u8]>,
        name: &[u8],
        made: u64,
        now: u64,
    ) -> Result<(), ReplayError> {
        self.advance(now);
        let fresh = self.clock.saturating_sub(made) <= self.window.past
            && made.saturating_sub(self.clock) <= self.window.ahead;
        if !fresh || self.not_before.is_none_or(|first| made < first) {
            return Err(ReplayError::Stale);
        }
        let owner = digest(&[owner.as_ref()]);
        // The digest of an owner has a fixed length, so no two pairs give the same input.
        let entry = digest(&[&owner, name]);
        if self.newer.entries.contains(&entry) || self.older.entries.contains(&entry) {
            return Err(ReplayError::Replayed);
        }
        let full = self.newer.entries.len() >= self.limits.entries;
        let own = self.newer.of_owner.get(&owner).copied().unwrap_or(0);
        if full || own as usize >= self.limits.entries_per_owner {
            return Err(ReplayError::Full);
        }
        self.newer.entries.insert(entry);
        self.newer.of_owner.insert(owner, own.saturating_add(1));
        Ok(())
    }

    /// Updates the clock, and drops stale generations.
    fn advance(&mut self, now: u64) {
        let latest_back = now.saturating_add(self.window.past);
        if latest_back < self.clock {
            (self.clock, self.generation_start) = (now, now);
            // Such a message may have been accepted, and dropped while the clock was ahead.
            self.not_before = self.not_before.map(|_| now);
        }
        self.not_before = self.not_before.map(|first| match latest_back < first {
            true => now,
            false => first,
        });
        self.clock = self.clock.max(now);
        let span = self.window.past.saturating_add(self.window.ahead).max(1);
        let since = self.clock.saturating_sub(self.generation_start);
        if since >= span.saturating_mul(2) {
            self.newer = Generation::default();
        }
        if since >= span {
            self.older = std::mem::take(&mut self.newer);
            self.generation_start = self.clock;
        }
    }
}

fn digest(parts: &[&[u8]]) -> Digest {
    let digest = sha256(&parts.concat());
    let mut half = [0; 16];
    half.copy_from_slice(digest.first_chunk::<16>().unwrap_or(&[0; 16]));
    half
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_000_000;
    const WINDOW: ReplayWindow = ReplayWindow { past: 20, ahead: 3 };
    const MANY: ReplayLimits = ReplayLimits {
        entries: 1_000,
        entries_per_owner: 1_000,
    };

    fn cache() -> ReplayCache {
        ReplayCache::new(WINDOW, MANY, 0, NOW)
    }

    #[test]
    fn an_entry_is_accepted_once_for_as_long_as_it_is_fresh() {
        // Inserted at each time of a generation, and dated as late as allowed.
        for at in NOW..NOW + 50 {
            let mut cache = cache();
            let made = at + WINDOW.ahead;
            assert_eq!(cache.insert("a", b"1", made, at), Ok(()));
            for now in at..=made + WINDOW.past {
                let again = cache.insert("a", b"1", made, now);
                assert_eq!(again, Err(ReplayError::Replayed), "{at} {now}");
            }
            let now = made + WINDOW.past + 1;
            let again = cache.insert("a", b"1", made, now);
            assert_eq!(again, Err(ReplayError::Stale), "it may be forgotten");
            // Another owner or another name is another entry.
            assert_eq!(cache.insert("b", b"1", now, now), Ok(()));
            assert_eq!(cache.insert("b", b"2", now, now), Ok(()));
        }
    }

    #[test]
    fn an_entry_from_the_future_is_stale() {
        let mut cache = cache();
        let made = NOW + WINDOW.ahead + 1;
        let early = cache.insert("a", b"1", made, NOW);
        assert_eq!(early, Err(ReplayError::Stale));
        assert_eq!(cache.insert("a", b"1", made, NOW + 1), Ok(()));
    }

    #[test]
    fn a_closed_cache_accepts_nothing() {
        let mut cache = ReplayCache::closed();
        for now in [0, NOW, u64::MAX] {
            let refused = cache.insert("a", b"1", now, now);
            assert_eq!(refused, Err(ReplayError::Stale));
        }
    }

    #[test]
    fn entries_of_different_owners_or_names_are_distinct() {
        let mut cache = cache();
        for (owner, name) in [("ab", "c"), ("a", "bc"), ("", "abc"), ("abc", "")] {
            let first = cache.insert(owner, name.as_bytes(), NOW, NOW);
            assert_eq!(first, Ok(()), "{owner} {name}");
        }
    }

    /// Dropped entries must not be accepted again after the clock was set back by two milliseconds.
    #[test]
    fn a_clock_that_is_set_back_a_little_does_not_admit_replays() {
        let span = WINDOW.past + WINDOW.ahead;
        let mut cache = cache();
        let (at, made) = (NOW + span - 1, NOW + span - 1 + WINDOW.ahead);
        assert_eq!(cache.insert("a", b"1", made, at), Ok(()));
        for now in [at + 1, at + 1 + span] {
            assert!(cache.insert("a", b"1", made, now).is_err());
        }
        let again = cache.insert("a", b"1", made, made + WINDOW.past);
        assert_eq!(again, Err(ReplayError::Stale));
    }

    #[test]
    fn a_clock_that_is_set_back_far_does_not_close_the_cache() {
        let mut cache = ReplayCache::new(WINDOW, MANY, NOW, NOW);
        assert_eq!(cache.insert("a", b"1", NOW, NOW), Ok(()));
        let back = NOW - 10_000;
        assert_eq!(cache.insert("a", b"2", back, back), Ok(()));
        let again = cache.insert("a", b"2", back, back + 1);
        assert_eq!(again, Err(ReplayError::Replayed));
    }

    /// A clock that is far ahead for a moment must not drop entries that are fresh by the correct
    /// time.
    #[test]
    fn a_clock_that_was_far_ahead_for_a_moment_does_not_admit_replays() {
        let mut cache = cache();
        assert_eq!(cache.insert("a", b"1", NOW, NOW), Ok(()));
        let ahead = NOW + 10_000;
        assert_eq!(cache.insert("b", b"1", ahead, ahead), Ok(()));
        let again = cache.insert("a", b"1", NOW, NOW + 5);
        assert_eq!(again, Err(ReplayError::Stale));
        assert_eq!(cache.insert("a", b"2", NOW + 5, NOW + 5), Ok(()));
    }

    #[test]
    fn memory_is_bounded_in_total_and_per_owner() {
        let limits = ReplayLimits {
            entries: 8,
            entries_per_owner: 2,
        };
        let mut cache = ReplayCache::new(WINDOW, limits, NOW, NOW);
        let mut insert = |owner: &str, name: u8| cache.insert(owner, &[name], NOW, NOW);
        assert_eq!((insert("a", 1), insert("a", 2)), (Ok(()), Ok(())));
        assert_eq!(insert("a", 3), Err(ReplayError::Full), "its share");
        for owner in ["b", "c", "d"] {
            assert_eq!((insert(owner, 1), insert(owner, 2)), (Ok(()), Ok(())));
        }
        assert_eq!(insert("e", 1), Err(ReplayError::Full));
        for later in [NOW + 23, NOW + 100] {
            assert_eq!(cache.insert("e", &[1], later, later), Ok(()));
        }
        assert_eq!(cache.older.entries.len() + cache.newer.entries.len(), 1);
    }

    #[derive(Debug, Clone)]
    struct Step {
        clock: i64,
        owner: u8,
        name: u8,
        made: i64,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let clock = prop_oneof![8 => 0..4_i64, 2 => -20..0_i64, 1 => 0..80_i64];
        let step = (clock, 0..3_u8, 0..4_u8, -23..6_i64);
        let step = step.prop_map(|(clock, owner, name, made)| Step {
            clock,
            owner,
            name,
            made,
        });
        proptest::collection::vec(step, 1..300)
    }

    proptest! {
        /// Compares with a model that drops nothing, with a clock that is sometimes set back.
        #[test]
        fn every_fresh_message_is_accepted_exactly_once(steps in steps()) {
            let limits = ReplayLimits { entries: 6, entries_per_owner: 3 };
            let mut cache = ReplayCache::new(WINDOW, limits, NOW, NOW);
            let mut accepted: Vec<(u8, u8, u64)> = Vec::new();
            let (mut now, mut latest) = (NOW, NOW);
            for Step { clock, owner, name, made } in steps {
                now = now.saturating_add_signed(clock).max(latest - WINDOW.past);
                latest = latest.max(now);
                let made = now.saturating_add_signed(made);
                let fresh = made >= NOW && made + WINDOW.past >= latest && made <= latest + WINDOW.ahead;
                let of_owner = owner.to_string();
                let is_new = || !accepted.iter().any(|one| (one.0, one.1) == (owner, name));
                match cache.insert(&of_owner, &[name], made, now) {
                    Ok(()) => {
                        prop_assert!(fresh);
                        prop_assert!(!accepted.contains(&(owner, name, made)), "twice");
                        accepted.push((owner, name, made));
                    }
                    Err(ReplayError::Stale) => prop_assert!(!fresh),
                    Err(ReplayError::Replayed) => prop_assert!(fresh && !is_new()),
                    Err(ReplayError::Full) => {
                        // The capacity of the newer generation alone.
                        let since = latest.saturating_sub(WINDOW.past + WINDOW.ahead);
                        let counts = |one: &&(u8, u8, u64)| one.2 + WINDOW.past >= since;
                        let all = accepted.iter().filter(counts).count();
                        let own = accepted.iter().filter(counts).filter(|one| one.0 == owner).count();
                        prop_assert!(all >= limits.entries || own >= limits.entries_per_owner);
                    }
                }
                for generation in [&cache.newer, &cache.older] {
                    prop_assert!(generation.entries.len() <= limits.entries);
                    prop_assert!(generation.of_owner.len() <= generation.entries.len());
                    let most = generation.of_owner.values().max().copied().unwrap_or(0);
                    prop_assert!(most as usize <= limits.entries_per_owner);
                }
            }
        }
    }
}
