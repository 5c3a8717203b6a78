//! The audit log.

use async_trait::async_trait;
use countersign_proto::peer::SignedAuditHead;

use super::MemoryStore;
use crate::audit::{
    AuditDraft, AuditEntry, AuditFilter, AuditSearch, ChainHead, MAX_SIGNATURES, StoredSignature,
};
use crate::page::Page;
use crate::store::{AuditLog, StoreError};

#[derive(Debug, Default)]
pub(super) struct AuditRows(pub(super) Vec<AuditEntry>, pub(super) Vec<StoredSignature>);

impl AuditRows {
    /// Appends an entry and returns its number.
    pub(super) fn append(&mut self, draft: AuditDraft) -> u64 {
        let entry = self.head().append(draft);
        let seq = entry.seq;
        self.0.push(entry);
        seq
    }

    /// Stores a signature of the end of the log, and forgets the oldest one above the limit. Those of
    /// greater numbers, which an attacker stored, stay and push out none.
    pub(super) fn sign(&mut self, signed: SignedAuditHead) {
        let end = signed.head().seq;
        self.1.push(signed.into());
        let within = |stored: &StoredSignature| stored.seq <= end;
        let above = self.1.iter().filter(|stored| within(stored)).count();
        let above = above.saturating_sub(MAX_SIGNATURES as usize);
        let mut forgotten = 0;
        self.1.retain(|stored| {
            let is_forgotten = within(stored) && forgotten < above;
            forgotten += usize::from(is_forgotten);
            !is_forgotten
        });
    }

    pub(super) fn head(&self) -> ChainHead {
        self.0.last().map_or(ChainHead::EMPTY, |entry| ChainHead {
            seq: entry.seq,
            hash: entry.hash,
        })
    }

    /// Returns the entries after this number.
    fn after(&self, seq: u64) -> &[AuditEntry] {
        let at = self.0.partition_point(|entry| entry.seq <= seq);
        self.0.get(at..).unwrap_or_default()
    }
}

fn matches(filter: &AuditFilter, draft: &AuditDraft) -> bool {
    let begins = |text: &str, with: &Option<String>, ends: &[char]| {
        with.as_ref().is_none_or(|with| {
            let rest = text.strip_prefix(with.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(ends))
        })
    };
    let target = draft.target.as_deref();
    filter.since.is_none_or(|since| draft.time >= since)
        && filter.until.is_none_or(|until| draft.time < until)
        && begins(&draft.actor.name, &filter.actor, &['@', ' '])
        && begins(&draft.operation, &filter.operation, &['.'])
        && (filter.target.is_none()
            || target.is_some_and(|target| begins(target, &filter.target, &['@', ' '])))
}

#[async_trait]
impl AuditLog for MemoryStore {
    async fn audit(&self, page: &Page<u64>) -> Result<Vec<AuditEntry>, StoreError> {
        self.read(|rows| {
            let later = rows.audit.after(page.after.unwrap_or(0)).iter();
            later.take(page.limit as usize).cloned().collect()
        })
        .await
    }

    async fn audit_search(&self, search: &AuditSearch) -> Result<Vec<AuditEntry>, StoreError> {
        self.read(|rows| {
            let later = rows.audit.after(search.after).iter();
            let range = later.take_while(|entry| entry.seq <= search.up_to);
            let found = range.filter(|entry| matches(&search.filter, &entry.draft));
            let mut found: Vec<_> = found.cloned().collect();
            if search.last_first {
                found.reverse();
            }
            found.truncate(search.limit as usize);
            found
        })
        .await
    }

    async fn audit_head(&self) -> Result<ChainHead, StoreError> {
        self.read(|rows| rows.audit.head()).await
    }

    async fn audit_signatures(&self, limit: u32) -> Result<Vec<StoredSignature>, StoreError> {
        self.read(|rows| {
            let newest_first = rows.audit.1.iter().rev();
            newest_first.take(limit as usize).copied().collect()
        })
        .await
    }
}
