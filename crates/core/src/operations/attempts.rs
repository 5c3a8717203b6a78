//! Further attempts of an operation that read an object, and wrote after another change of it.
//!
//! A caller in a loop of harmless changes of an account would keep others from its lock and its tickets.

use crate::accounts::Account;
use crate::engine::{Context, Refusal};
use crate::id::AccountId;
use crate::throttle::Rate;

/// More than the changes that one account makes in a burst: of others ([`Rate::Edits`]) with a lock between them, of
/// its own data, and of lockdowns.
const MAX_ATTEMPTS: u32 = 256;

/// The attempts of one operation, and what it paid for all of them.
#[derive(Default)]
pub(super) struct Attempts {
    made: u32,
    account: Option<AccountId>,
    paid_for: Option<AccountId>,
    is_counted: bool,
}

impl Attempts {
    /// Counts an attempt. Returns whether another one is due: another change came first, and the operation has
    /// to read again what it decided by, the entity tag that the caller expects included.
    pub(super) fn again<T>(&mut self, attempt: &Result<T, Refusal>) -> bool {
        self.made += 1;
        let is_stale = attempt.as_ref().is_err_and(Refusal::is_stale);
        is_stale && self.made < MAX_ATTEMPTS
    }

    /// Keeps the operation to the account that its name led to first: the change that came before may have given the
    /// name to another one.
    ///
    /// # Errors
    /// `conflict`.
    pub(super) fn expect_same(&mut self, account: &Account) -> Result<(), Refusal> {
        match self.account.replace(account.id) {
            Some(first) if first != account.id => Err(Refusal::conflict(
                format!("{} is another account now", account.name),
                "look at it, and repeat the operation if it is meant",
            )),
            _ => Ok(()),
        }
    }

    /// Whether the operation has not used up a fresh proof, or a rate limit, for this account yet. It has then.
    pub(super) fn pays_for(&mut self, account: AccountId) -> bool {
        self.paid_for.replace(account) != Some(account)
    }

    /// Counts a change of an account, or of an application if that is `None`, in the first attempt.
    ///
    /// # Errors
    /// `busy`.
    pub(super) fn changes(
        &mut self,
        context: &Context,
        account: Option<AccountId>,
    ) -> Result<(), Refusal> {
        let Some(caller) = context.caller().account else {
            return Ok(());
        };
        if std::mem::replace(&mut self.is_counted, true) {
            return Ok(());
        }
        match account == Some(caller) {
            true => context.rate(Rate::OwnData(caller), "changes of your data"),
            false => context.rate(Rate::Edits(caller), "changes of accounts and applications"),
        }
    }
}
