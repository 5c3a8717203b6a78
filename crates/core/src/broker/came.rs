//! Which requests came before, so that each is answered once.
//!
//! Requests say when they were made, and only those of the last minute are answered: that is how long each has
//! to be remembered. What was asked before the site began to answer may have been answered by the run before,
//! and is refused: a consumer of v2 that is told so asks again. One of v1 would not, so there a request can be
//! answered once more after a restart, to the consumer that made it alone. The same holds in v2 after
//! the clock was set back to more than a minute before the start: otherwise the site would answer no request
//! until its clock has caught up.

use std::collections::{HashMap, HashSet};

use countersign_crypto::hash::sha256;
use countersign_proto::broker::{v1, v2};

use crate::timestamp::Timestamp;

/// Requests that are remembered for each span, of all applications; and this part of it for one alone.
const ROOM: usize = 1 << 20;
const OF_ONE: usize = 4;

/// No request was made so late.
const NEVER: u64 = u64::MAX;

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotNew {
    /// It was answered before.
    #[error("it came before")]
    Before,
    /// It was made before the site began to answer: whether it was answered then is not known.
    #[error("it was made before the site was started")]
    TooOld,
    /// There is no room to remember it.
    #[error("too many requests in the last minute")]
    Full,
}

/// The requests of the last minute. By default it takes every request for one that came before.
pub(super) struct Came {
    room: usize,
    /// For so long at least each is remembered, in milliseconds.
    span: i64,
    /// What is older than that is refused, in milliseconds: it may be forgotten.
    oldest: u64,
    /// What was made before that is refused, in milliseconds since 1970.
    from: u64,
    turned: Timestamp,
    now: Generation,
    before: Generation,
}

impl Default for Came {
    fn default() -> Self {
        Self::new((0, 0), NEVER, Timestamp::from_millis(0))
    }
}

#[derive(Default)]
struct Generation {
    /// The first half of a digest of requester and nonce: 16 bytes each, whatever the lengths.
    requests: HashSet<[u8; 16]>,
    of: HashMap<String, usize>,
}

impl Came {
    /// Of edition v2: nothing came since `started`.
    pub(super) fn v2(started: Timestamp) -> Self {
        // The run before may have answered what was made a moment ahead of its clock.
        let from = started.plus_millis(v2::limits::AHEAD).millis();
        let from = u64::try_from(from).unwrap_or_default();
        let oldest = v2::limits::TOLERANCE;
        Self::new((oldest + v2::limits::AHEAD, oldest), from, started)
    }

    /// Of edition v1.
    pub(super) fn v1(started: Timestamp) -> Self {
        let oldest = v1::limits::TOLERANCE;
        Self::new((2 * oldest, oldest), 0, started)
    }

    fn new((span, oldest): (u64, u64), from: u64, started: Timestamp) -> Self {
        Self {
            room: ROOM,
            span: i64::try_from(span).unwrap_or(i64::MAX),
            oldest,
            from,
            turned: started,
            now: Generation::default(),
            before: Generation::default(),
        }
    }

    /// Remembers a request that was made at `made`.
    ///
    /// # Errors
    /// [`NotNew`]: it is not to be answered.
    pub(super) fn first(
        &mut self,
        requester: &str,
        nonce: &[u8],
        made: u64,
        now: Timestamp,
    ) -> Result<(), NotNew> {
        // By the time of this look, which may be later than that of its verification.
        let shown = u64::try_from(now.millis()).unwrap_or_default();
        let age = shown.saturating_sub(made);
        let set_back = shown.saturating_add(self.oldest) < self.from;
        if set_back && self.from != NEVER {
            self.from = shown;
        }
        if made < self.from || age > self.oldest {
            return Err(NotNew::TooOld);
        }
        self.turn(now);
        let digest = sha256(&[requester.as_bytes(), b"\0", nonce].concat());
        let Some((name, _)) = digest.split_first_chunk::<16>() else {
            return Err(NotNew::Full);
        };
        if self.now.requests.contains(name) || self.before.requests.contains(name) {
            return Err(NotNew::Before);
        }
        let own = self.now.of.get(requester).copied().unwrap_or_default();
        if self.now.requests.len() >= self.room || own >= self.room / OF_ONE {
            return Err(NotNew::Full);
        }
        self.now.requests.insert(*name);
        self.now.of.insert(requester.to_owned(), own + 1);
        Ok(())
    }

    /// Forgets what is older than need be. A clock that is set back makes it remember longer.
    fn turn(&mut self, now: Timestamp) {
        let since = now.millis().saturating_sub(self.turned.millis());
        if since >= self.span.saturating_mul(2) {
            self.now = Generation::default();
        }
        if since >= self.span {
            self.before = std::mem::take(&mut self.now);
            self.turned = now;
        } else if since < 0 {
            self.turned = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_000_000);

    fn at(millis: i64) -> (u64, Timestamp) {
        let now = START.millis() + millis;
        (now as u64, Timestamp::from_millis(now))
    }

    /// [BRK-5]
    #[test]
    fn a_request_is_answered_once_for_as_long_as_it_is_fresh() {
        let mut came = Came::v2(START);
        let (made, now) = at(2_000);
        assert_eq!(came.first("billing", &[1], made, now), Ok(()));
        for later in [2_000, 2_001, 61_000, 62_000] {
            let (_, now) = at(later);
            let again = came.first("billing", &[1], made, now);
            assert_eq!(again, Err(NotNew::Before), "{later}");
        }
        let (_, now) = at(62_001);
        let again = came.first("billing", &[1], made, now);
        assert_eq!(again, Err(NotNew::TooOld), "it may be forgotten");
        // Just before what is remembered turns, and made as far ahead as may be.
        let mut came = Came::v2(START);
        let (made, _) = at(61_998);
        let (_, before) = at(60_999);
        assert_eq!(came.first("billing", &[2], made, before), Ok(()));
        for later in (61_000..=121_998).step_by(500).chain([121_998]) {
            let again = came.first("billing", &[2], made, at(later).1);
            assert_eq!(again, Err(NotNew::Before), "{later}");
        }
        let (made, now) = at(121_998);
        assert_eq!(came.first("billing", &[3], made, now), Ok(()));
        assert_eq!(came.first("ledger", &[1], made, now), Ok(()));
    }

    /// [BRK-5]: whatever the run before may have answered is not answered again.
    #[test]
    fn what_was_asked_before_the_site_was_started_is_refused() {
        let mut came = Came::v2(START);
        let (_, now) = at(2_000);
        for (made, first) in [
            (-1, Err(NotNew::TooOld)),
            (999, Err(NotNew::TooOld)),
            (1_000, Ok(())),
        ] {
            let (made, _) = at(made);
            assert_eq!(came.first("billing", &[1], made, now), first, "{made}");
        }
    }

    /// A site whose clock was set back to before its start refused every request until it was started again.
    #[test]
    fn a_clock_that_is_set_back_to_before_the_start_begins_anew() {
        let mut came = Came::v2(START);
        let (made, back) = at(-500_000);
        let (asked_again, later) = at(-499_990);
        let refused = came.first("billing", &[1], made - 1, back);
        assert_eq!(
            refused,
            Err(NotNew::TooOld),
            "its consumer asks for the time"
        );
        assert_eq!(came.first("billing", &[2], asked_again, later), Ok(()));
        let again = came.first("billing", &[2], asked_again, later);
        assert_eq!(again, Err(NotNew::Before));
        // By less than a minute, it catches up soon.
        let mut came = Came::v2(START);
        let (made, back) = at(-59_000);
        assert_eq!(came.first("billing", &[1], made, back), Err(NotNew::TooOld));
        assert_eq!(came.first("billing", &[1], made, back), Err(NotNew::TooOld));
        // Before it began to answer, no clock makes it answer.
        let mut came = Came::default();
        assert_eq!(came.first("billing", &[1], made, back), Err(NotNew::TooOld));
    }

    /// [BRK-5]: its consumers do not ask again, and the answer is theirs alone.
    #[test]
    fn of_v1_each_is_answered_once_while_the_site_runs() {
        let mut came = Came::v1(START);
        let (made, now) = at(-59_000);
        assert_eq!(came.first("billing", &[1], made, now), Ok(()));
        let (ahead, now) = at(60_000);
        assert_eq!(came.first("billing", &[2], ahead, at(0).1), Ok(()));
        let (_, later) = at(120_000);
        for now in [now, later] {
            let again = came.first("billing", &[2], ahead, now);
            assert_eq!(again, Err(NotNew::Before));
        }
    }

    #[test]
    fn memory_is_bounded_and_one_application_does_not_take_it_all() {
        let mut came = Came::v2(START);
        came.room = 8;
        let (made, now) = at(5_000);
        let mut ask = |who: &str, nonce: u8| came.first(who, &[nonce], made, now);
        assert_eq!((ask("a", 1), ask("a", 2)), (Ok(()), Ok(())));
        assert_eq!(ask("a", 3), Err(NotNew::Full), "a quarter");
        for who in ["b", "c", "d"] {
            assert_eq!((ask(who, 1), ask(who, 2)), (Ok(()), Ok(())));
        }
        assert_eq!(ask("e", 1), Err(NotNew::Full));
        let (made, later) = at(5_000 + 61_000);
        assert_eq!(came.first("e", &[1], made, later), Ok(()));
        let (made, much_later) = at(5_000 + 61_000 + 200_000);
        assert_eq!(came.first("e", &[2], made, much_later), Ok(()));
        assert_eq!(came.before.requests.len() + came.now.requests.len(), 1);
    }

    #[test]
    fn a_clock_that_is_set_back_forgets_nothing() {
        let mut came = Came::v2(START);
        let (made, now) = at(50_000);
        came.first("billing", &[1], made, now).unwrap();
        let (_, back) = at(5_000);
        let again = came.first("billing", &[1], made, back);
        assert_eq!(again, Err(NotNew::Before));
        let (_, again_there) = at(60_000);
        let again = came.first("billing", &[1], made, again_there);
        assert_eq!(again, Err(NotNew::Before));
    }
}
