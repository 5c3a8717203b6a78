//! The share that each account has of the places for proxied sessions, of those for event streams
//! through proxies, and of connections with requests over HTTP. A credential over HTTP has half of the
//! share of its account.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_core::access::{HttpCredential, HttpGrant};
use countersign_core::counts::Counts;
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
    held: Counts<AccountId>,
    /// The number of places that each credential over HTTP holds of those of its account.
    of_credentials: Counts<HttpCredential>,
}

/// Why an account or credential gets no further place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// The account holds its share, or all places are taken.
    OfAccount,
    /// The credential holds half of the share of its account.
    OfCredential,
}

/// A place of an account. Dropping it gives it back.
pub(crate) struct Held {
    accounts: Arc<AccountShares>,
    holder: Holder,
}

/// An account, and which of its credentials over HTTP, if it is one.
type Holder = (AccountId, Option<HttpCredential>);

impl AccountShares {
    /// Shares of this number of places.
    pub(crate) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Shares {
            places: places.max(1),
            taken: 0,
            most: share_of(places),
            held: Counts::default(),
            of_credentials: Counts::default(),
        })))
    }

    /// Changes the number of places. An account keeps those that it holds.
    pub(crate) fn keep_to(&self, places: usize) {
        let mut shares = self.shares();
        shares.places = places.max(1);
        shares.most = share_of(places);
    }

    /// Takes a place for the account.
    ///
    /// # Errors
    /// [`NoPlace::OfAccount`].
    pub(crate) fn hold(self: &Arc<Self>, account: AccountId) -> Result<Held, NoPlace> {
        self.take((account, None))
    }

    /// Takes a place for a credential of an account.
    ///
    /// # Errors
    /// [`NoPlace`].
    pub(crate) fn hold_for(self: &Arc<Self>, grant: &HttpGrant) -> Result<Held, NoPlace> {
        self.take(holder(grant))
    }

    /// Moves a place to a credential, or takes one for it if there is none. A place of another credential
    /// is given back, since a connection needs one. If there is no place, `held` stays as it is.
    ///
    /// # Errors
    /// [`NoPlace`].
    pub(crate) fn move_to(
        self: &Arc<Self>,
        held: &mut Option<Held>,
        grant: &HttpGrant,
    ) -> Result<(), NoPlace> {
        let Some(held) = held else {
            *held = Some(self.hold_for(grant)?);
            return Ok(());
        };
        let to = holder(grant);
        let mut shares = self.shares();
        shares.give_back(held.holder);
        if let Err(full) = shares.may_take(to) {
            shares.take(held.holder);
            return Err(full);
        }
        shares.take(to);
        held.holder = to;
        Ok(())
    }

    fn take(self: &Arc<Self>, holder: Holder) -> Result<Held, NoPlace> {
        let mut shares = self.shares();
        shares.may_take(holder)?;
        shares.take(holder);
        Ok(Held {
            accounts: self.clone(),
            holder,
        })
    }

    fn shares(&self) -> MutexGuard<'_, Shares> {
        // The numbers are right whenever the lock is free, so a poisoned lock can be used.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shares {
    fn may_take(&self, (account, credential): Holder) -> Result<(), NoPlace> {
        if self.taken >= self.places || self.held.of(&account) >= self.most {
            return Err(NoPlace::OfAccount);
        }
        match credential.map(|credential| self.of_credentials.of(&credential)) {
            Some(held) if held >= HttpCredential::share_of(self.most) => Err(NoPlace::OfCredential),
            _ => Ok(()),
        }
    }

    fn take(&mut self, (account, credential): Holder) {
        self.taken += 1;
        self.held.add(account);
        if let Some(credential) = credential {
            self.of_credentials.add(credential);
        }
    }

    fn give_back(&mut self, (account, credential): Holder) {
        self.taken -= 1;
        self.held.remove(&account);
        if let Some(credential) = credential {
            self.of_credentials.remove(&credential);
        }
    }
}

impl Held {
    /// Whether this credential holds it.
    pub(crate) fn is_of(&self, grant: &HttpGrant) -> bool {
        self.holder == holder(grant)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.accounts.shares().give_back(self.holder);
    }
}

fn holder(grant: &HttpGrant) -> Holder {
    (grant.account, Some(grant.credential))
}

fn share_of(places: usize) -> usize {
    (places / ACCOUNTS).max(1)
}

#[cfg(test)]
mod tests {
    use countersign_core::access::Role;
    use countersign_core::id::AccessTokenId;

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
        assert!(shares.hold(account(9)).is_err());
        held.pop();
        assert!(shares.hold(account(0)).is_err(), "it has its share");
        assert!(shares.hold(account(9)).is_ok());
        drop(held);
        assert!(shares.shares().held.is_empty());
    }

    /// One of maria's tokens.
    fn grant(token: u8) -> HttpGrant {
        let token = HttpCredential::Token(AccessTokenId::from_bytes([token; 16]));
        let account = AccountId::from_bytes([1; 16]);
        let owner = (account, "maria@example.org".to_owned(), Role::Member);
        HttpGrant::new(token, owner, None, None)
    }

    fn hold(shares: &Arc<AccountShares>, token: u8) -> Result<Held, NoPlace> {
        shares.hold_for(&grant(token))
    }

    /// A stolen token took all connections and event streams of its account.
    #[test]
    fn one_credential_leaves_half_of_the_share_to_the_others_of_its_account() {
        let shares = AccountShares::new(32);
        let hold = |token| hold(&shares, token);
        let stolen = [hold(1), hold(1)];
        assert!(stolen.iter().all(Result::is_ok));
        assert_eq!(hold(1).err(), Some(NoPlace::OfCredential));
        let others = [hold(2), hold(3)];
        assert!(others.iter().all(Result::is_ok));
        assert_eq!(hold(4).err(), Some(NoPlace::OfAccount));
        drop(stolen);
        let again = hold(1).unwrap();
        assert!(again.is_of(&grant(1)) && !again.is_of(&grant(2)));
        drop((again, others));
        let shares = shares.shares();
        assert!(shares.held.is_empty() && shares.of_credentials.is_empty());
    }

    /// A connection sent a request with a credential that had its share: the place of the credential before
    /// was given back, and the connection stayed open without one.
    #[test]
    fn a_place_that_cannot_move_stays_where_it_is() {
        let shares = AccountShares::new(32);
        let mut held = None;
        shares.move_to(&mut held, &grant(1)).unwrap();
        let others = [hold(&shares, 2), hold(&shares, 2)];
        let moved = shares.move_to(&mut held, &grant(2));
        assert_eq!(moved, Err(NoPlace::OfCredential));
        assert!(held.as_ref().is_some_and(|held| held.is_of(&grant(1))));
        assert_eq!(shares.shares().taken, 3);
        drop(others);
        // An account that has its share moves a place that it has.
        let others = [hold(&shares, 1), hold(&shares, 3), hold(&shares, 3)];
        assert!(others.iter().all(Result::is_ok));
        shares.move_to(&mut held, &grant(2)).unwrap();
        assert!(held.as_ref().is_some_and(|held| held.is_of(&grant(2))));
        drop((held, others));
        let shares = shares.shares();
        assert!(shares.held.is_empty() && shares.of_credentials.is_empty());
    }
}
