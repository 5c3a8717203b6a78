//! What core asks of a store: reads, and one write.
//!
//! Core decides on what it read and hands the store a [`ChangeSet`]: declarative, with everything
//! that must still be true for the decision to stand. The store checks that again while it writes,
//! so two decisions made at once can never both happen when only one of them may.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_crypto::certificate::Thumbprint;
use countersign_proto::name::AccountName;

use crate::account::{Account, Kind};
use crate::application::{Application, ApplicationId};
use crate::audit::{AuditDraft, AuditEntry, AuditSearch, ChainHead};
use crate::content::Content;
use crate::credential::{DeliveredKeyCredential, KeyCredential, PassphraseCredential};
use crate::engine::Notice;
use crate::id::{AccountId, SessionId};
use crate::timestamp::Timestamp;

/// Where a site's decisions are kept.
///
/// What a method returns was committed and synced; a read sees every change that was acknowledged
/// before it began.
#[async_trait]
pub trait Store: Send + Sync {
    /// The account of that id.
    async fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError>;

    /// The account of that name.
    async fn account_by_name(&self, name: &AccountName) -> Result<Option<Account>, StoreError>;

    /// Accounts of a kind, by name. One that cannot be read takes its place in the list and does not keep the
    /// others out of it; it is a person unless it is a service.
    async fn accounts(
        &self,
        kind: Kind,
        page: &Page<String>,
    ) -> Result<Vec<Result<Account, DamagedAccount>>, StoreError>;

    /// The account of that kind and name, if it is there and cannot be read.
    async fn damaged_account(
        &self,
        kind: Kind,
        name: &str,
    ) -> Result<Option<DamagedAccount>, StoreError>;

    /// The pass phrase credential of that account.
    async fn passphrase(
        &self,
        account: AccountId,
    ) -> Result<Option<PassphraseCredential>, StoreError>;

    /// What a person of that name logs in with, in one look-up.
    async fn passphrase_login(
        &self,
        name: &AccountName,
    ) -> Result<Option<(Account, PassphraseCredential)>, StoreError>;

    /// What is delivered of that account.
    async fn delivered_key(
        &self,
        account: AccountId,
    ) -> Result<Option<DeliveredKeyCredential>, StoreError>;

    /// What is delivered of the person of that name, in one look-up.
    async fn delivered_login(
        &self,
        name: &AccountName,
    ) -> Result<Option<(Account, DeliveredKeyCredential)>, StoreError>;

    /// What the owner of that key logs in with, in one look-up.
    async fn key_login(
        &self,
        thumbprint: &Thumbprint,
    ) -> Result<Option<(Account, KeyCredential)>, StoreError>;

    /// The keys of that account, oldest first. An account has at most [`KEYS_PER_ACCOUNT`].
    async fn keys_of(&self, account: AccountId) -> Result<Vec<KeyCredential>, StoreError>;

    /// The application of that id.
    async fn application(&self, id: &ApplicationId) -> Result<Option<Application>, StoreError>;

    /// Applications in the order of their ids. One that cannot be read takes its place in the list and does not
    /// keep the others out of it.
    async fn applications(
        &self,
        page: &Page<String>,
    ) -> Result<Vec<Result<Application, DamagedApplication>>, StoreError>;

    /// The application of that id, if it is there and cannot be read.
    async fn damaged_application(
        &self,
        id: &ApplicationId,
    ) -> Result<Option<DamagedApplication>, StoreError>;

    /// The setting of that name.
    async fn setting(&self, name: &str) -> Result<Option<Setting>, StoreError>;

    /// How far the initialisation script of that name was applied.
    async fn script(&self, name: &str) -> Result<Option<ScriptProgress>, StoreError>;

    /// Audit entries in the order of the chain.
    async fn audit(&self, page: &Page<u64>) -> Result<Vec<AuditEntry>, StoreError>;

    /// The audit entries of a stretch of the log that have something in common. It costs no more than the stretch
    /// is long.
    async fn audit_search(&self, search: &AuditSearch) -> Result<Vec<AuditEntry>, StoreError>;

    /// The end of the audit chain.
    async fn audit_head(&self) -> Result<ChainHead, StoreError>;

    /// Writes all of a change set or nothing of it. When it returns, the change is on the disk.
    ///
    /// # Errors
    /// [`StoreError::Conflict`], [`StoreError::Stale`] and [`StoreError::NotFound`] when the decision
    /// does not stand any more; the others when the store is in trouble. Nothing was changed, and
    /// nothing was audited.
    async fn commit(&self, set: ChangeSet) -> Result<Committed, StoreError>;

    /// From now on this observer is told of every committed set, and no other one is.
    fn observe(&self, observer: Arc<dyn Observer>);

    /// All that is stored at one moment, as the bytes of a store of the same kind. Changes go on meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when there is no room for it, or when another copy is being made.
    async fn copy(&self) -> Result<StoreCopy, StoreError>;

    /// What is wrong with how it is stored, whatever that says: references that lead nowhere, an index that
    /// misses rows. Reads everything, which takes seconds for each gigabyte. Empty when it is sound.
    async fn flaws(&self) -> Result<Vec<String>, StoreError>;
}

/// Follows the changes of a store: the site's projection.
///
/// The store tells it of each committed set once, in the order of commits, on a task of its own, and answers the
/// caller of [`Store::commit`] afterwards. That the caller went away changes nothing about it. A panic in an observer
/// is logged and survived.
pub trait Observer: Send + Sync {
    /// The set is on the disk. Must not wait: the next change is not written meanwhile.
    fn committed(&self, set: &ChangeSet) -> Effects;
}

/// What an observer did about a committed set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effects {
    /// The number of open sessions that ended.
    pub sessions_ended: usize,
}

/// A copy of a store.
#[derive(Debug)]
pub struct StoreCopy {
    /// Its length in bytes.
    pub bytes: u64,
    /// The bytes.
    pub content: Content,
}

/// The most keys that one account may have.
pub const KEYS_PER_ACCOUNT: usize = 64;

/// A stretch of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<Cursor> {
    /// What the stretch before ended with; `None` for the first stretch.
    pub after: Option<Cursor>,
    /// How much to read at most.
    pub limit: u32,
}

/// An account of which what is stored cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedAccount {
    /// Its id, if that can be read.
    pub id: Option<AccountId>,
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub problem: String,
}

/// An application of which what is stored cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedApplication {
    /// Its id.
    pub id: String,
    /// What is wrong with it.
    pub problem: String,
}

/// An entry of the list of applications.
pub trait ListedApplication {
    /// Its id.
    fn id(&self) -> &str;
}

impl ListedApplication for Result<Application, DamagedApplication> {
    fn id(&self) -> &str {
        match self {
            Ok(application) => application.id.as_str(),
            Err(damaged) => &damaged.id,
        }
    }
}

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
    /// A new account. [`StoreError::Conflict`] when the id or the name is taken.
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
    /// Takes an account that cannot be read and all its credentials away. [`StoreError::Stale`] when it can be
    /// read.
    DeleteDamagedAccount {
        /// Its id, if that can be read.
        id: Option<AccountId>,
        /// Its name.
        name: String,
    },
    /// The pass phrase credential of an account, in place of an older one. [`StoreError::Conflict`] when
    /// another account has its credential id.
    PutPassphrase(PassphraseCredential),
    /// Takes what is delivered of an account away, if there is anything.
    DeleteDeliveredKey(AccountId),
    /// What is delivered of an account, in place of an older one.
    PutDeliveredKey(DeliveredKeyCredential),
    /// A new key. [`StoreError::Conflict`] when any account has it already.
    InsertKey(KeyCredential),
    /// Takes a key away.
    DeleteKey {
        /// Whose.
        account: AccountId,
        /// Which one.
        thumbprint: Thumbprint,
    },
    /// A new application. [`StoreError::Conflict`] when the id is taken.
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
    /// Takes an application that cannot be read away. [`StoreError::Stale`] when it can be read.
    DeleteDamagedApplication(ApplicationId),
    /// A setting.
    PutSetting {
        /// Its name.
        name: &'static str,
        /// Its value and its revision, which must be one more than the stored one's (1 for a new one).
        setting: Setting,
    },
    /// How far an initialisation script was applied.
    PutScript(ScriptProgress),
}

/// A value that the site keeps under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value.
    pub value: Vec<u8>,
    /// 1 at first, one more with each change.
    pub revision: u64,
}

/// How far an initialisation script was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptProgress {
    /// The script's file name.
    pub name: String,
    /// The SHA-256 of the lines that were applied.
    pub digest: [u8; 32],
    /// How many lines were applied.
    pub lines: u32,
    /// When the last line was applied; `None` while some are left.
    pub applied: Option<Timestamp>,
}

/// A change set is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The number of its audit entry.
    pub audit_seq: u64,
    /// What followed.
    pub effects: Effects,
}

/// What a change set ran into, or what is wrong with the store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// What has to be unique is taken.
    #[error("{what} is taken")]
    Conflict {
        /// What is taken.
        what: Unique,
    },
    /// Somebody else changed it since it was read; read it again and decide again.
    #[error("{what} was changed by somebody else meanwhile; read it again and repeat")]
    Stale {
        /// What was changed.
        what: Thing,
    },
    /// It is not there any more.
    #[error("there is no such {what}")]
    NotFound {
        /// What is missing.
        what: Thing,
    },
    /// The store cannot do it now (disk full, read-only, closed). Nothing was changed.
    #[error("the store is not available: {problem}")]
    Unavailable {
        /// What it said.
        problem: String,
    },
    /// The store holds something that it cannot have written. Restore a backup.
    #[error("the store is damaged: {problem}; restore the newest sound backup")]
    Damaged {
        /// What does not read.
        problem: String,
    },
}

/// What must be unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unique {
    /// An account's id.
    #[error("the account's id")]
    AccountId,
    /// An account's name.
    #[error("the name")]
    Name,
    /// A key.
    #[error("the key")]
    Key,
    /// The name of a pass phrase record within OPAQUE.
    #[error("the credential id")]
    CredentialId,
    /// An application's id.
    #[error("the application's id")]
    Application,
    /// A key of an account that is a removed one.
    #[error("the key")]
    RemovedKey,
    /// A public key of an application.
    #[error("the public key")]
    ApplicationKey,
}

/// What may be stale or missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Thing {
    /// An account.
    #[error("account")]
    Account,
    /// A key of an account.
    #[error("key")]
    Key,
    /// An application.
    #[error("application")]
    Application,
    /// A setting.
    #[error("setting")]
    Setting,
}
