//! Reading the audit log.

use countersign_core::audit::{AuditEntry, AuditSearch, ChainHead};
use countersign_core::store::{Page, StoreError};
use countersign_core::timestamp::Timestamp;
use sqlx::SqlitePool;

use super::reads::{many, one};
use super::row::{self, signed};

/// What is read of each entry, and from where.
macro_rules! entries {
    ($rest:literal) => {
        concat!(
            "SELECT seq, time, account, actor, door, operation, target, outcome, details, \
             previous, hash FROM audit ",
            $rest
        )
    };
}

pub(super) async fn page(
    readers: &SqlitePool,
    page: &Page<u64>,
) -> Result<Vec<AuditEntry>, StoreError> {
    let query = sqlx::query(entries!("WHERE seq > ? ORDER BY seq LIMIT ?"))
        .bind(signed(page.after.unwrap_or(0)))
        .bind(page.limit);
    many(readers, query, row::audit).await
}

/// The numbers bound what is looked at: the rest needs no index of its own, which each entry would pay for.
pub(super) async fn search(
    readers: &SqlitePool,
    search: &AuditSearch,
) -> Result<Vec<AuditEntry>, StoreError> {
    let text = match search.last_first {
        true => entries!(
            "WHERE seq > ?1 AND seq <= ?2 AND (?3 IS NULL OR time >= ?3) \
             AND (?4 IS NULL OR actor = ?4 OR substr(actor, 1, length(?4) + 1) IN (?4 || '@', ?4 || ' ')) \
             AND (?5 IS NULL OR operation = ?5 OR substr(operation, 1, length(?5) + 1) = ?5 || '.') \
             ORDER BY seq DESC LIMIT ?6"
        ),
        false => entries!(
            "WHERE seq > ?1 AND seq <= ?2 AND (?3 IS NULL OR time >= ?3) \
             AND (?4 IS NULL OR actor = ?4 OR substr(actor, 1, length(?4) + 1) IN (?4 || '@', ?4 || ' ')) \
             AND (?5 IS NULL OR operation = ?5 OR substr(operation, 1, length(?5) + 1) = ?5 || '.') \
             ORDER BY seq LIMIT ?6"
        ),
    };
    let filter = search.filter.clone();
    let query = sqlx::query(text)
        .bind(signed(search.after))
        .bind(signed(search.up_to))
        .bind(filter.since.map(Timestamp::millis))
        .bind(filter.actor)
        .bind(filter.operation)
        .bind(search.limit);
    many(readers, query, row::audit).await
}

pub(super) async fn head(readers: &SqlitePool) -> Result<ChainHead, StoreError> {
    let query = sqlx::query(entries!("ORDER BY seq DESC LIMIT 1"));
    let last = one(readers, query, row::audit).await?;
    Ok(last.map_or(ChainHead::EMPTY, |entry| ChainHead {
        seq: entry.seq,
        hash: entry.hash,
    }))
}
