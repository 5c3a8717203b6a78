//! A pause for a channel that cannot be reached.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use countersign_core::id::AccountId;

use super::Attempt;
use crate::clock;

/// How long no further message is tried after the channel could not be reached. With all places taken by
/// messages that wait for a timeout, those of another channel wait for one timeout, not for one each.
const PAUSE: Duration = Duration::from_secs(10);

/// Whether a channel is paused, and why.
#[derive(Debug, Default)]
pub(super) struct Pause(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    paused: Option<(Instant, String)>,
    /// The recipient of the last message, if the channel did not answer to it.
    unanswered: Option<AccountId>,
}

impl Pause {
    /// The result of a message that is not tried because of the pause.
    pub(super) fn holds(&self) -> Option<Attempt> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, cause) = state.paused.as_ref()?;
        let left = until.saturating_duration_since(clock::monotonic());
        if left.is_zero() {
            state.paused = None;
            return None;
        }
        Some(Attempt::Retry {
            error: format!("not tried, because a moment ago: {cause}"),
            retry_after_s: u32::try_from(left.as_secs()).ok(),
        })
    }

    /// Begins a pause if the channel could not be reached, or did not answer to messages to two recipients
    /// in a row: one person's address must not delay the messages of all. Ends it otherwise.
    pub(super) fn record(&self, attempt: &Attempt, to: Option<AccountId>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = |error: &String| {
            let until = clock::monotonic().checked_add(PAUSE);
            until.map(|until| (until, error.clone()))
        };
        match attempt {
            Attempt::Unreachable { error } => state.paused = pause(error),
            Attempt::Unanswered { error } => {
                let before = std::mem::replace(&mut state.unanswered, to);
                if before.is_some() && before != to {
                    state.paused = pause(error);
                }
            }
            _ => *state = State::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(number: u8) -> Option<AccountId> {
        Some(AccountId::from_bytes([number; 16]))
    }

    #[tokio::test(start_paused = true)]
    async fn a_channel_that_cannot_be_reached_is_left_alone_for_ten_seconds() {
        let pause = Pause::default();
        assert_eq!(pause.holds(), None);
        let refused = Attempt::Unreachable {
            error: "refused".to_owned(),
        };
        pause.record(&refused, to(1));
        tokio::time::advance(PAUSE - Duration::from_millis(1)).await;
        let held = pause.holds().unwrap();
        assert!(matches!(held, Attempt::Retry { error, .. } if error.contains("refused")));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(pause.holds(), None);
        pause.record(&refused, to(1));
        pause.record(&Attempt::Sent, to(1));
        assert_eq!(pause.holds(), None);
    }

    /// A member whose number made the gateway hang sent test alarms, and each one paused the texts of all.
    #[tokio::test(start_paused = true)]
    async fn a_receiver_that_hangs_for_one_number_does_not_delay_others() {
        let pause = Pause::default();
        let hangs = Attempt::Unanswered {
            error: "timeout".to_owned(),
        };
        for _ in 0..10 {
            pause.record(&hangs, to(1));
            assert_eq!(pause.holds(), None);
        }
        pause.record(&Attempt::Sent, to(2));
        pause.record(&hangs, to(1));
        assert_eq!(pause.holds(), None, "it answers to others");
        pause.record(&hangs, to(2));
        assert!(pause.holds().is_some(), "it answers to none");
    }
}
