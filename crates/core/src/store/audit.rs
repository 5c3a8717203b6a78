//! The audit log.

use async_trait::async_trait;

use super::StoreError;
use crate::audit::{AuditEntry, AuditSearch, ChainHead};
use crate::page::Page;

/// Reads the audit log.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Audit entries in the order of the chain.
    async fn audit(&self, page: &Page<u64>) -> Result<Vec<AuditEntry>, StoreError>;

    /// The audit entries of a stretch of the log that have something in common. It costs no more than the stretch
    /// is long.
    async fn audit_search(&self, search: &AuditSearch) -> Result<Vec<AuditEntry>, StoreError>;

    /// The end of the audit chain.
    async fn audit_head(&self) -> Result<ChainHead, StoreError>;
}
