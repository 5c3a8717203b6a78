//! The requests of each account that run at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_core::id::AccountId;

/// Counts the running requests of each account.
#[derive(Default)]
pub(crate) struct RunningRequests(Mutex<HashMap<AccountId, usize>>);

/// A running request. It is counted until it is dropped.
pub(super) struct Running {
    all: Arc<RunningRequests>,
    account: AccountId,
}

impl RunningRequests {
    /// Counts one more request; `None` if the account has `most` already.
    pub(super) fn begin(self: &Arc<Self>, account: AccountId, most: usize) -> Option<Running> {
        let mut counts = self.counts();
        let count = counts.entry(account).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        let all = Arc::clone(self);
        Some(Running { all, account })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<AccountId, usize>> {
        // Each change under the lock is a single step, so a panic elsewhere leaves a valid state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut counts = self.all.counts();
        if let Some(count) = counts.get_mut(&self.account) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_a_limit_of_its_own_and_memory_is_freed() {
        let all = Arc::new(RunningRequests::default());
        let [one, other] = [1, 2].map(|byte| AccountId::from_bytes([byte; 16]));
        let first = all.begin(one, 2).unwrap();
        let second = all.begin(one, 2);
        assert!(second.is_some() && all.begin(one, 2).is_none());
        assert!(all.begin(other, 2).is_some());
        drop(first);
        assert!(all.begin(one, 2).is_some());
        drop(second);
        assert!(all.counts().is_empty());
    }
}
