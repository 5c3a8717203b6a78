//! The fresh proof of a session: the client shows again that it has the account's pass phrase or
//! key. It allows one change of the account's own credentials.
//!
//! ```text
//!         attempt counted            challenge              proof valid
//! idle --------------------> delayed ----------> challenged -----------> valid (2 min)
//!  ^                                              (2 min)                   |
//!  '------------------------------------------------'--------- consumed ----'
//!                                        proof invalid
//! ```
//!
//! When the session is resumed on another connection, the state becomes idle again: a proof made on
//! one connection is not valid on the next.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::passphrase::ServerLogin;

use crate::timestamp::Timestamp;

/// The time limit for a proof, and its validity, in seconds.
const TIME_LIMIT: u32 = 2 * 60;
/// The maximum number of proofs that are started in a session without a valid one. Then the session
/// ends.
const MAX_UNSUCCESSFUL: u32 = 10;

/// What the client has to answer.
pub(crate) enum Challenge {
    /// OPAQUE's third message completes this login.
    Passphrase(Box<ServerLogin>),
    /// A signature over these 32 bytes by the key with this thumbprint.
    Key(Thumbprint, [u8; 32]),
}

/// A challenge that the projection hands to its session once its audit entry is stored.
#[derive(Clone)]
pub struct NewChallenge(Arc<Mutex<Option<Challenge>>>);

impl NewChallenge {
    pub(crate) fn new(challenge: Challenge) -> Self {
        Self(Arc::new(Mutex::new(Some(challenge))))
    }

    /// Takes the challenge; `None` the second time.
    pub(crate) fn take(&self) -> Option<Challenge> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for NewChallenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewChallenge(..)")
    }
}

#[derive(Default)]
enum State {
    #[default]
    Idle,
    /// An attempt was counted against the login throttle and may continue at `until`.
    Delayed {
        until: Timestamp,
        delay: u64,
    },
    Challenged(Challenge, Timestamp),
    /// The client's answer to the challenge with this number is being verified.
    Verifying(u64),
    Valid(Timestamp),
}

/// The fresh proof of one session.
#[derive(Default)]
pub(crate) struct FreshProof {
    state: State,
    unsuccessful: u32,
    /// The number of the newest challenge, so that no proof is accepted for another challenge.
    number: u64,
    /// How often the session was resumed, so that no connection starts a proof for a later one.
    resumptions: u32,
}

impl FreshProof {
    /// Returns the remaining delay in milliseconds of an attempt that was delayed before. Returns 0
    /// once when the delay has passed, and `None` if no attempt is delayed.
    pub(crate) fn remaining_delay(&mut self, now: Timestamp) -> Option<u64> {
        let State::Delayed { until, delay } = self.state else {
            return None;
        };
        let left = u64::try_from(until.millis().saturating_sub(now.millis())).unwrap_or(0);
        // A longer delay is possible only if the clock was set back.
        let left = if left > 2 * delay { 0 } else { left };
        if left == 0 {
            self.state = State::Idle;
        }
        Some(left)
    }

    /// Delays the attempt.
    pub(crate) fn delay(&mut self, now: Timestamp, delay: u64) {
        let until = now.plus_millis(delay);
        self.state = State::Delayed { until, delay };
    }

    /// Returns whether another proof may start. Otherwise the session must end.
    pub(crate) const fn may_start(&self) -> bool {
        self.unsuccessful < MAX_UNSUCCESSFUL
    }

    /// Returns how often the session was resumed, for [`Self::start`].
    pub(crate) const fn resumptions(&self) -> u32 {
        self.resumptions
    }

    /// Starts a proof with this challenge, which replaces an earlier one. Returns `false` if the
    /// session was resumed since it had been resumed `resumptions` times, or if no other proof may
    /// start because others were started at the same time.
    pub(crate) fn start(&mut self, resumptions: u32, challenge: Challenge, now: Timestamp) -> bool {
        let starts = self.resumptions == resumptions && self.may_start();
        if starts {
            self.unsuccessful += 1;
            self.number += 1;
            self.state = State::Challenged(challenge, now.plus_seconds(TIME_LIMIT));
        }
        starts
    }

    /// Takes the challenge for verification, with its number, if it has not expired.
    pub(crate) fn take_challenge(&mut self, now: Timestamp) -> Option<(u64, Challenge)> {
        let State::Challenged(_, until) = &self.state else {
            return None;
        };
        let in_time = now < *until;
        let next = match in_time {
            true => State::Verifying(self.number),
            false => State::Idle,
        };
        match std::mem::replace(&mut self.state, next) {
            State::Challenged(challenge, _) if in_time => Some((self.number, challenge)),
            _ => None,
        }
    }

    /// Accepts a verified answer to the challenge with this number. Returns `false` if the session
    /// moved to another connection, or another proof was started, while the answer was verified.
    pub(crate) fn accept(&mut self, number: u64, now: Timestamp) -> bool {
        let verifying = matches!(self.state, State::Verifying(verified) if verified == number);
        if verifying {
            self.unsuccessful = 0;
            self.state = State::Valid(now.plus_seconds(TIME_LIMIT));
        }
        verifying
    }

    /// Returns whether there is a valid proof.
    pub(crate) fn is_valid(&self, now: Timestamp) -> bool {
        matches!(self.state, State::Valid(until) if now < until)
    }

    /// Uses up the proof. Returns whether there was a valid one.
    pub(crate) fn consume(&mut self, now: Timestamp) -> bool {
        let valid = self.is_valid(now);
        if valid {
            self.state = State::Idle;
        }
        valid
    }

    /// The session was resumed on another connection. A delay stays in force.
    pub(crate) fn resumed(&mut self) {
        self.resumptions = self.resumptions.wrapping_add(1);
        if !matches!(self.state, State::Delayed { .. }) {
            self.state = State::Idle;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn challenge() -> Challenge {
        Challenge::Key(Thumbprint([1; 32]), [2; 32])
    }

    /// Starts a proof on the current connection.
    fn start(fresh: &mut FreshProof, seconds: i64) {
        assert!(fresh.start(fresh.resumptions(), challenge(), at(seconds)));
    }

    /// Takes the challenge and returns its number.
    fn taken(fresh: &mut FreshProof, seconds: i64) -> u64 {
        fresh.take_challenge(at(seconds)).unwrap().0
    }

    /// Returns the state of a session whose client made a valid proof at that time.
    fn valid(seconds: i64) -> FreshProof {
        let mut fresh = FreshProof::default();
        start(&mut fresh, seconds);
        let number = taken(&mut fresh, seconds);
        assert!(fresh.accept(number, at(seconds)));
        fresh
    }

    /// OPS-5
    #[test]
    fn a_fresh_proof_is_valid_for_one_change_within_two_minutes() {
        let mut fresh = valid(0);
        assert!(fresh.is_valid(at(119)));
        assert!(!fresh.is_valid(at(120)));
        assert!(fresh.consume(at(119)));
        assert!(!fresh.consume(at(119)));
    }

    /// OPS-5
    #[test]
    fn a_fresh_proof_ends_with_its_connection_and_a_delay_does_not() {
        let mut fresh = valid(0);
        fresh.resumed();
        assert!(!fresh.consume(at(1)));
        start(&mut fresh, 0);
        fresh.resumed();
        assert!(fresh.take_challenge(at(1)).is_none());
        fresh.delay(at(0), 10_000);
        fresh.resumed();
        assert_eq!(fresh.remaining_delay(at(1)), Some(9_000));
        assert_eq!(fresh.remaining_delay(at(10)), Some(0));
        assert_eq!(
            fresh.remaining_delay(at(10)),
            None,
            "a delay is served once"
        );
    }

    /// Regression test. While the owner's answer was verified and audited, which takes the time of
    /// a disk write, an attacker resumed the session and so had a valid proof. OPS-5
    #[test]
    fn a_fresh_proof_that_is_verified_while_the_session_moves_is_invalid() {
        let mut fresh = FreshProof::default();
        start(&mut fresh, 0);
        let number = taken(&mut fresh, 1);
        fresh.resumed();
        assert!(!fresh.accept(number, at(1)));
        assert!(!fresh.is_valid(at(1)));
        // The same applies to a proof that the new connection started, and to one whose answer,
        // a wrong one, is being verified.
        start(&mut fresh, 2);
        assert!(!fresh.accept(number, at(2)) && !fresh.consume(at(2)));
        taken(&mut fresh, 2);
        assert!(!fresh.accept(number, at(2)) && !fresh.consume(at(2)));
    }

    /// Regression test. A connection that had been replaced could replace the challenge of the new
    /// one, and starts at the same time passed the limit of proofs without success. OPS-5
    #[test]
    fn a_replaced_connection_starts_no_fresh_proof() {
        let mut fresh = FreshProof::default();
        let before = fresh.resumptions();
        fresh.resumed();
        start(&mut fresh, 0);
        assert!(!fresh.start(before, challenge(), at(0)));
        assert_eq!(taken(&mut fresh, 0), 1);
    }

    /// Regression test. After the clock was set back by a day, a proof that was delayed by half a
    /// second stayed delayed for a day.
    #[test]
    fn a_clock_that_is_set_back_does_not_extend_the_delay_of_a_fresh_proof() {
        let mut fresh = FreshProof::default();
        fresh.delay(at(86_400), 500);
        assert_eq!(fresh.remaining_delay(at(86_400)), Some(500));
        assert_eq!(fresh.remaining_delay(at(0)), Some(0));
    }

    #[test]
    fn a_challenge_is_answered_once_and_within_its_time_limit() {
        let mut fresh = FreshProof::default();
        start(&mut fresh, 0);
        assert!(fresh.take_challenge(at(119)).is_some());
        assert!(fresh.take_challenge(at(119)).is_none());
        start(&mut fresh, 0);
        assert!(fresh.take_challenge(at(120)).is_none());
    }

    /// At the limit and one over.
    #[test]
    fn the_number_of_unsuccessful_fresh_proofs_is_limited() {
        let mut fresh = FreshProof::default();
        for _ in 0..MAX_UNSUCCESSFUL {
            assert!(fresh.may_start());
            start(&mut fresh, 0);
        }
        assert!(!fresh.may_start());
        assert!(!fresh.start(fresh.resumptions(), challenge(), at(0)));
        let number = taken(&mut fresh, 0);
        assert!(fresh.accept(number, at(0)));
        assert!(fresh.may_start());
    }
}
