//! The storage interface: reads, and one write.
//!
//! Core decides on what it has read and passes a [`ChangeSet`] to the store. The change set
//! contains the revisions that the decision is based on. The store checks them again while it
//! writes, so that of two conflicting decisions at most one is written.
//!
//! The reads of each aggregate are a trait of their own: [`AccessTokens`], [`Accounts`] with their credentials,
//! [`Alarms`] with the outbox, [`Applications`], [`EnrolmentTickets`], [`Devices`], [`Peers`],
//! [`Settings`] with scripts, [`ClearData`] of earlier versions, and the [`AuditLog`]. A [`Store`]
//! implements all of them. [`MemoryStore`] is the implementation in memory.

mod access_tokens;
mod accounts;
mod alarms;
mod applications;
mod audit;
mod change;
mod clear_data;
mod damaged;
mod devices;
mod enrolment;
mod error;
mod memory;
mod notice;
mod peers;
mod settings;

use std::sync::Arc;

use async_trait::async_trait;
use countersign_proto::peer::SignedAuditHead;

use crate::audit::ChainHead;
use crate::content::Content;

pub use access_tokens::{
    AccessTokenChange, AccessTokens, CompletedRequest, MAX_COMPLETED_REQUESTS,
    MAX_COMPLETED_REQUESTS_OF_CREDENTIAL,
};
pub use accounts::{Accounts, DamagedAccount, KEYS_PER_ACCOUNT, WholeAccount};
pub use alarms::{
    AlarmChange, AlarmCounts, AlarmSearch, Alarms, DeliverySearch, MAX_COUNTED_DELIVERIES,
    OldestDelivery, OutboxState, StoredPreferences,
};
pub use applications::{Applications, DamagedApplication, ListedApplication};
pub use audit::AuditLog;
pub use change::{Change, ChangeSet, Committed};
pub use clear_data::{ClearData, ClearDatum, ClearOwner};
pub use damaged::DamagedRow;
pub use devices::{Devices, RemovedDevice};
pub use enrolment::EnrolmentTickets;
pub use error::{StoreError, Thing, Unique};
pub use memory::MemoryStore;
pub use notice::Notice;
pub use peers::{DamagedPeer, LastReceived, MAX_RECENT, PeerChange, Peers, Withheld};
pub use settings::{ScriptProgress, Setting, Settings};

/// The storage of a site.
///
/// Methods return only data that was committed and synced. A read sees every change that was
/// acknowledged before it began.
#[async_trait]
pub trait Store:
    AccessTokens
    + Accounts
    + Alarms
    + Applications
    + EnrolmentTickets
    + Devices
    + Peers
    + Settings
    + ClearData
    + AuditLog
{
    /// Writes all of a change set or nothing of it. When it returns, the change is on disk.
    ///
    /// # Errors
    /// [`StoreError::Conflict`], [`StoreError::Stale`] and [`StoreError::NotFound`] if the decision
    /// is no longer valid; the others if the store failed. Nothing was changed and nothing was
    /// audited then.
    async fn commit(&self, set: ChangeSet) -> Result<Committed, StoreError>;

    /// Sets the observer, which is notified of every committed set from now on. It replaces an
    /// earlier one.
    fn observe(&self, observer: Arc<dyn Observer>);

    /// Returns a consistent copy of the store, as the bytes of a store of the same kind. Changes
    /// continue meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if there is no space for it, or another copy is in progress.
    async fn copy(&self) -> Result<StoreCopy, StoreError>;

    /// Checks the integrity of the storage itself, such as dangling references or incomplete
    /// indexes, and returns the problems; empty if it is intact. Reads everything, which takes
    /// seconds per gigabyte.
    async fn flaws(&self) -> Result<Vec<String>, StoreError>;
}

/// Follows the changes of a store. The site's projection implements it.
///
/// The store calls it once for each committed set, in commit order, and before [`Store::commit`]
/// returns. It is called even if the future of [`Store::commit`] was dropped. The store survives a
/// panic in an observer.
pub trait Observer: Send + Sync {
    /// Handles a set that is on disk. Must not block, because the next change set waits for it.
    fn committed(&self, set: &ChangeSet) -> Effects;

    /// Signs the end of the audit log after the entry of this set; `None` if the set needs no
    /// signature. The store writes the signature in the transaction of the set, which may still
    /// fail. Must not block.
    fn sign(&self, _set: &ChangeSet, _end: ChainHead) -> Option<SignedAuditHead> {
        None
    }
}

/// The effects of an observer on a committed set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effects {
    /// The number of open sessions that ended.
    pub sessions_ended: usize,
    /// The number of sources whose penalty was cleared.
    pub penalties_forgotten: usize,
    /// The number of sessions whose fresh proof was started or accepted.
    pub proofs_changed: usize,
}

/// A copy of a store.
#[derive(Debug)]
pub struct StoreCopy {
    /// The length in bytes.
    pub bytes: u64,
    /// The bytes.
    pub content: Content,
}
