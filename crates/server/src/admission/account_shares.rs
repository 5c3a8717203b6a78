//! The share that each account has of the places for proxied sessions, of those for event streams
//! through proxies, and of connections with requests over HTTP.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_core::id::AccountId;

/// An account may hold one in this many places: it takes as many accounts to fill them.
const ACCOUNTS: usize = 8;

/// The places of each account.
pub(crate) struct AccountShares(Mutex<Shares>);

struct Shares {
    /// The number of places.
    places: usize,
    /// The number of places that are taken.
    taken: usize,
    /// The number of places that one account may hold.
    most: usize,
    held: HashMap<AccountId, usize>,
}

/// A place of an account. Dropping it gives it back.
pub(crate) struct Held {
    accounts: Arc<AccountShares>,
    account: AccountId,
}

impl AccountShares {
    /// Shares of this number of places.
    pub(crate) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Shares {
            places: places.max(1),
            taken: 0,
            most: share_of(places),
            held: HashMap::new(),
        })))
    }

    /// Changes the number of places. An account keeps those that it holds.
    pub(crate) fn keep_to(&self, places: usize) {
        let mut shares = self.shares();
        shares.places = places.max(1);
        shares.most = share_of(places);
    }

    /// Takes a place for the account; `None` if it holds its share, or all places are taken.
    pub(crate) fn hold(self: &Arc<Self>, account: AccountId) -> Option<Held> {
        let mut shares = self.shares();
        if shares.taken >= shares.places {
            return None;
        }
        let most = shares.most;
        let held = shares.held.entry(account).or_default();
        if *held >= most {
            return None;
        }
        *held += 1;
        shares.taken += 1;
        let accounts = self.clone();
        Some(Held { accounts, account })
    }

    fn shares(&self) -> MutexGuard<'_, Shares> {
        // The numbers are right whenever the lock is free, so a poisoned lock can be used.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Whether the account holds it.
    pub(crate) fn is_of(&self, account: AccountId) -> bool {
        self.account == account
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut shares = self.accounts.shares();
        shares.taken -= 1;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_an_eighth_of_the_places_and_all_accounts_have_no_more_than_all() {
        let shares = AccountShares::new(16);
        let account = |byte| AccountId::from_bytes([byte; 16]);
        let mut held: Vec<Held> = (0..8)
            .flat_map(|byte| [shares.hold(account(byte)), shares.hold(account(byte))])
            .flatten()
            .collect();
        assert_eq!(held.len(), 16);
        assert!(shares.hold(account(9)).is_none());
        held.pop();
        assert!(shares.hold(account(0)).is_none(), "it has its share");
        assert!(shares.hold(account(9)).is_some());
        drop(held);
        assert!(shares.shares().held.is_empty());
    }
}
