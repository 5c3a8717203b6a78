//! The requests of each account: those that run, and the bytes that the site keeps for them.
//!
//! ```text
//! request ─▶ body arrives ─▶ operation runs ─▶ response ─▶ the system took the last byte
//!            n bytes kept    a page kept       n bytes kept
//! └──────────────────── counts as one request, of its account and credential ──────────┘
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_core::access::{HttpCredential, HttpGrant};
use countersign_core::id::AccountId;
use tokio::sync::Notify;

use super::super::problem::AccountLimit;
use crate::limits::Limits;

/// Counts the requests of each account.
#[derive(Default)]
pub(crate) struct RunningRequests {
    counts: Mutex<Counts>,
    /// Notified when bytes are released.
    released: Notify,
}

#[derive(Default)]
struct Counts {
    accounts: HashMap<AccountId, Usage>,
    /// The number of requests of each credential.
    credentials: HashMap<HttpCredential, usize>,
}

/// What an account uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Usage {
    requests: usize,
    /// The bytes of bodies that were read, of responses that were not sent yet, and of pages that
    /// operations are about to return.
    bytes: usize,
}

/// A request. It is counted until it is dropped.
pub(super) struct Running {
    all: Arc<RunningRequests>,
    account: AccountId,
    credential: HttpCredential,
    /// The bytes that are kept for it.
    bytes: usize,
    /// The bytes that may be kept for the account.
    limit: usize,
}

impl RunningRequests {
    /// Counts one more request, unless the account has `limits.operations_in_flight` already, this
    /// credential has half of them, or `limits.unsent_bytes` are kept for the account.
    pub(super) fn begin(
        self: &Arc<Self>,
        grant: &HttpGrant,
        limits: &Limits,
    ) -> Result<Running, AccountLimit> {
        let (account, credential) = (grant.account, grant.credential);
        let mut counts = self.counts();
        let usage = counts.accounts.get(&account).copied().unwrap_or_default();
        let own = counts.credentials.get(&credential).copied();
        if usage.bytes >= limits.unsent_bytes {
            return Err(AccountLimit::Bytes);
        }
        if usage.requests >= limits.operations_in_flight {
            return Err(AccountLimit::Requests);
        }
        // A stolen token leaves room for the other credentials of its account.
        if own.unwrap_or_default() >= (limits.operations_in_flight / 2).max(1) {
            return Err(AccountLimit::CredentialRequests);
        }
        counts.accounts.entry(account).or_default().requests += 1;
        *counts.credentials.entry(credential).or_default() += 1;
        Ok(Running {
            all: Arc::clone(self),
            account,
            credential,
            bytes: 0,
            limit: limits.unsent_bytes,
        })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Each change under the lock is a single step, so a panic elsewhere leaves a valid state.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Keeps more bytes for the request. Returns false if the account is at its limit already.
    pub(super) fn keep(&mut self, bytes: usize) -> bool {
        let mut counts = self.all.counts();
        let usage = counts.accounts.entry(self.account).or_default();
        if usage.bytes >= self.limit {
            return false;
        }
        usage.bytes += bytes;
        self.bytes += bytes;
        true
    }

    /// Keeps room for the page that the operation may return. It waits until the account is below
    /// its limit: many lists at once would otherwise each make a page that their client does not
    /// read.
    pub(super) async fn keep_room(&mut self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let all = Arc::clone(&self.all);
        loop {
            let released = all.released.notified();
            if self.keep(bytes) {
                return;
            }
            released.await;
        }
    }

    /// Keeps the bytes of the response, and no longer those of body and page.
    pub(super) fn answered(mut self, bytes: usize) -> Self {
        self.set_bytes(bytes);
        self
    }

    fn set_bytes(&mut self, bytes: usize) {
        let mut counts = self.all.counts();
        if let Some(usage) = counts.accounts.get_mut(&self.account) {
            usage.bytes = usage.bytes - self.bytes + bytes;
        }
        drop(counts);
        if bytes < self.bytes {
            self.all.released.notify_waiters();
        }
        self.bytes = bytes;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.set_bytes(0);
        let mut counts = self.all.counts();
        if let Some(usage) = counts.accounts.get_mut(&self.account) {
            usage.requests -= 1;
            if usage.requests == 0 {
                counts.accounts.remove(&self.account);
            }
        }
        if let Some(own) = counts.credentials.get_mut(&self.credential) {
            *own -= 1;
            if *own == 0 {
                counts.credentials.remove(&self.credential);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use countersign_core::access::Role;
    use countersign_core::id::AccessTokenId;
    use futures_util::FutureExt;

    use super::*;

    fn limits() -> Limits {
        Limits {
            operations_in_flight: 4,
            unsent_bytes: 1_000,
            ..Limits::default()
        }
    }

    /// A token of an account.
    fn grant(account: u8, token: u8) -> HttpGrant {
        let token = HttpCredential::Token(AccessTokenId::from_bytes([token; 16]));
        let account = AccountId::from_bytes([account; 16]);
        let owner = (account, "maria@example.org".to_owned(), Role::Member);
        HttpGrant::new(token, owner, None, None)
    }

    fn assert_empty(all: &RunningRequests) {
        let counts = all.counts();
        assert!(counts.accounts.is_empty() && counts.credentials.is_empty());
    }

    #[test]
    fn an_account_has_a_limit_of_its_own_and_memory_is_freed() {
        let (all, limits) = (Arc::new(RunningRequests::default()), limits());
        let begin = |account, token| all.begin(&grant(account, token), &limits);
        let first = begin(1, 1).unwrap();
        let others = [begin(1, 1), begin(1, 2), begin(1, 2)];
        assert!(others.iter().all(Result::is_ok));
        assert_eq!(begin(1, 3).map(drop), Err(AccountLimit::Requests));
        assert!(begin(2, 4).is_ok());
        drop(first);
        assert!(begin(1, 3).is_ok());
        drop(others);
        assert_empty(&all);
    }

    /// The key of an admin's phone took all places of the admin's account.
    #[test]
    fn one_credential_leaves_half_of_the_places_to_the_others_of_its_account() {
        let (all, limits) = (Arc::new(RunningRequests::default()), limits());
        let begin = |token| all.begin(&grant(1, token), &limits);
        let stolen = [begin(1), begin(1)];
        assert_eq!(begin(1).map(drop), Err(AccountLimit::CredentialRequests));
        assert!(begin(2).is_ok());
        drop(stolen);
        assert!(begin(1).is_ok());
        assert_empty(&all);
    }

    /// The responses of an account were not counted once they were made.
    #[test]
    fn an_account_whose_responses_are_not_read_makes_no_more_of_them() {
        let all = Arc::new(RunningRequests::default());
        let limits = Limits {
            operations_in_flight: 16,
            ..limits()
        };
        let begin = || all.begin(&grant(1, 1), &limits);
        let below = begin().unwrap().answered(999);
        let at_the_limit = begin().unwrap().answered(1);
        drop(below);
        let again = begin().unwrap().answered(999);
        drop(at_the_limit);
        assert!(begin().is_ok(), "one byte below the limit");
        let over = begin().unwrap().answered(1);
        assert_eq!(begin().map(drop), Err(AccountLimit::Bytes));
        drop((again, over));
        assert_empty(&all);
    }

    /// Bodies that arrived and were not whole yet counted nothing: 256 of them had 256 MiB.
    #[test]
    fn a_body_that_arrives_counts_for_its_account() {
        let (all, limits) = (Arc::new(RunningRequests::default()), limits());
        let begin = |token| all.begin(&grant(1, token), &limits);
        let (mut first, mut second) = (begin(1).unwrap(), begin(2).unwrap());
        assert!(first.keep(600) && second.keep(600));
        assert!(!first.keep(1) && begin(3).is_err());
        drop(second);
        assert!(first.keep(1));
        drop(first);
        assert_empty(&all);
    }

    /// The bytes of a response counted only when it was made: 256 lists that ran at once made 256
    /// pages.
    #[test]
    fn lists_wait_until_there_is_room_for_their_pages() {
        let (all, limits) = (Arc::new(RunningRequests::default()), limits());
        let begin = |token| all.begin(&grant(1, token), &limits).unwrap();
        let (mut first, mut second, mut third) = (begin(1), begin(1), begin(2));
        for running in [&mut first, &mut second] {
            assert!(running.keep_room(500).now_or_never().is_some());
        }
        let mut waits = Box::pin(third.keep_room(500));
        assert!(waits.as_mut().now_or_never().is_none());
        let first = first.answered(400);
        assert!(waits.as_mut().now_or_never().is_some());
        drop(waits);
        drop((first, second, third));
        assert_empty(&all);
    }
}
