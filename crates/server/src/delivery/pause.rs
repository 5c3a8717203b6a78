//! A pause for a channel that cannot be reached.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Attempt;
use crate::clock;

/// How long no further message is tried after the channel could not be reached. With all places taken by
/// messages that wait for a timeout, those of another channel wait for one timeout, not for one each.
const PAUSE: Duration = Duration::from_secs(10);

/// Whether a channel is paused, and why.
#[derive(Debug, Default)]
pub(super) struct Pause(Mutex<Option<(Instant, String)>>);

impl Pause {
    /// The result of a message that is not tried because of the pause.
    pub(super) fn holds(&self) -> Option<Attempt> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, cause) = state.as_ref()?;
        let left = until.saturating_duration_since(clock::monotonic());
        if left.is_zero() {
            *state = None;
            return None;
        }
        Some(Attempt::Retry {
            error: format!("not tried, because a moment ago: {cause}"),
            retry_after_s: u32::try_from(left.as_secs()).ok(),
        })
    }

    /// Begins a pause if the channel could not be reached, and ends one otherwise.
    pub(super) fn record(&self, attempt: &Attempt) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = match attempt {
            Attempt::Unreachable { error } => clock::monotonic()
                .checked_add(PAUSE)
                .map(|until| (until, error.clone())),
            _ => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_channel_that_cannot_be_reached_is_left_alone_for_ten_seconds() {
        let pause = Pause::default();
        assert_eq!(pause.holds(), None);
        pause.record(&Attempt::Unreachable {
            error: "refused".to_owned(),
        });
        tokio::time::advance(PAUSE - Duration::from_millis(1)).await;
        let held = pause.holds().unwrap();
        assert!(matches!(held, Attempt::Retry { error, .. } if error.contains("refused")));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(pause.holds(), None);
        pause.record(&Attempt::Unreachable {
            error: "refused".to_owned(),
        });
        pause.record(&Attempt::Sent);
        assert_eq!(pause.holds(), None);
    }
}
