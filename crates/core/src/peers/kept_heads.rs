//! Which heads of an audit log stay stored.
//!
//! ```text
//! newest ── 192 heads ──▶ the newest one of each day, 64 days ──▶ deleted
//! ```
//!
//! A thief of the site key of a peer sends heads of its own, one a minute. They push out the heads
//! that the peer itself sent before, but none of the days before the theft.

use std::collections::BTreeSet;

/// The most heads of an audit log that are stored for each side of each peer.
pub const MAX_HEADS: u32 = 256;
/// The newest heads, which all stay: those of about 16 hours.
const NEWEST: usize = 192;
/// The days of which the newest head stays.
const DAYS: usize = MAX_HEADS as usize - NEWEST;
/// A day in milliseconds.
const DAY: i64 = 86_400_000;

/// Returns the heads that are deleted. `newest_first` has the stored heads of one side of a peer, the
/// greatest number first, each with the time of its receipt in milliseconds since 1970 UTC.
pub fn superfluous_heads<Head>(newest_first: impl IntoIterator<Item = (Head, i64)>) -> Vec<Head> {
    let mut days = BTreeSet::new();
    let mut deleted = Vec::new();
    for (place, (head, at)) in newest_first.into_iter().enumerate() {
        let is_first_of_day = days.len() < DAYS && days.insert(at.div_euclid(DAY));
        if place >= NEWEST && !is_first_of_day {
            deleted.push(head);
        }
    }
    deleted
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    /// Stores a head with each time, as a store does.
    fn stored(times: impl Iterator<Item = i64>) -> Vec<i64> {
        let mut kept: Vec<(usize, i64)> = Vec::new();
        for head in times.enumerate() {
            kept.push(head);
            let deleted = superfluous_heads(kept.iter().rev().copied());
            kept.retain(|(number, _)| !deleted.contains(number));
        }
        kept.into_iter().map(|(_, at)| at).collect()
    }

    /// The newest 256 heads stayed: a thief of the site key of a peer, who sent a head each minute,
    /// pushed out every head of before the theft in four hours. The thief's heads are void once the
    /// peer recovers, and then no head was left that a rewritten log contradicts.
    // PEER-31
    #[test]
    fn heads_of_before_a_theft_outlast_those_of_the_thief() {
        let honest = (0..10 * 288).map(|number| number * 5 * MINUTE);
        let theft = 10 * DAY;
        let thief = (0..30 * 1_440).map(|number| theft + number * MINUTE);
        let kept = stored(honest.chain(thief));
        assert!(kept.len() <= MAX_HEADS as usize, "{}", kept.len());
        let left: Vec<_> = kept.into_iter().filter(|at| *at < theft).collect();
        let newest_of_each_day: Vec<_> = (1..=10).map(|day| day * DAY - 5 * MINUTE).collect();
        assert_eq!(left, newest_of_each_day);
    }

    #[test]
    fn the_number_of_heads_has_a_limit_whatever_their_times_are() {
        for step in [0, 1, MINUTE, DAY, -DAY, i64::MAX / 1_000] {
            let kept = stored((0..1_000).map(|number| number * step));
            let days = if step.abs() >= DAY { DAYS } else { 1 };
            assert!(
                kept.len() >= NEWEST && kept.len() <= NEWEST + days,
                "{step}"
            );
        }
    }
}
