//! The requests of each account: those that run, and the bytes that the site keeps for them.
//!
//! ```text
//! request ─▶ body arrives ─▶ operation runs ─▶ response ─▶ the system took the last byte
//!            n bytes kept    a page kept       n bytes kept
//! └──────────────────── counts as one request, of its account and credential ──────────┘
//! ```

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use countersign_core::access::{HttpCredential, HttpGrant};
use countersign_core::id::AccountId;
use tokio::sync::Notify;

use super::super::problem::AccountLimit;
use crate::limits::Limits;

/// Counts the requests of each account.
#[derive(Default)]
pub(crate) struct RunningRequests {
    accounts: Mutex<HashMap<AccountId, OfAccount>>,
    /// Notified when bytes are released.
    released: Notify,
}

/// What an account uses, by the credential of the request.
type OfAccount = HashMap<HttpCredential, Usage>;

/// What a credential uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Usage {
    requests: usize,
    /// The bytes of bodies that were read, and of responses that were not sent yet.
    kept: usize,
    /// The bytes of pages that operations are about to return.
    rooms: usize,
}

/// A request. It is counted until it is dropped.
pub(super) struct Running {
    all: Arc<RunningRequests>,
    account: AccountId,
    credential: HttpCredential,
    /// The bytes that are kept for its body or response.
    kept: usize,
    /// The bytes that are kept for the page that its operation may return.
    room: usize,
    bytes: ByteLimits,
}

/// The bytes that may be kept.
#[derive(Clone, Copy)]
struct ByteLimits {
    of_account: usize,
    /// For one credential. Further ones of it count nothing for its account, so that they leave the
    /// other half to the other credentials.
    of_credential: usize,
}

impl ByteLimits {
    fn new(unsent_bytes: usize) -> Self {
        Self {
            of_account: unsent_bytes,
            of_credential: HttpCredential::share_of(unsent_bytes),
        }
    }

    /// Whether the account is at its limit; `bytes` are those of a credential that count.
    fn reached(self, account: &OfAccount, bytes: impl Fn(&Usage) -> usize) -> bool {
        let bytes = |usage| bytes(usage).min(self.of_credential);
        account.values().map(bytes).sum::<usize>() >= self.of_account
    }
}

impl RunningRequests {
    /// Counts one more request, unless the account has `limits.operations_in_flight` already, or
    /// `limits.unsent_bytes` are kept for its bodies and responses, or the credential has half of one
    /// of them. The room for a page does not count here: a request waits for it.
    pub(super) fn begin(
        self: &Arc<Self>,
        grant: &HttpGrant,
        limits: &Limits,
    ) -> Result<Running, AccountLimit> {
        let (account, credential) = (grant.account, grant.credential);
        let bytes = ByteLimits::new(limits.unsent_bytes);
        let mut accounts = self.accounts();
        if let Some(usage) = accounts.get(&account) {
            let own = usage.get(&credential).copied().unwrap_or_default();
            let requests = usage.values().map(|usage| usage.requests);
            // A stolen token leaves room for the other credentials of its account.
            let reached = [
                (
                    own.kept >= bytes.of_credential,
                    AccountLimit::CredentialBytes,
                ),
                (
                    bytes.reached(usage, |usage| usage.kept),
                    AccountLimit::Bytes,
                ),
                (
                    requests.sum::<usize>() >= limits.operations_in_flight,
                    AccountLimit::Requests,
                ),
                (
                    own.requests >= HttpCredential::share_of(limits.operations_in_flight),
                    AccountLimit::CredentialRequests,
                ),
            ];
            if let Some((_, limit)) = reached.into_iter().find(|(reached, _)| *reached) {
                return Err(limit);
            }
        }
        let usage = accounts.entry(account).or_default();
        usage.entry(credential).or_default().requests += 1;
        Ok(Running {
            all: Arc::clone(self),
            account,
            credential,
            kept: 0,
            room: 0,
            bytes,
        })
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<AccountId, OfAccount>> {
        // Each change under the lock is a single step, so a panic elsewhere leaves a valid state.
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Keeps more bytes of its body.
    ///
    /// # Errors
    /// [`AccountLimit::Bytes`] or [`AccountLimit::CredentialBytes`] if the account or the credential is
    /// at its limit already. The request with most bytes of its credential is refused by neither once
    /// the credential is at its limit: a body may be longer than that.
    pub(super) fn keep(&mut self, bytes: usize) -> Result<(), AccountLimit> {
        let mut accounts = self.all.accounts();
        let usage = accounts.entry(self.account).or_default();
        let own = usage.get(&self.credential).copied().unwrap_or_default();
        if own.kept < self.bytes.of_credential {
            if self.bytes.reached(usage, |usage| usage.kept) {
                return Err(AccountLimit::Bytes);
            }
        } else if own.kept > 2 * self.kept {
            return Err(AccountLimit::CredentialBytes);
        }
        usage.entry(self.credential).or_default().kept += bytes;
        self.kept += bytes;
        Ok(())
    }

    /// Keeps room for the page that the operation may return. It waits until the account and the
    /// credential are below their limits: many lists at once would otherwise each make a page that
    /// their client does not read.
    ///
    /// # Errors
    /// After this time, the limit that is reached.
    pub(super) async fn keep_room(
        &mut self,
        bytes: usize,
        timeout: Duration,
    ) -> Result<(), AccountLimit> {
        if bytes == 0 {
            return Ok(());
        }
        let all = Arc::clone(&self.all);
        let mut limit = AccountLimit::Bytes;
        let waiting = async {
            loop {
                let released = all.released.notified();
                match self.take_room(bytes) {
                    Ok(()) => return,
                    Err(reached) => limit = reached,
                }
                released.await;
            }
        };
        let kept = tokio::time::timeout(timeout, waiting).await;
        kept.map_err(|_| limit)
    }

    fn take_room(&mut self, bytes: usize) -> Result<(), AccountLimit> {
        let mut accounts = self.all.accounts();
        let usage = accounts.entry(self.account).or_default();
        let own = usage.get(&self.credential).copied().unwrap_or_default();
        if own.kept - self.kept + own.rooms >= self.bytes.of_credential {
            return Err(AccountLimit::CredentialBytes);
        }
        if self.bytes.reached(usage, |usage| usage.kept + usage.rooms) {
            return Err(AccountLimit::Bytes);
        }
        usage.entry(self.credential).or_default().rooms += bytes;
        self.room += bytes;
        Ok(())
    }

    /// Keeps the bytes of the response, and no longer those of body and page.
    pub(super) fn answered(mut self, bytes: usize) -> Self {
        let mut accounts = self.all.accounts();
        let usage = accounts.get_mut(&self.account);
        if let Some(own) = usage.and_then(|usage| usage.get_mut(&self.credential)) {
            own.kept = own.kept - self.kept + bytes;
            own.rooms -= self.room;
        }
        drop(accounts);
        if bytes < self.kept + self.room {
            self.all.released.notify_waiters();
        }
        (self.kept, self.room) = (bytes, 0);
        self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut accounts = self.all.accounts();
        if let Entry::Occupied(mut account) = accounts.entry(self.account) {
            if let Entry::Occupied(mut own) = account.get_mut().entry(self.credential) {
                let usage = own.get_mut();
                usage.kept -= self.kept;
                usage.rooms -= self.room;
                usage.requests -= 1;
                if usage.requests == 0 {
                    own.remove();
                }
            }
            if account.get().is_empty() {
                account.remove();
            }
        }
        drop(accounts);
        if self.kept + self.room > 0 {
            self.all.released.notify_waiters();
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
        assert!(all.accounts().is_empty());
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
        let begin = |token| all.begin(&grant(1, token), &limits);
        let below = begin(1).unwrap().answered(499);
        assert!(
            begin(1).is_ok(),
            "one byte below the limit of the credential"
        );
        let at_the_limit = begin(1).unwrap().answered(1);
        assert_eq!(begin(1).map(drop), Err(AccountLimit::CredentialBytes));
        let other = begin(2).unwrap().answered(499);
        assert!(begin(3).is_ok(), "one byte below the limit of the account");
        let last = begin(3).unwrap().answered(1);
        assert_eq!(begin(4).map(drop), Err(AccountLimit::Bytes));
        drop(below);
        assert!(begin(1).is_ok() && begin(4).is_ok());
        drop((at_the_limit, other, last));
        assert_empty(&all);
    }

    /// Bodies that arrived and were not whole yet counted nothing: 256 of them had 256 MiB.
    #[test]
    fn a_body_that_arrives_counts_for_its_account() {
        let (all, limits) = (Arc::new(RunningRequests::default()), limits());
        let begin = |token| all.begin(&grant(1, token), &limits);
        let (mut first, mut second) = (begin(1).unwrap(), begin(2).unwrap());
        let mut third = begin(3).unwrap();
        assert_eq!((first.keep(500), second.keep(499)), (Ok(()), Ok(())));
        assert_eq!(
            (third.keep(1), third.keep(1)),
            (Ok(()), Err(AccountLimit::Bytes))
        );
        assert!(begin(4).is_err());
        drop(second);
        assert_eq!(third.keep(1), Ok(()));
        drop((first, third));
        assert_empty(&all);
    }

    /// A stolen token sent a body of 1 MiB less a byte, which never ended, and then a few bytes more: every
    /// other credential of its account was refused.
    #[test]
    fn one_credential_leaves_half_of_the_bytes_to_the_others_of_its_account() {
        let all = Arc::new(RunningRequests::default());
        let limits = Limits {
            operations_in_flight: 8,
            ..limits()
        };
        let begin = |token| all.begin(&grant(1, token), &limits);
        let (mut stolen, mut more) = (begin(1).unwrap(), begin(1).unwrap());
        // A body may be longer than the half of a credential, if it is the only one.
        assert_eq!((stolen.keep(499), stolen.keep(500)), (Ok(()), Ok(())));
        assert_eq!(more.keep(1), Err(AccountLimit::CredentialBytes));
        assert_eq!(begin(1).map(drop), Err(AccountLimit::CredentialBytes));
        assert_eq!(stolen.keep(1_000), Ok(()));
        let (mut other, mut third) = (begin(2).unwrap(), begin(3).unwrap());
        assert_eq!((other.keep(499), third.keep(1)), (Ok(()), Ok(())));
        assert_eq!(third.keep(1), Err(AccountLimit::Bytes));
        drop((stolen, more, other, third));
        assert_empty(&all);
    }

    const TIMEOUT: Duration = Duration::from_secs(30);

    /// The bytes of a response counted only when it was made: 256 lists that ran at once made 256
    /// pages.
    #[tokio::test]
    async fn lists_wait_until_there_is_room_for_their_pages() {
        let (all, limits) = (Arc::new(RunningRequests::default()), limits());
        let begin = |token| all.begin(&grant(1, token), &limits).unwrap();
        let (mut first, mut second, mut third) = (begin(1), begin(2), begin(3));
        for running in [&mut first, &mut second] {
            assert!(running.keep_room(500, TIMEOUT).now_or_never().is_some());
        }
        let mut waits = Box::pin(third.keep_room(500, TIMEOUT));
        assert!(waits.as_mut().now_or_never().is_none());
        let first = first.answered(400);
        assert!(waits.as_mut().now_or_never().is_some());
        drop(waits);
        drop((first, second, third));
        assert_empty(&all);
    }

    /// The room of two lists counted as bytes that clients had not read: a third request got 429.
    #[tokio::test]
    async fn the_room_of_lists_refuses_no_other_request() {
        let (all, limits) = (Arc::new(RunningRequests::default()), limits());
        let begin = |token| all.begin(&grant(1, token), &limits);
        let (mut first, mut second) = (begin(1).unwrap(), begin(2).unwrap());
        for running in [&mut first, &mut second] {
            assert!(running.keep_room(500, TIMEOUT).now_or_never().is_some());
        }
        let mut third = begin(1).unwrap();
        assert_eq!(third.keep(1), Ok(()));
        // A further list of a credential waits for its first one.
        drop(second);
        let mut waits = Box::pin(third.keep_room(500, TIMEOUT));
        assert!(waits.as_mut().now_or_never().is_none());
        drop(first);
        assert_eq!(waits.as_mut().now_or_never(), Some(Ok(())));
        drop(waits);
        drop(third);
        assert_empty(&all);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_gets_no_room_in_time_names_the_limit() {
        let (all, limits) = (Arc::new(RunningRequests::default()), limits());
        let begin = |token| all.begin(&grant(1, token), &limits).unwrap();
        let (mut waits, unread) = (begin(1), begin(1).answered(500));
        let late = waits.keep_room(500, TIMEOUT).await;
        assert_eq!(late, Err(AccountLimit::CredentialBytes));
        drop((waits, unread));
        assert_empty(&all);
    }
}
