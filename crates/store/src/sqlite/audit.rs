//! The audit log.

use async_trait::async_trait;
use countersign_core::access::Channel;
use countersign_core::audit::{
    Actor, AuditDraft, AuditEntry, AuditOutcome, AuditSearch, ChainHead, MAX_SIGNATURES,
    StoredSignature,
};
use countersign_core::id::AccountId;
use countersign_core::page::Page;
use countersign_core::store::{AuditLog, StoreError};
use countersign_core::timestamp::Timestamp;
use countersign_proto::peer::SignedAuditHead;
use sqlx::sqlite::SqliteConnection;

use super::SqliteStore;
use super::readers::Readers;
use super::reads::{many, one};
use super::row::{Columns, damaged, signed};
use super::statement::Many;

/// A query for entries with all columns, by their order, which no layout changed: an inspected backup of
/// layout 4 or older has another name for `channel`.
macro_rules! entries {
    ($rest:literal) => {
        concat!("SELECT * FROM audit ", $rest)
    };
}

/// A query for the entries of a search, in this order.
macro_rules! matching {
    ($order:literal) => {
        concat!(
            entries!("WHERE seq > ?1 AND seq <= ?2 AND (?3 IS NULL OR time >= ?3) \
             AND (?4 IS NULL OR actor = ?4 OR substr(actor, 1, length(?4) + 1) IN (?4 || '@', ?4 || ' ')) \
             AND (?5 IS NULL OR operation = ?5 OR substr(operation, 1, length(?5) + 1) = ?5 || '.') \
             AND (?6 IS NULL OR time < ?6) \
             AND (?7 IS NULL OR target = ?7 OR substr(target, 1, length(?7) + 1) IN (?7 || '@', ?7 || ' ')) "),
            $order
        )
    };
}

#[async_trait]
impl AuditLog for SqliteStore {
    async fn audit(&self, page: &Page<u64>) -> Result<Vec<AuditEntry>, StoreError> {
        page_of(&self.readers, page).await
    }

    /// The range of numbers limits the rows to read. The other filters have no index, because it would slow
    /// down the writing of each entry.
    async fn audit_search(&self, search: &AuditSearch) -> Result<Vec<AuditEntry>, StoreError> {
        let text = match search.last_first {
            true => matching!("ORDER BY seq DESC LIMIT ?8"),
            false => matching!("ORDER BY seq LIMIT ?8"),
        };
        let filter = search.filter.clone();
        let query = sqlx::query(text)
            .bind(signed(search.after))
            .bind(signed(search.up_to))
            .bind(filter.since.map(Timestamp::millis))
            .bind(filter.actor)
            .bind(filter.operation)
            .bind(filter.until.map(Timestamp::millis))
            .bind(filter.target)
            .bind(search.limit);
        many(&self.readers, query, row).await
    }

    async fn audit_head(&self) -> Result<ChainHead, StoreError> {
        head(&self.readers).await
    }

    async fn audit_signatures(&self, limit: u32) -> Result<Vec<StoredSignature>, StoreError> {
        let query = sqlx::query("SELECT seq, head FROM audit_signature ORDER BY seq DESC LIMIT ?");
        many(&self.readers, query.bind(limit), |columns| {
            // A row that cannot be read was changed. It is no error: its number names what differs.
            let seq = columns.number().unwrap_or_default();
            let head: &[u8] = columns.take().unwrap_or_default();
            Ok(StoredSignature::read(seq, head))
        })
        .await
    }
}

/// A row whose number is that of its head, whose bytes from 41 on have it.
macro_rules! whole {
    () => {
        "hex(substr(head, 41, 8)) = printf('%016X', seq)"
    };
}

/// The rows of the oldest signatures up to the end of the log. An attacker, also a thief of the site
/// key, may have stored heads under greater numbers: such rows push out no signature, and stay, so
/// that they are found.
const FORGET: &str = concat!(
    "DELETE FROM audit_signature WHERE seq <= ?1 AND ",
    whole!(),
    " AND (seq, head) NOT IN (SELECT seq, head FROM audit_signature WHERE seq <= ?1 AND ",
    whole!(),
    " ORDER BY seq DESC LIMIT ?2)"
);

/// Stores signatures over the log, and forgets the oldest ones above the limit.
pub(super) async fn sign(
    connection: &mut SqliteConnection,
    signatures: &[SignedAuditHead],
) -> Result<(), sqlx::Error> {
    let Some(end) = signatures.iter().map(|signed| signed.head().seq).max() else {
        return Ok(());
    };
    SIGN.execute(connection, signatures, |row, signed| {
        row.put(super::row::signed(signed.head().seq))?;
        row.put(signed.to_bytes())
    })
    .await?;
    let forget = sqlx::query(FORGET).bind(signed(end));
    let forget = forget.bind(MAX_SIGNATURES);
    forget.execute(connection).await.map(|_| ())
}

const SIGN: Many = Many {
    before: "INSERT OR IGNORE INTO audit_signature (seq, head) VALUES ",
    row: "(?,?)",
    after: "",
};

pub(super) async fn page_of(
    readers: &Readers,
    page: &Page<u64>,
) -> Result<Vec<AuditEntry>, StoreError> {
    let query = sqlx::query(entries!("WHERE seq > ? ORDER BY seq LIMIT ?"))
        .bind(signed(page.after.unwrap_or(0)))
        .bind(page.limit);
    many(readers, query, row).await
}

pub(super) async fn head(readers: &Readers) -> Result<ChainHead, StoreError> {
    let query = sqlx::query(entries!("ORDER BY seq DESC LIMIT 1"));
    let last = one(readers, query, row).await?;
    Ok(last.map_or(ChainHead::EMPTY, |entry| ChainHead {
        seq: entry.seq,
        hash: entry.hash,
    }))
}

/// Appends entries to the audit log.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    entries: &[AuditEntry],
) -> Result<(), sqlx::Error> {
    APPEND
        .execute(connection, entries, |row, entry| {
            let draft = &entry.draft;
            row.put(signed(entry.seq))?;
            row.put(draft.time.millis())?;
            row.put(draft.actor.account.map(|id| id.as_bytes().to_vec()))?;
            row.put(draft.actor.name.as_str())?;
            row.put(draft.channel.as_str())?;
            row.put(draft.operation.as_str())?;
            row.put(draft.target.as_deref())?;
            row.put(draft.outcome.as_str())?;
            row.put(draft.details.as_str())?;
            row.put(entry.previous.as_slice())?;
            row.put(entry.hash.as_slice())
        })
        .await
        .map(|_| ())
}

const APPEND: Many = Many {
    before: "INSERT INTO audit (seq, time, account, actor, channel, operation, target, outcome, \
             details, previous, hash) VALUES ",
    row: "(?,?,?,?,?,?,?,?,?,?,?)",
    after: "",
};

fn row(columns: &mut Columns<'_>) -> Result<AuditEntry, StoreError> {
    let seq = columns.number()?;
    let time = columns.time()?;
    let account = match columns.take::<Option<&[u8]>>()? {
        Some(bytes) => Some(AccountId::from_bytes(
            bytes.try_into().map_err(|error| damaged(&error))?,
        )),
        None => None,
    };
    let draft = AuditDraft {
        time,
        actor: Actor {
            account,
            name: columns.take()?,
        },
        channel: columns.word(&Channel::ALL, Channel::as_str)?,
        operation: columns.take()?,
        target: columns.take()?,
        outcome: columns.word(&AuditOutcome::ALL, AuditOutcome::as_str)?,
        details: columns.take()?,
    };
    Ok(AuditEntry {
        seq,
        draft,
        previous: columns.bytes()?,
        hash: columns.bytes()?,
    })
}
