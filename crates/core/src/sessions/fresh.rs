//! The fresh proof of a session: its client still has the account's pass phrase or key. It allows one change
//! of the account's own credential.
//!
//! ```text
//!          count a guess           answer                 proof holds
//! nothing --------------> waits ---------> asked (2 min) ------------> proved (2 min)
//!    ^                                       |                            |
//!    '---------------------------------------'----------- spent ----------'
//!                      proof is false
//! ```
//!
//! Resuming the session takes it back to nothing: what one connection proved is worth nothing on the
//! next.

use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::passphrase::ServerLogin;

use crate::timestamp::Timestamp;

/// How long a proof may take, and how long it is good for, in seconds.
const LASTS: u32 = 2 * 60;
/// Proofs that may be begun in a session without one that holds, before the session ends.
const UNAUTHENTICATED: u32 = 10;

/// What was asked.
pub(crate) enum Challenge {
    /// OPAQUE's third message.
    Passphrase(Box<ServerLogin>),
    /// A signature over this by the key of that certificate.
    Key(Thumbprint, [u8; 32]),
}

#[derive(Default)]
enum State {
    #[default]
    Nothing,
    /// A guess was counted, and is answered from then on.
    Waits {
        until: Timestamp,
        wait: u64,
    },
    Asked(Challenge, Timestamp),
    /// What was answered is being verified.
    Answered,
    Proved(Timestamp),
}

/// The fresh proof of one session.
#[derive(Default)]
pub(crate) struct Fresh {
    state: State,
    unauthenticated: u32,
}

impl Fresh {
    /// A proof that was told to wait begins again: how many milliseconds are left, or 0, once, when it has
    /// waited; `None` when nothing waits.
    pub(crate) fn waits(&mut self, now: Timestamp) -> Option<u64> {
        let State::Waits { until, wait } = self.state else {
            return None;
        };
        let left = u64::try_from(until.millis().saturating_sub(now.millis())).unwrap_or(0);
        // Further off than it can be: the clock was set back.
        let left = if left > 2 * wait { 0 } else { left };
        if left == 0 {
            self.state = State::Nothing;
        }
        Some(left)
    }

    /// A proof that begins is to wait.
    pub(crate) fn wait(&mut self, now: Timestamp, wait: u64) {
        let until = now.plus_millis(wait);
        self.state = State::Waits { until, wait };
    }

    /// Whether one more may begin; the session has to end otherwise.
    pub(crate) const fn may_begin(&self) -> bool {
        self.unauthenticated < UNAUTHENTICATED
    }

    /// A proof has begun; whatever was asked before is not awaited any more.
    pub(crate) fn ask(&mut self, challenge: Challenge, now: Timestamp) {
        self.unauthenticated += 1;
        self.state = State::Asked(challenge, now.plus_seconds(LASTS));
    }

    /// What was asked, once: its answer is verified from now on.
    pub(crate) fn asked(&mut self, now: Timestamp) -> Option<Challenge> {
        let State::Asked(_, until) = &self.state else {
            return None;
        };
        let in_time = now < *until;
        let next = match in_time {
            true => State::Answered,
            false => State::Nothing,
        };
        match std::mem::replace(&mut self.state, next) {
            State::Asked(challenge, _) if in_time => Some(challenge),
            _ => None,
        }
    }

    /// The answer holds; whether it is a proof. It is none when the session went on over another connection
    /// while it was verified.
    pub(crate) fn prove(&mut self, now: Timestamp) -> bool {
        let answered = matches!(self.state, State::Answered);
        if answered {
            self.unauthenticated = 0;
            self.state = State::Proved(now.plus_seconds(LASTS));
        }
        answered
    }

    /// Whether there is a proof that was not spent.
    pub(crate) fn is_proved(&self, now: Timestamp) -> bool {
        matches!(self.state, State::Proved(until) if now < until)
    }

    /// Takes the proof, if there is one.
    pub(crate) fn spend(&mut self, now: Timestamp) -> bool {
        let proved = self.is_proved(now);
        if proved {
            self.state = State::Nothing;
        }
        proved
    }

    /// The session goes on over another connection. A wait that was imposed stays.
    pub(crate) fn resumed(&mut self) {
        if !matches!(self.state, State::Waits { .. }) {
            self.state = State::Nothing;
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

    /// A session whose client proved itself at that time.
    fn proved(seconds: i64) -> Fresh {
        let mut fresh = Fresh::default();
        fresh.ask(challenge(), at(seconds));
        assert!(fresh.asked(at(seconds)).is_some());
        assert!(fresh.prove(at(seconds)));
        fresh
    }

    /// OPS-5
    #[test]
    fn a_proof_is_good_for_one_change_within_two_minutes() {
        let mut fresh = proved(0);
        assert!(fresh.is_proved(at(119)));
        assert!(!fresh.is_proved(at(120)));
        assert!(fresh.spend(at(119)));
        assert!(!fresh.spend(at(119)));
    }

    /// OPS-5
    #[test]
    fn a_proof_does_not_outlive_its_connection_and_a_wait_does() {
        let mut fresh = proved(0);
        fresh.resumed();
        assert!(!fresh.spend(at(1)));
        fresh.ask(challenge(), at(0));
        fresh.resumed();
        assert!(fresh.asked(at(1)).is_none());
        fresh.wait(at(0), 10_000);
        fresh.resumed();
        assert_eq!(fresh.waits(at(1)), Some(9_000));
        assert_eq!(fresh.waits(at(10)), Some(0));
        assert_eq!(fresh.waits(at(10)), None, "it has been paid for once");
    }

    /// A thief resumed a session while its owner's answer was being verified and audited, which takes the time
    /// of a disk: the proof was the thief's. OPS-5
    #[test]
    fn a_proof_that_is_verified_while_the_session_moves_is_none() {
        let mut fresh = Fresh::default();
        fresh.ask(challenge(), at(0));
        assert!(fresh.asked(at(1)).is_some());
        fresh.resumed();
        assert!(!fresh.prove(at(1)));
        assert!(!fresh.is_proved(at(1)));
        // Neither is one that the new connection began meanwhile.
        fresh.ask(challenge(), at(2));
        assert!(!fresh.prove(at(2)) && !fresh.spend(at(2)));
    }

    /// A session that was told to wait half a second could prove nothing for a day, by which the clock was set back.
    #[test]
    fn a_clock_that_is_set_back_keeps_no_proof_waiting() {
        let mut fresh = Fresh::default();
        fresh.wait(at(86_400), 500);
        assert_eq!(fresh.waits(at(86_400)), Some(500));
        assert_eq!(fresh.waits(at(0)), Some(0));
    }

    #[test]
    fn what_was_asked_is_answered_once_and_in_time() {
        let mut fresh = Fresh::default();
        fresh.ask(challenge(), at(0));
        assert!(fresh.asked(at(119)).is_some());
        assert!(fresh.asked(at(119)).is_none());
        fresh.ask(challenge(), at(0));
        assert!(fresh.asked(at(120)).is_none());
    }

    /// At the limit and one over.
    #[test]
    fn so_many_proofs_begin_in_vain_and_no_more() {
        let mut fresh = Fresh::default();
        for _ in 0..UNAUTHENTICATED {
            assert!(fresh.may_begin());
            fresh.ask(challenge(), at(0));
        }
        assert!(!fresh.may_begin());
        assert!(fresh.asked(at(0)).is_some() && fresh.prove(at(0)));
        assert!(fresh.may_begin());
    }
}
