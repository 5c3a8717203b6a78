//! What core asks of a store: reads, and one write.
//!
//! Core decides on what it read and hands the store a [`ChangeSet`]: declarative, with everything
//! that must still be true for the decision to stand. The store checks that again while it writes,
//! so two decisions made at once can never both happen when only one of them may.
//!
//! The reads of each aggregate are a trait of their own: [`Accounts`] with their credentials, [`Applications`],
//! [`Settings`] with scripts, [`Alarms`] with the outbox, and the [`AuditLog`]. A [`Store`] has all of them. [`MemoryStore`] keeps them in memory.

mod accounts;
mod alarms;
mod applications;
mod audit;
mod change;
mod error;
mod memory;
mod notice;
mod settings;

use std::sync::Arc;

use async_trait::async_trait;

use crate::content::Content;

pub use accounts::{Accounts, DamagedAccount, KEYS_PER_ACCOUNT};
pub use alarms::{
    AlarmChange, AlarmCounts, AlarmSearch, Alarms, DeliverySearch, StoredPreferences,
};
pub use applications::{Applications, DamagedApplication, ListedApplication};
pub use audit::AuditLog;
pub use change::{Change, ChangeSet, Committed};
pub use error::{StoreError, Thing, Unique};
pub use memory::MemoryStore;
pub use notice::Notice;
pub use settings::{ScriptProgress, Setting, Settings};

/// Where a site's decisions are kept.
///
/// What a method returns was committed and synced; a read sees every change that was acknowledged
/// before it began.
#[async_trait]
pub trait Store: Accounts + Alarms + Applications + Settings + AuditLog {
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
/// The store tells it of each committed set once, in the order of commits, and answers the caller of [`Store::commit`]
/// afterwards. That the caller went away changes nothing about it. The store survives a panic in an observer.
pub trait Observer: Send + Sync {
    /// The set is on the disk. Must not wait: the next change is not written meanwhile.
    fn committed(&self, set: &ChangeSet) -> Effects;
}

/// What an observer did about a committed set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effects {
    /// The number of open sessions that ended.
    pub sessions_ended: usize,
    /// The number of sources whose penalty was forgotten.
    pub penalties_forgotten: usize,
}

/// A copy of a store.
#[derive(Debug)]
pub struct StoreCopy {
    /// Its length in bytes.
    pub bytes: u64,
    /// The bytes.
    pub content: Content,
}
