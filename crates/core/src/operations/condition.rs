//! The conditions under which a new ticket, access token or peer is written.
//!
//! A lock, a deletion and a new pass phrase take away the tickets and tokens that are there, and a lockdown
//! refuses new ones, and new peers. One that was decided before such a change and written after it would outlive
//! the change: an attacker who knows the old pass phrase, or has a session, would keep it for later.

use super::ticket::expect_no_lockdown;
use crate::accounts::{Account, PassphraseCredential};
use crate::engine::{Context, Refusal};
use crate::store::Change;

/// The account, its pass phrase and the lockdowns, as an operation found them.
pub(super) struct Unchanged {
    /// Precedes the other changes of its set.
    pub(super) account: Change,
    pub(super) lockdowns: Change,
}

/// Refuses for an account in lockdown. Returns the changes that fail once the account is another than `account`,
/// has another pass phrase, or any lockdown was imposed or lifted.
pub(super) async fn unchanged(context: &Context, account: &Account) -> Result<Unchanged, Refusal> {
    // Before it is asked what they refuse.
    let lockdowns = context.site().expect_lockdowns();
    expect_no_lockdown(context, account)?;
    let passphrase = context.site().store().passphrase(account.id).await?;
    Ok(Unchanged {
        account: unchanged_account(account, passphrase.as_ref()),
        lockdowns,
    })
}

/// The change that fails once the account is another than `account`, or has another pass phrase. It precedes the
/// other changes of its set.
pub(super) fn unchanged_account(
    account: &Account,
    passphrase: Option<&PassphraseCredential>,
) -> Change {
    Change::ExpectAccount {
        id: account.id,
        revision: account.revision,
        passphrase: passphrase.map(|passphrase| passphrase.credential_id),
    }
}
