//! The requests of each account: those that run, and the responses that their clients have not read.
//!
//! ```text
//! request ─▶ running ─▶ response with n bytes ─▶ the system took the last byte, or the connection ended
//!            └───────────── counts as one request ──────────────┘
//!                       └────────── counts n bytes ─────────────┘
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_core::id::AccountId;

use super::super::problem::AccountLimit;
use crate::limits::Limits;

/// Counts the requests of each account.
#[derive(Default)]
pub(crate) struct RunningRequests(Mutex<HashMap<AccountId, Usage>>);

/// What an account uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Usage {
    requests: usize,
    /// The bytes of responses that were not sent yet.
    unsent: usize,
}

/// A request. It is counted until it is dropped.
pub(super) struct Running {
    all: Arc<RunningRequests>,
    account: AccountId,
    /// The bytes of its response.
    unsent: usize,
}

impl RunningRequests {
    /// Counts one more request, unless the account has `limits.operations_in_flight` already, or
    /// `limits.unsent_bytes` of responses that its clients do not read.
    pub(super) fn begin(
        self: &Arc<Self>,
        account: AccountId,
        limits: &Limits,
    ) -> Result<Running, AccountLimit> {
        let mut counts = self.counts();
        let usage = counts.entry(account).or_default();
        if usage.unsent >= limits.unsent_bytes {
            return Err(AccountLimit::Unsent);
        }
        if usage.requests >= limits.operations_in_flight {
            return Err(AccountLimit::Requests);
        }
        usage.requests += 1;
        let all = Arc::clone(self);
        Ok(Running {
            all,
            account,
            unsent: 0,
        })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<AccountId, Usage>> {
        // Each change under the lock is a single step, so a panic elsewhere leaves a valid state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Counts the bytes of its response.
    pub(super) fn answered(mut self, bytes: usize) -> Self {
        let mut counts = self.all.counts();
        if let Some(usage) = counts.get_mut(&self.account) {
            usage.unsent += bytes;
        }
        drop(counts);
        self.unsent += bytes;
        self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut counts = self.all.counts();
        if let Some(usage) = counts.get_mut(&self.account) {
            usage.requests -= 1;
            usage.unsent -= self.unsent;
            if usage.requests == 0 {
                counts.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            operations_in_flight: 2,
            unsent_bytes: 1_000,
            ..Limits::default()
        }
    }

    #[test]
    fn an_account_has_a_limit_of_its_own_and_memory_is_freed() {
        let (all, limits) = (Arc::new(RunningRequests::default()), limits());
        let [one, other] = [1, 2].map(|byte| AccountId::from_bytes([byte; 16]));
        let first = all.begin(one, &limits).unwrap();
        let second = all.begin(one, &limits);
        assert!(second.is_ok());
        let refused = all.begin(one, &limits).map(drop);
        assert_eq!(refused, Err(AccountLimit::Requests));
        assert!(all.begin(other, &limits).is_ok());
        drop(first);
        assert!(all.begin(one, &limits).is_ok());
        drop(second);
        assert!(all.counts().is_empty());
    }

    /// The responses of an account were not counted once they were made.
    #[test]
    fn an_account_whose_responses_are_not_read_makes_no_more_of_them() {
        let all = Arc::new(RunningRequests::default());
        let limits = Limits {
            operations_in_flight: 8,
            ..limits()
        };
        let account = AccountId::from_bytes([1; 16]);
        let begin = || all.begin(account, &limits);
        let below = begin().unwrap().answered(999);
        let at_the_limit = begin().unwrap().answered(1);
        drop(below);
        let again = begin().unwrap().answered(999);
        drop(at_the_limit);
        assert!(begin().is_ok(), "one byte below the limit");
        let over = begin().unwrap().answered(1);
        assert_eq!(begin().map(drop), Err(AccountLimit::Unsent));
        drop((again, over));
        assert!(all.counts().is_empty());
    }
}
