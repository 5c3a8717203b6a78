//! Change sets: what a handler wants written.

use countersign_crypto::certificate::Thumbprint;

use super::{AlarmChange, Effects, ScriptProgress, Setting};
use crate::accounts::{Account, DeliveredKeyCredential, KeyCredential, PassphraseCredential};
use crate::applications::{Application, ApplicationId};
use crate::audit::AuditDraft;
use crate::id::{AccountId, SessionId};
use crate::store::Notice;

/// Changes, the audit entry that tells of them, and what follows from them: all of it happens, or nothing.
#[derive(Debug, Clone)]
pub struct ChangeSet {
    /// The changes; none when the entry tells of something that changed nothing here.
    pub changes: Vec<Change>,
    /// What follows besides what follows from the changes themselves.
    pub notices: Vec<Notice>,
    /// The session that asked for the changes: a new pass phrase or delivered key of its account does not end it.
    pub session: Option<SessionId>,
    /// The entry.
    pub audit: AuditDraft,
}

impl ChangeSet {
    /// Changes without notices, which no session asked for.
    #[must_use]
    pub const fn new(changes: Vec<Change>, audit: AuditDraft) -> Self {
        Self {
            changes,
            notices: Vec::new(),
            session: None,
            audit,
        }
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A new account. [`StoreError::Conflict`](super::StoreError::Conflict) when the id or the name is taken.
    InsertAccount(Account),
    /// The account as it is from now on; its revision must be one more than the stored one's.
    UpdateAccount(Account),
    /// Takes the account and all its credentials away.
    DeleteAccount {
        /// Which one.
        id: AccountId,
        /// The revision that this was decided on.
        revision: u64,
    },
    /// Takes an account that cannot be read and all its credentials away. [`StoreError::Stale`](super::StoreError::Stale) when it can be
    /// read.
    DeleteDamagedAccount {
        /// Its id, if that can be read.
        id: Option<AccountId>,
        /// Its name.
        name: String,
    },
    /// The pass phrase credential of an account, in place of an older one. [`StoreError::Conflict`](super::StoreError::Conflict) when
    /// another account has its credential id.
    PutPassphrase(PassphraseCredential),
    /// Takes what is delivered of an account away, if there is anything.
    DeleteDeliveredKey(AccountId),
    /// What is delivered of an account, in place of an older one.
    PutDeliveredKey(DeliveredKeyCredential),
    /// A new key. [`StoreError::Conflict`](super::StoreError::Conflict) when any account has it already.
    InsertKey(KeyCredential),
    /// Takes a key away.
    DeleteKey {
        /// Whose.
        account: AccountId,
        /// Which one.
        thumbprint: Thumbprint,
    },
    /// A new application. [`StoreError::Conflict`](super::StoreError::Conflict) when the id is taken.
    InsertApplication(Box<Application>),
    /// The application as it is from now on; its revision must be one more than the stored one's.
    UpdateApplication(Box<Application>),
    /// Takes the application away.
    DeleteApplication {
        /// Which one.
        id: ApplicationId,
        /// The revision that this was decided on.
        revision: u64,
    },
    /// Takes an application that cannot be read away. [`StoreError::Stale`](super::StoreError::Stale) when it can be read.
    DeleteDamagedApplication(ApplicationId),
    /// A setting.
    PutSetting {
        /// Its name.
        name: &'static str,
        /// Its value and its revision, which must be one more than the stored one's (1 for a new one).
        setting: Setting,
    },
    /// A change of alarms or of the outbox.
    Alarm(AlarmChange),
    /// How far an initialisation script was applied.
    PutScript(ScriptProgress),
}

/// A change set is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The number of its audit entry.
    pub audit_seq: u64,
    /// What followed.
    pub effects: Effects,
}
