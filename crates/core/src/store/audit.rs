//! Reading the audit log.

use async_trait::async_trait;

use super::StoreError;
use crate::audit::{AuditEntry, AuditSearch, ChainHead, StoredSignature};
use crate::page::Page;

/// Reads the audit log.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Returns a page of audit entries in the order of the chain.
    async fn audit(&self, page: &Page<u64>) -> Result<Vec<AuditEntry>, StoreError>;

    /// Returns the entries of a range of the log that meet the conditions. The cost is at most
    /// proportional to the length of the range.
    async fn audit_search(&self, search: &AuditSearch) -> Result<Vec<AuditEntry>, StoreError>;

    /// Returns the end of the audit chain.
    async fn audit_head(&self) -> Result<ChainHead, StoreError>;

    /// Returns the signatures of the site over its own log, the newest first. The site stores at most
    /// [`MAX_SIGNATURES`](crate::audit::MAX_SIGNATURES). Those that an attacker added or changed are
    /// among them, so that they are found.
    async fn audit_signatures(&self, limit: u32) -> Result<Vec<StoredSignature>, StoreError>;
}
