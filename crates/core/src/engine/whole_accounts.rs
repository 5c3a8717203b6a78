//! Accounts with what belongs to them, in memory: a program that reads its own account again and again costs
//! one read of the store.
//!
//! ```text
//! read ─▶ cached? ─▶ the same account
//!            │ no
//!            ▼
//!         store ─▶ did anything change since? ─no─▶ cached
//! ```
//!
//! `self show` keeps its result with the account, if that is short: it depends on nothing else.
//!
//! The projection removes an account with each change of what is cached of it, before the change is
//! acknowledged. What was read before a change is not cached after it.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::value::RawValue;

use super::Site;
use crate::id::AccountId;
use crate::store::{Change, StoreError, WholeAccount};

/// The maximum number of cached accounts. One takes less than 64 KiB, and mostly less than 2 KiB.
const MAX_ACCOUNTS: usize = 1_024;
/// The most bytes of a result that is kept: 4 MiB for all accounts.
const MAX_SHOWN: usize = 4 * 1_024;

/// An account with what belongs to it, in memory.
#[derive(Debug)]
pub(crate) struct CachedAccount {
    whole: WholeAccount,
    /// What `self show` returns for it to a caller without a session.
    shown: OnceLock<Arc<Shown>>,
}

/// The result of an operation: its JSON, and its text for people.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) data: Box<RawValue>,
    pub(crate) output: String,
}

impl CachedAccount {
    /// The result that was kept.
    pub(crate) fn shown(&self) -> Option<&Arc<Shown>> {
        self.shown.get()
    }

    /// Keeps a result, unless it is long.
    pub(crate) fn keep(&self, shown: &Arc<Shown>) {
        if shown.data.get().len() + shown.output.len() <= MAX_SHOWN {
            self.shown.get_or_init(|| Arc::clone(shown));
        }
    }
}

impl From<WholeAccount> for CachedAccount {
    fn from(whole: WholeAccount) -> Self {
        let shown = OnceLock::new();
        Self { whole, shown }
    }
}

impl Deref for CachedAccount {
    type Target = WholeAccount;

    fn deref(&self) -> &WholeAccount {
        &self.whole
    }
}

/// The cached accounts of a site.
#[derive(Default)]
pub(super) struct WholeAccounts(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    accounts: HashMap<AccountId, Arc<CachedAccount>>,
    /// Counts changes, so that an account that was read before a change is not cached after it.
    changes: u64,
}

impl WholeAccounts {
    /// Removes what a change concerns. The match is exhaustive, so that a new kind of change must
    /// define its consequences.
    pub(super) fn changed(&self, change: &Change) {
        match change {
            Change::InsertAccount(account) | Change::UpdateAccount(account) => {
                self.remove(account.id);
            }
            Change::PutPersonData { account, .. } | Change::DeleteKey { account, .. } => {
                self.remove(*account);
            }
            Change::DeleteAccount { id, .. } => self.remove(*id),
            // The damaged part may be the id.
            Change::DeleteDamagedAccount { .. } => self.clear(),
            Change::PutPassphrase(credential) | Change::RenewPassphrase(credential) => {
                self.remove(credential.account);
            }
            Change::InsertKey(key) => self.remove(key.account),
            // A whole account has none of these.
            Change::DeleteDeliveredKey(_)
            | Change::PutDeliveredKey(_)
            | Change::ExpectAccount { .. }
            | Change::ExpectSetting { .. }
            | Change::InsertApplication(_)
            | Change::UpdateApplication(_)
            | Change::DeleteApplication { .. }
            | Change::DeleteDamagedApplication(_)
            | Change::InsertTicket(_)
            | Change::BindTicket { .. }
            | Change::RevokeTicket { .. }
            | Change::DeleteTicket { .. }
            | Change::RevokeOpenTickets { .. }
            | Change::ForgetTickets { .. }
            | Change::InsertDevice(_)
            | Change::UpdateDevice(_)
            | Change::SeeDevice { .. }
            | Change::DeleteDevice { .. }
            | Change::Peer(_)
            | Change::PutSetting { .. }
            | Change::AccessToken(_)
            | Change::CompleteRequest(_)
            | Change::Alarm(_)
            | Change::PutScript(_)
            | Change::SealData { .. } => {}
        }
    }

    /// Removes all accounts.
    pub(super) fn clear(&self) {
        let mut entries = self.entries();
        entries.changes += 1;
        entries.accounts.clear();
    }

    fn remove(&self, account: AccountId) {
        let mut entries = self.entries();
        entries.changes += 1;
        entries.accounts.remove(&account);
    }

    /// Caches an account, unless something changed since it was read.
    fn put(&self, account: &Arc<CachedAccount>, changes: u64) {
        let mut entries = self.entries();
        if entries.changes != changes {
            return;
        }
        if entries.accounts.len() >= MAX_ACCOUNTS {
            // An arbitrary one: clients cannot predict the order of the hash map.
            let other = entries.accounts.keys().next().copied();
            other.map(|other| entries.accounts.remove(&other));
        }
        let id = account.account.id;
        entries.accounts.insert(id, Arc::clone(account));
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // Each change under the lock is a single step, so a panic elsewhere leaves a valid state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Site {
    pub(super) fn whole_accounts(&self) -> &WholeAccounts {
        &self.0.whole_accounts
    }

    /// Returns an account with what belongs to it, as it is now: from memory if nothing of it changed
    /// since it was read.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub(crate) async fn whole_account(
        &self,
        id: AccountId,
    ) -> Result<Option<Arc<CachedAccount>>, StoreError> {
        let cache = self.whole_accounts();
        let (cached, changes) = {
            let entries = cache.entries();
            (entries.accounts.get(&id).cloned(), entries.changes)
        };
        if cached.is_some() {
            return Ok(cached);
        }
        let found = self.store().whole_account(id).await?;
        let found = found.map(|account| Arc::new(account.into()));
        if let Some(account) = &found {
            cache.put(account, changes);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use countersign_crypto::agreement::AgreementPublic;
    use countersign_crypto::certificate::Thumbprint;
    use countersign_crypto::passphrase::SetupId;

    use super::*;
    use crate::access::Role;
    use crate::accounts::{
        Account, CredentialId, KeyCredential, Kind, PASSPHRASE_VERSION, PassphraseCredential,
        PassphraseSuite, PersonData, State,
    };
    use crate::id::DeviceId;
    use crate::timestamp::Timestamp;

    const NOW: Timestamp = Timestamp::from_millis(1_772_366_400_000);

    fn account(number: u16) -> Arc<CachedAccount> {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        let whole = WholeAccount {
            account: Account {
                id: AccountId::from_bytes(id),
                name: "maria@example.org".parse().unwrap(),
                kind: Kind::Person,
                role: Role::Member,
                full_name: String::new(),
                email: String::new(),
                state: State::Active,
                revision: 1,
                created: NOW,
                changed: NOW,
            },
            data: PersonData::default(),
            setup: None,
            keys: Vec::new(),
        };
        Arc::new(whole.into())
    }

    fn is_cached(cache: &WholeAccounts, account: &CachedAccount) -> bool {
        cache.entries().accounts.contains_key(&account.account.id)
    }

    fn changes(cache: &WholeAccounts) -> u64 {
        cache.entries().changes
    }

    /// The changes of what is cached of an account.
    fn changes_of(account: &Account) -> Vec<Change> {
        let id = account.id;
        let passphrase = PassphraseCredential {
            account: id,
            version: PASSPHRASE_VERSION,
            suite: PassphraseSuite::OpaqueRistretto255,
            setup: SetupId::from_bytes([7; 8]),
            credential_id: CredentialId([7; 16]),
            record: Vec::new(),
            sealed_identity: Vec::new(),
            certificate: None,
            changed: NOW,
        };
        let thumbprint = Thumbprint([7; 32]);
        let key = KeyCredential {
            account: id,
            thumbprint,
            certificate: Vec::new(),
            agreement: AgreementPublic([7; 32]),
            label: String::new(),
            added: NOW,
        };
        vec![
            Change::InsertAccount(account.clone()),
            Change::UpdateAccount(account.clone()),
            Change::PutPersonData {
                account: id,
                data: Box::default(),
            },
            Change::DeleteAccount { id, revision: 1 },
            Change::DeleteDamagedAccount {
                id: None,
                name: account.name.to_string(),
            },
            Change::PutPassphrase(passphrase.clone()),
            Change::RenewPassphrase(passphrase),
            Change::InsertKey(key),
            Change::DeleteKey {
                account: id,
                thumbprint,
            },
        ]
    }

    #[test]
    fn each_change_of_an_account_removes_it() {
        let (cache, maria, other) = (WholeAccounts::default(), account(1), account(2));
        for change in changes_of(&maria.account) {
            cache.put(&maria, changes(&cache));
            cache.put(&other, changes(&cache));
            assert!(is_cached(&cache, &maria) && is_cached(&cache, &other));
            cache.changed(&change);
            assert!(!is_cached(&cache, &maria), "{change:?}");
            let removes_all = matches!(change, Change::DeleteDamagedAccount { .. });
            assert_eq!(is_cached(&cache, &other), !removes_all, "{change:?}");
        }
        cache.put(&maria, changes(&cache));
        cache.changed(&Change::SeeDevice {
            id: DeviceId::from_bytes([7; 16]),
            account: maria.account.id,
            at: NOW,
        });
        assert!(is_cached(&cache, &maria), "no part of the account");
    }

    /// The store answered a read, and wrote a change before the answer was cached.
    #[test]
    fn what_was_read_before_a_change_is_not_cached_after_it() {
        let (cache, maria) = (WholeAccounts::default(), account(1));
        for change in changes_of(&maria.account) {
            let read_at = changes(&cache);
            cache.changed(&change);
            cache.put(&maria, read_at);
            assert!(!is_cached(&cache, &maria), "{change:?}");
        }
    }

    #[test]
    fn a_short_result_is_kept_with_its_account() {
        let shown = |length: usize| {
            let data = serde_json::value::to_raw_value(&"x".repeat(length - 2)).unwrap();
            let output = String::new();
            Arc::new(Shown { data, output })
        };
        let maria = account(1);
        maria.keep(&shown(MAX_SHOWN + 1));
        assert!(maria.shown().is_none());
        maria.keep(&shown(MAX_SHOWN));
        assert_eq!(maria.shown().unwrap().data.get().len(), MAX_SHOWN);
    }

    #[test]
    fn the_number_of_cached_accounts_is_limited() {
        let cache = WholeAccounts::default();
        for number in 0..u16::try_from(MAX_ACCOUNTS).unwrap() {
            cache.put(&account(number), 0);
        }
        assert_eq!(cache.entries().accounts.len(), MAX_ACCOUNTS);
        let one_more = account(u16::MAX);
        cache.put(&one_more, 0);
        assert_eq!(cache.entries().accounts.len(), MAX_ACCOUNTS);
        assert!(is_cached(&cache, &one_more));
    }
}
