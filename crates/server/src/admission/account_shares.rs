//! The share that each account has of the places for proxied sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_core::id::AccountId;

/// An account may hold one in this many places: it takes as many accounts to fill them.
const ACCOUNTS: usize = 8;

/// The places of each account.
pub(super) struct AccountShares(Mutex<Shares>);

struct Shares {
    /// The number of places that one account may hold.
    most: usize,
    held: HashMap<AccountId, usize>,
}

/// A place of an account. Dropping it gives it back.
pub(super) struct Held {
    accounts: Arc<AccountShares>,
    account: AccountId,
}

impl AccountShares {
    /// Shares of this number of places.
    pub(super) fn new(places: usize) -> Arc<Self> {
        let most = share_of(places);
        let held = HashMap::new();
        Arc::new(Self(Mutex::new(Shares { most, held })))
    }

    /// Changes the number of places. An account keeps those that it holds.
    pub(super) fn keep_to(&self, places: usize) {
        self.shares().most = share_of(places);
    }

    /// Takes a place for the account; `None` if it holds its share.
    pub(super) fn hold(self: &Arc<Self>, account: AccountId) -> Option<Held> {
        let mut shares = self.shares();
        let most = shares.most;
        let held = shares.held.entry(account).or_default();
        if *held >= most {
            return None;
        }
        *held += 1;
        let accounts = self.clone();
        Some(Held { accounts, account })
    }

    fn shares(&self) -> MutexGuard<'_, Shares> {
        // The numbers are right whenever the lock is free, so a poisoned lock can be used.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut shares = self.accounts.shares();
        if let Some(held) = shares.held.get_mut(&self.account) {
            *held -= 1;
            if *held == 0 {
                shares.held.remove(&self.account);
            }
        }
    }
}

fn share_of(places: usize) -> usize {
    (places / ACCOUNTS).max(1)
}
